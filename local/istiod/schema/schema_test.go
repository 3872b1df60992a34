package schema

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	j, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(j, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func admit(t *testing.T, o, old map[string]any) []Violation {
	t.Helper()
	gvk := (&unstructured.Unstructured{Object: o}).GroupVersionKind()
	kind, err := For(gvk)
	if err != nil || kind == nil {
		t.Fatalf("no schema of %s: %v", gvk, err)
	}
	return kind.Admit(o, old)
}

const route = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: ns}, spec: "

func TestAdmit(t *testing.T) {
	const mirror = `{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, percent: 5, fraction: {numerator: 1}}}]}`
	for _, c := range []struct{ name, object, field, message string }{
		{"good", route + "{rules: [{backendRefs: [{name: a, port: 80}]}]}}", "", ""},
		{"unknown field", route + "{rules: [{backendRef: []}]}}", "spec.rules[0].backendRef", "unknown field"},
		{
			"wrong type", route + "{rules: [{backendRefs: [{name: a, port: http}]}]}}", "spec.rules[0].backendRefs[0].port",
			`Invalid value: "string": spec.rules[0].backendRefs[0].port in body must be of type integer: "string"`,
		},
		{
			"enum", route + "{rules: [{matches: [{path: {type: Glob, value: /}}]}]}}", "spec.rules[0].matches[0].path.type",
			`Unsupported value: "Glob": supported values: "Exact", "PathPrefix", "RegularExpression"`,
		},
		{
			"CEL rule", route + "{rules: [" + mirror + "]}}", "spec.rules[0].filters[0].requestMirror",
			"Only one of percent or fraction may be specified in HTTPRequestMirrorFilter",
		},
		{
			"list key twice", "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: ns}, spec: {gatewayClassName: c, listeners: " +
				"[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]}}",
			"spec.listeners[1]", `Duplicate value: {"name":"a"}`,
		},
		{
			"Istio's CEL", "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: ns}, spec: {host: a, trafficPolicy: {connectionPool: {tcp: {connectTimeout: soon}}}}}",
			"spec.trafficPolicy.connectionPool.tcp.connectTimeout", "must be a valid duration greater than 1ms",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []Violation
			if c.field != "" {
				want = []Violation{{c.field, c.message}}
			}
			got := admit(t, object(t, c.object), nil)
			if len(got)+len(want) > 0 && (len(got) == 0 || len(want) == 0 || !matches(got[0], want[0])) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func matches(got, want Violation) bool {
	return got.Field == want.Field && bytes.Contains([]byte(got.Message), []byte(want.Message))
}

func TestDefaults(t *testing.T) {
	o := object(t, route+"{parentRefs: [{name: g}], rules: [{backendRefs: [{name: a, port: 80}]}]}}")
	if v := admit(t, o, nil); len(v) > 0 {
		t.Fatal(v)
	}
	want := object(t, `
parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]
rules:
- matches: [{path: {type: PathPrefix, value: /}}]
  backendRefs: [{group: "", kind: Service, name: a, port: 80, weight: 1}]
`)
	if !reflect.DeepEqual(o["spec"], any(want)) {
		t.Errorf("got  %v\nwant %v", o["spec"], want)
	}
}

// A transition rule compares the object with the one it replaces.
func TestTransition(t *testing.T) {
	entry := func(labels string) map[string]any {
		return object(t, "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: {controllerName: "+labels+"}}")
	}
	if v := admit(t, entry("a.example/x"), entry("a.example/x")); len(v) > 0 {
		t.Errorf("unchanged controllerName: %v", v)
	}
	if v := admit(t, entry("a.example/y"), entry("a.example/x")); len(v) != 1 || v[0].Field != "spec.controllerName" {
		t.Errorf("changed controllerName: got %v, want one violation", v)
	}
}

// The embedded schemas are those of the modules in go.mod.
func TestGenerated(t *testing.T) {
	target := filepath.Join(t.TempDir(), "crds.json.gz")
	if out, err := exec.Command("go", "run", "-trimpath", "./generate", target).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fresh, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, compressed) {
		t.Error("crds.json.gz is not what the pinned modules hold: run go generate ./schema")
	}
}
