package addons

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// place chooses a pod's node: of those it may run on the one with the fewest pods of the same controller, then with the fewest pods,
// then the first by name. So copies spread, and the same objects in the same order always come to lie the same way.
//
// What it is not: a judge of resources, host ports and wishes. A demand it cannot check is refused, so that no test passes on a
// placement nobody made.
func place(p *v1.Pod, nodes []*v1.Node, pods []*v1.Pod) (string, error) {
	if err := supported(p); err != nil {
		return "", err
	}
	var fit []*v1.Node
	var why []string
	for _, n := range nodes {
		if err := fits(p, n); err != nil {
			why = append(why, n.Name+": "+err.Error())
		} else {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		slices.Sort(why)
		return "", fmt.Errorf("none of %d nodes takes it: %s", len(nodes), strings.Join(why, "; "))
	}
	siblings, all := count(p, pods)
	return slices.MinFunc(fit, func(a, b *v1.Node) int {
		if c := siblings[a.Name] - siblings[b.Name]; c != 0 {
			return c
		}
		if c := all[a.Name] - all[b.Name]; c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	}).Name, nil
}

// supported refuses demands on other pods' places.
func supported(p *v1.Pod) error {
	if a := p.Spec.Affinity; a != nil {
		if a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 {
			return errors.New("this scheduler does not know required podAffinity")
		}
		if a.PodAntiAffinity != nil && len(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 {
			return errors.New("this scheduler does not know required podAntiAffinity")
		}
	}
	for _, t := range p.Spec.TopologySpreadConstraints {
		if t.WhenUnsatisfiable == v1.DoNotSchedule {
			return errors.New("this scheduler does not know topologySpreadConstraints with DoNotSchedule")
		}
	}
	return nil
}

// fits says why a node cannot take a pod.
func fits(p *v1.Pod, n *v1.Node) error {
	taints := n.Spec.Taints
	if n.Spec.Unschedulable { // the node lifecycle controller, which would add this taint, is off
		taints = append(slices.Clone(taints), v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule})
	}
	hard := func(t *v1.Taint) bool {
		return t.Effect == v1.TaintEffectNoSchedule || t.Effect == v1.TaintEffectNoExecute
	}
	if t, found := scheduling.FindMatchingUntoleratedTaint(klog.Background(), taints, p.Spec.Tolerations, hard, true); found {
		return fmt.Errorf("taint %s is not tolerated", t.ToString())
	}
	match, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(n)
	if err == nil && !match {
		err = errors.New("its labels are not the ones asked for")
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(n.Status.Conditions, func(c v1.NodeCondition) bool {
		return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue
	}) {
		return errors.New("it is not ready")
	}
	return nil
}

// count counts the nodes' pods that have not ended: those of p's controller, and all.
func count(p *v1.Pod, pods []*v1.Pod) (siblings, all map[string]int) {
	siblings, all = map[string]int{}, map[string]int{}
	controller := metav1.GetControllerOf(p)
	for _, o := range pods {
		if o.Spec.NodeName == "" || o.DeletionTimestamp != nil || o.Status.Phase == v1.PodSucceeded || o.Status.Phase == v1.PodFailed {
			continue
		}
		all[o.Spec.NodeName]++
		if c := metav1.GetControllerOf(o); controller != nil && c != nil && c.UID == controller.UID {
			siblings[o.Spec.NodeName]++
		}
	}
	return siblings, all
}
