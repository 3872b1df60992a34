package cluster

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

type podTokens struct{}

// Review accepts the token NAMESPACE/POD/UID of an existing pod.
func (podTokens) Review(token string, _ []string, bound func(_, _, _ string) bool) authenticationv1.TokenReviewStatus {
	p := strings.Split(token, "/")
	return authenticationv1.TokenReviewStatus{Authenticated: len(p) == 3 && bound(p[0], p[1], p[2])}
}

var birth = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

func newCluster(t *testing.T) (*Cluster, *[]Change) {
	t.Helper()
	changes := &[]Change{}
	c, err := New(Options{
		Tokens: podTokens{}, Now: func() time.Time { return birth },
		Observe: func(ch Change) { *changes = append(*changes, ch) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, changes
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	j, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(j); err != nil {
		t.Fatal(err)
	}
	return o
}

func apply(t *testing.T, c *Cluster, texts ...string) Result {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, text := range texts {
		objects = append(objects, object(t, text))
	}
	return c.Apply(objects)
}

func mustApply(t *testing.T, c *Cluster, texts ...string) {
	t.Helper()
	if r := apply(t, c, texts...); len(r.Rejected) > 0 {
		t.Fatalf("rejected: %+v", r.Rejected)
	}
}

const (
	gateway = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: ns}, spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: %d, protocol: HBONE}]}}"
	service = "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: {clusterIP: 10.96.0.10, ports: [{port: 80, name: http}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.%d}]}}}"
	virtual = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: ns}, spec: "
)

func TestRejections(t *testing.T) {
	for _, c := range []struct{ name, object, field, message string }{
		{"good Service", fmt.Sprintf(service, 1), "", ""},
		{"good Gateway", fmt.Sprintf(gateway, 15008), "", ""},
		{"good VirtualService, older version", strings.Replace(virtual, "/v1,", "/v1beta1,", 1) + "{hosts: [a], http: [{route: [{destination: {host: a}}]}]}}", "", ""},
		{"kind istiod does not read", "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: ns}, spec: {whatever: 1}}", "", ""},
		{"no such kind", "{apiVersion: networking.istio.io/v1, kind: VirtualServic, metadata: {name: v, namespace: ns}}", "kind", `no kind "VirtualServic"`},
		{"no such version", "{apiVersion: networking.istio.io/v9, kind: VirtualService, metadata: {name: v, namespace: ns}}", "apiVersion", `no kind "VirtualService" in "networking.istio.io/v9"`},
		{"no name", "{apiVersion: v1, kind: Service, metadata: {namespace: ns}}", "metadata.name", "Required value"},
		{"unknown field of a custom resource", virtual + "{hosts: [a], http: [{route: [{destination: {host: a}, weigth: 1}]}]}}", "spec.http[0].route[0].weigth", "unknown field"},
		{"unknown field of a Service", "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: {ports: [{port: 80, target: 8080}]}}", "spec.ports[0].target", "unknown field"},
		{"wrong type in a Pod", "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns}, spec: {containers: many}}", "", "cannot unmarshal"},
		{"Istio's webhook", virtual + "{hosts: [a], http: [{retries: {attempts: 1, retryOn: sometimes}, route: [{destination: {host: a}}]}]}}", "spec", `"sometimes" is not a valid retryOn policy`},
		{"several webhook errors, one line", virtual + "{hosts: [a], http: [{route: [{destination: {host: a}, weight: -1}, {destination: {host: b}, weight: -1}]}]}}", "spec", "; "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, _ := newCluster(t)
			o := object(t, c.object)
			r := cl.Apply([]*unstructured.Unstructured{o})
			if c.message == "" {
				if len(r.Rejected) > 0 {
					t.Errorf("rejected: %+v", r.Rejected)
				}
				return
			}
			if len(r.Rejected) != 1 || r.Rejected[0].Field != c.field || !strings.Contains(r.Rejected[0].Message, c.message) || strings.Contains(r.Rejected[0].Message, "\n") {
				t.Errorf("got %+v, want field %q and %q", r.Rejected, c.field, c.message)
			}
			if cl.Get(KeyOf(o)) != nil {
				t.Error("stored although rejected")
			}
		})
	}
}

func TestARejectedVersionLeavesTheOld(t *testing.T) {
	c, _ := newCluster(t)
	mustApply(t, c, fmt.Sprintf(gateway, 15008))
	if r := apply(t, c, fmt.Sprintf(gateway, 99999)); len(r.Rejected) == 0 {
		t.Fatal("port 99999 accepted")
	}
	g, err := c.Client().GatewayAPI().GatewayV1().Gateways("ns").Get(context.Background(), "g", metav1.GetOptions{})
	if err != nil || g.Spec.Listeners[0].Port != 15008 {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestMetadata(t *testing.T) {
	c, _ := newCluster(t)
	mustApply(t, c, fmt.Sprintf(gateway, 15008))
	key := Key{"gateway.networking.k8s.io", "Gateway", "ns", "g"}
	first := c.Get(key)
	if first.GetUID() == "" || first.GetGeneration() != 1 || !first.GetCreationTimestamp().Time.Equal(birth) {
		t.Errorf("first: %v", first.Object["metadata"])
	}
	mustApply(t, c, fmt.Sprintf(gateway, 15008))
	if again := c.Get(key); !reflect.DeepEqual(again, first) {
		t.Errorf("applied unchanged: %v", again.Object["metadata"])
	}
	mustApply(t, c, fmt.Sprintf(gateway, 15009))
	changed := c.Get(key)
	if changed.GetUID() != first.GetUID() || changed.GetGeneration() != 2 || changed.GetResourceVersion() == first.GetResourceVersion() {
		t.Errorf("changed: %v", changed.Object["metadata"])
	}
	mustApply(t, c, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns, uid: mine, creationTimestamp: '2026-01-02T03:04:05Z'}}")
	pod := c.Get(Key{Kind: "Pod", Namespace: "ns", Name: "p"})
	if pod.GetUID() != "mine" || pod.GetCreationTimestamp().Year() != 2026 || pod.GetCreationTimestamp().Month() != 1 {
		t.Errorf("given metadata: %v", pod.Object["metadata"])
	}
}

// istiod's status write changes the status and nothing else, is reported, and outlives the next apply.
func TestStatusIsIstiods(t *testing.T) {
	c, changes := newCluster(t)
	mustApply(t, c, fmt.Sprintf(gateway, 15008))
	if len(*changes) != 0 {
		t.Fatalf("an apply was reported back: %+v", *changes)
	}
	ctx := context.Background()
	gateways := c.Client().GatewayAPI().GatewayV1().Gateways("ns")
	g, err := gateways.Get(ctx, "g", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g = g.DeepCopy()
	g.Spec.Listeners[0].Port = 1
	g.Status.Conditions = []metav1.Condition{{Type: "Programmed", Status: "True", Reason: "r", LastTransitionTime: metav1.NewTime(birth)}}
	if _, err := gateways.UpdateStatus(ctx, g, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(*changes) != 1 {
		t.Fatalf("got %d changes, want 1", len(*changes))
	}
	reported := (*changes)[0].Object
	listeners, _, _ := unstructured.NestedSlice(reported.Object, "spec", "listeners")
	if port := listeners[0].(map[string]any)["port"]; port != int64(15008) || reported.GetGeneration() != 1 || reported.GetKind() != "Gateway" {
		t.Errorf("reported %v", reported.Object)
	}
	mustApply(t, c, fmt.Sprintf(gateway, 15009))
	after, err := gateways.Get(ctx, "g", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.Spec.Listeners[0].Port != 15009 || len(after.Status.Conditions) != 1 {
		t.Errorf("after the next apply: %+v", after)
	}
	// An update of the object itself cannot touch the status.
	after = after.DeepCopy()
	after.Status, after.Labels = gatewayv1.GatewayStatus{}, map[string]string{"a": "b"}
	if after, err = gateways.Update(ctx, after, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(after.Status.Conditions) != 1 || after.Labels["a"] != "b" {
		t.Errorf("after an update: %+v", after)
	}
}

// A feeder may bring back what an earlier istiod wrote; a status it keeps from before does not undo a newer one.
func TestStatusOfANewObject(t *testing.T) {
	c, _ := newCluster(t)
	entry := "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: ns}, spec: {hosts: [a.example], ports: [{number: 80, name: http}]}, " +
		"status: {addresses: [{value: 240.240.0.%d, host: a.example}]}}"
	for range 2 {
		mustApply(t, c, fmt.Sprintf(entry, 7))
		entry = strings.Replace(entry, "%d", "%d9", 1)
	}
	o := c.Get(Key{"networking.istio.io", "ServiceEntry", "ns", "e"})
	addresses, _, _ := unstructured.NestedSlice(o.Object, "status", "addresses")
	if len(addresses) != 1 || addresses[0].(map[string]any)["value"] != "240.240.0.7" {
		t.Errorf("got %v", o.Object["status"])
	}
}

// A Service's status has two writers.
func TestServiceStatus(t *testing.T) {
	c, _ := newCluster(t)
	mustApply(t, c, fmt.Sprintf(service, 1))
	patch := `{"status":{"conditions":[{"type":"Bound","status":"True","reason":"r","message":"m","lastTransitionTime":"2026-08-01T00:00:00Z"}]}}`
	if err := applyStatus(c, "controller-a", patch); err != nil {
		t.Fatal(err)
	}
	mustApply(t, c, fmt.Sprintf(service, 2))
	o := c.Get(Key{Kind: "Service", Namespace: "ns", Name: "s"})
	ingress, _, _ := unstructured.NestedSlice(o.Object, "status", "loadBalancer", "ingress")
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	if len(conditions) != 1 || ingress[0].(map[string]any)["ip"] != "192.0.2.2" {
		t.Errorf("status: %v", o.Object["status"])
	}
}

func applyStatus(c *Cluster, manager, patch string) error {
	force := true
	_, err := c.Client().Kube().CoreV1().Services("ns").Patch(context.Background(), "s", types.ApplyPatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: manager, Force: &force}, "status")
	return err
}

// Each field manager owns the condition types of its last patch, and only those.
func TestServerSideApplyOfConditions(t *testing.T) {
	c, _ := newCluster(t)
	mustApply(t, c, fmt.Sprintf(service, 1))
	condition := func(kinds ...string) string {
		var all []string
		for _, k := range kinds {
			all = append(all, fmt.Sprintf(`{"type":%q,"status":"True","observedGeneration":3}`, k))
		}
		return `{"status":{"conditions":[` + strings.Join(all, ",") + `]}}`
	}
	for _, step := range []struct{ manager, patch, want string }{
		{"a", condition("A1", "A2"), "A1 A2"},
		{"b", condition("B"), "A1 A2 B"},
		{"a", condition("A2"), "B A2"},
		{"a", `{"status":{}}`, "B"},
		{"b", condition("B"), "B"},
	} {
		if err := applyStatus(c, step.manager, step.patch); err != nil {
			t.Fatal(err)
		}
		conditions, _, err := unstructured.NestedSlice(c.Get(Key{Kind: "Service", Namespace: "ns", Name: "s"}).Object, "status", "conditions")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range conditions {
			got = append(got, conditionType(x))
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("%s applied %s: got %v, want %s", step.manager, step.patch, got, step.want)
		}
	}
}

func TestOtherWrites(t *testing.T) {
	c, changes := newCluster(t)
	ctx := context.Background()
	maps := c.Client().Kube().CoreV1().ConfigMaps("ns")
	root := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "root"}, Data: map[string]string{"a": "1"}}
	if _, err := maps.Create(ctx, root, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(ctx, root, metav1.CreateOptions{}); err == nil {
		t.Error("created twice")
	}
	if _, err := maps.Patch(ctx, "root", types.JSONPatchType, []byte(`[{"op":"replace","path":"/data/a","value":"2"}]`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Patch(ctx, "root", types.MergePatchType, []byte(`{"data":{"b":"3"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := maps.Get(ctx, "root", metav1.GetOptions{}); err != nil || got.Data["a"] != "2" || got.Data["b"] != "3" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := maps.Delete(ctx, "root", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(ctx, "root", metav1.DeleteOptions{}); err == nil {
		t.Error("deleted twice")
	}
	election := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "election", Annotations: map[string]string{"control-plane.alpha.kubernetes.io/leader": "{}"},
	}}
	if _, err := maps.Create(ctx, election, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ch := range *changes {
		if ch.Object != nil {
			got = append(got, "changed "+ch.Object.GetName())
		} else {
			got = append(got, "removed "+ch.Removed.GetName())
		}
	}
	if want := []string{"changed root", "changed root", "changed root", "removed root"}; !reflect.DeepEqual(got, want) {
		t.Errorf("reported %v, want %v (and no election)", got, want)
	}
}

// Watches of running pods lose a pod that fails, and get it back when it runs again.
func TestFailedPodsAreNotSeen(t *testing.T) {
	c, _ := newCluster(t)
	for _, step := range []struct {
		phase string
		seen  int
	}{{"Failed", 0}, {"Running", 1}, {"Running", 1}, {"Failed", 0}, {"Failed", 0}, {"Succeeded", 1}} {
		mustApply(t, c, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns}, status: {phase: %s}}", step.phase))
		pods, err := c.Client().Kube().CoreV1().Pods("ns").List(context.Background(), metav1.ListOptions{})
		if err != nil || len(pods.Items) != step.seen {
			t.Errorf("%s: %d pods seen, want %d (%v)", step.phase, len(pods.Items), step.seen, err)
		}
		if c.Get(Key{Kind: "Pod", Namespace: "ns", Name: "p"}) == nil {
			t.Errorf("%s: the cluster lost it", step.phase)
		}
	}
	mustApply(t, c, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns}, status: {phase: Failed}}")
	if err := c.Delete(Key{Kind: "Pod", Namespace: "ns", Name: "p"}); err != nil {
		t.Error(err)
	}
}

func TestTokensDieWithTheirPod(t *testing.T) {
	c, _ := newCluster(t)
	authenticated := func() bool {
		r, err := c.Client().Kube().AuthenticationV1().TokenReviews().Create(context.Background(),
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "ns/p/u1"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status.Authenticated
	}
	if authenticated() {
		t.Error("without a pod")
	}
	mustApply(t, c, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns, uid: u1}}")
	if !authenticated() {
		t.Error("with its pod")
	}
	if err := c.Delete(Key{Kind: "Pod", Namespace: "ns", Name: "p"}); err != nil {
		t.Fatal(err)
	}
	if authenticated() {
		t.Error("after its pod was deleted")
	}
	if err := c.Delete(Key{Kind: "Pod", Namespace: "ns", Name: "p"}); err != nil {
		t.Errorf("deleting nothing: %v", err)
	}
}
