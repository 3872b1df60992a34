package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
)

// load applies steps of testdata, one Difference per step, and returns the last.
func load(t *testing.T, w *World, steps ...string) (changed []*unstructured.Unstructured, gone []cluster.Key) {
	t.Helper()
	for _, f := range steps {
		docs, err := Read(filepath.Join("testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(docs); err != nil {
			t.Fatal(err)
		}
		changed, gone = w.Difference()
	}
	return changed, gone
}

func names(w *World, kind, namespace string) []string {
	var out []string
	for k := range w.Objects() {
		if k.Kind == kind && k.Namespace == namespace {
			out = append(out, k.Name)
		}
	}
	slices.Sort(out)
	return out
}

func TestDerivedObjects(t *testing.T) {
	w := New()
	load(t, w, "input.yaml")
	for _, c := range []struct {
		kind, namespace string
		want            string
	}{
		{"Namespace", "", "istio-system shop"},
		{"Node", "", "node-a node-b"},
		{"ConfigMap", "istio-system", "istio"},
		{"ServiceAccount", "shop", "waypoint"},
		{"Service", "shop", "cart lonely waypoint"},
		{"Deployment", "shop", "cart waypoint"},
	} {
		if got := strings.Join(names(w, c.kind, c.namespace), " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.kind, got, c.want)
		}
	}
	for _, pod := range names(w, "Pod", "shop") {
		o := w.Objects()[cluster.Key{Kind: "Pod", Namespace: "shop", Name: pod}]
		captured := str(o, "metadata", "annotations", "ambient.istio.io/redirection") == "enabled"
		if strings.HasPrefix(pod, "waypoint") == captured {
			t.Errorf("%s: captured %v", pod, captured)
		}
	}
}

// What reaches a Service's endpoints, as "address:port ready" of its slices.
func endpointsOf(w *World, service string) []string {
	out := []string{}
	for k, o := range w.Objects() {
		if k.Kind != "EndpointSlice" || str(o, "metadata", "labels", "kubernetes.io/service-name") != service {
			continue
		}
		for _, e := range list(o, "endpoints") {
			for _, p := range list(o, "ports") {
				out = append(out, fmt.Sprintf("%v:%d %v", list(e, "addresses")[0], num(p, "port"), get(e, "conditions", "ready")))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestEndpoints(t *testing.T) {
	w := New()
	load(t, w, "input.yaml")
	for service, want := range map[string][]string{
		"cart":     {"10.244.1.11:8080 true", "10.244.2.11:8080 true"},
		"lonely":   {},
		"waypoint": {"10.244.9.1:15008 true", "10.244.9.1:15021 true"},
	} {
		if got := endpointsOf(w, service); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", service, got, want)
		}
	}
	load(t, w, "step-2.yaml")
	if got, want := endpointsOf(w, "cart"), []string{"10.244.1.11:8080 true", "10.244.7.7:9090 false"}; !reflect.DeepEqual(got, want) {
		t.Errorf("after step 2: got %q, want %q", got, want)
	}
}

func TestDifference(t *testing.T) {
	w := New()
	first, _ := load(t, w, "input.yaml")
	if changed, gone := w.Difference(); len(changed)+len(gone) != 0 {
		t.Errorf("nothing happened, got %d changed and %d gone", len(changed), len(gone))
	}
	changed, gone := load(t, w, "step-2.yaml")
	var kinds []string
	for _, k := range gone {
		kinds = append(kinds, k.Kind)
	}
	slices.Sort(kinds)
	if want := []string{"EndpointSlice", "Pod", "Service"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("gone: got %v, want %v", gone, want)
	}
	if len(changed) >= len(first) {
		t.Errorf("%d of %d objects changed", len(changed), len(first))
	}

	again := New()
	second, _ := load(t, again, "input.yaml")
	if !reflect.DeepEqual(first, second) {
		t.Error("the same files gave other objects")
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no YAML", "a: [", "document 1"},
		{"key twice", "kind: A\nkind: B", "already set"},
		{"no name", "{apiVersion: v1, kind: Pod, metadata: {namespace: a}}", "Pod without metadata.name"},
		{"delete of nothing", "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a, annotations: {render/action: delete}}}", "there is no Pod a/p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "input.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			docs, err := Read(file)
			if err == nil {
				err = New().Apply(docs)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestFilesAndEnvironment(t *testing.T) {
	files, err := Files("testdata")
	if err != nil || len(files) != 2 {
		t.Fatalf("got %v, %v", files, err)
	}
	env, err := Environment(files[0])
	if err != nil || !reflect.DeepEqual(env, map[string]string{"PILOT_DEBOUNCE_AFTER": "50ms"}) {
		t.Errorf("got %v, %v", env, err)
	}
	if _, err := Files("absent"); err == nil {
		t.Error("an absent scenario has files")
	}
}

// Addresses spill over into further blocks instead of repeating or leaving the octet.
func TestManyAddresses(t *testing.T) {
	a := newAddresses()
	seen := map[string]bool{}
	for i := range 1000 {
		ip := a.block(fmt.Sprint(i), "10.96.0", 11)
		var w, x, y, z int
		if n, _ := fmt.Sscanf(ip, "%d.%d.%d.%d", &w, &x, &y, &z); n != 4 || z > 250 || seen[ip] {
			t.Fatalf("address %d is %s", i, ip)
		}
		seen[ip] = true
		if again := a.block(fmt.Sprint(i), "10.96.0", 11); again != ip {
			t.Fatalf("%s became %s", ip, again)
		}
	}
}
