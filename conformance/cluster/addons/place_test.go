package addons

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func made(name string, change ...func(*v1.Node)) *v1.Node {
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name}}}
	n.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
	for _, c := range change {
		c(n)
	}
	return n
}

func podOf(controller, node string) *v1.Pod {
	p := &v1.Pod{Spec: v1.PodSpec{NodeName: node}}
	if controller != "" {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(controller), Controller: &yes}}
	}
	return p
}

// onlyOn is what the DaemonSet controller writes.
func onlyOn(node string) *v1.Pod {
	p := podOf("d", "")
	p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
		NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: v1.NodeSelectorOpIn, Values: []string{node}}}}}}}}
	return p
}

func TestPlace(t *testing.T) {
	tainted := func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoSchedule}} }
	cordoned := func(n *v1.Node) { n.Spec.Unschedulable = true }
	notReady := func(n *v1.Node) { n.Status.Conditions[0].Status = v1.ConditionFalse }
	two := []*v1.Node{made("b"), made("a")}
	tolerant := podOf("", "")
	tolerant.Spec.Tolerations = []v1.Toleration{{Operator: v1.TolerationOpExists}}
	selecting := podOf("", "")
	selecting.Spec.NodeSelector = map[string]string{v1.LabelHostname: "b"}
	apart := podOf("", "")
	apart.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{TopologyKey: v1.LabelHostname}}}}
	spread := podOf("", "")
	spread.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{WhenUnsatisfiable: v1.DoNotSchedule}}
	ended := podOf("", "a")
	ended.Status.Phase = v1.PodSucceeded

	for name, c := range map[string]struct {
		pod   *v1.Pod
		nodes []*v1.Node
		pods  []*v1.Pod
		want  string // a node, or a part of the reason
	}{
		"the first by name":           {podOf("x", ""), two, nil, "a"},
		"the one with fewer pods":     {podOf("x", ""), two, []*v1.Pod{podOf("", "a")}, "b"},
		"ended pods do not count":     {podOf("x", ""), two, []*v1.Pod{ended}, "a"},
		"copies apart before numbers": {podOf("x", ""), two, []*v1.Pod{podOf("x", "b"), podOf("", "a"), podOf("", "a")}, "a"},
		"another's copies are none":   {podOf("x", ""), two, []*v1.Pod{podOf("y", "b"), podOf("", "a"), podOf("", "a")}, "b"},
		"nodeSelector":                {selecting, two, []*v1.Pod{podOf("", "b")}, "b"},
		"a DaemonSet's pod":           {onlyOn("b"), two, []*v1.Pod{podOf("", "b")}, "b"},
		"a taint":                     {podOf("", ""), []*v1.Node{made("a", tainted), made("b")}, nil, "b"},
		"a taint tolerated":           {tolerant, []*v1.Node{made("a", tainted), made("b")}, nil, "a"},
		"cordoned":                    {podOf("", ""), []*v1.Node{made("a", cordoned), made("b")}, nil, "b"},
		"not ready":                   {podOf("", ""), []*v1.Node{made("a", notReady)}, nil, "a: it is not ready"},
		"nowhere":                     {onlyOn("c"), two, nil, "none of 2 nodes"},
		"pods apart by demand":        {apart, two, nil, "podAntiAffinity"},
		"spread by demand":            {spread, two, nil, "topologySpreadConstraints"},
	} {
		got, err := place(c.pod, c.nodes, c.pods)
		if err != nil && strings.Contains(err.Error(), c.want) {
			continue
		}
		if got != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
}
