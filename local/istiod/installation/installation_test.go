package installation

import (
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"fairway.dev/local/istiod/cluster"
)

type noTokens struct{}

func (noTokens) Review(string, []string, func(_, _, _ string) bool) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{}
}

func meshOf(t *testing.T, i Installed) map[string]any {
	t.Helper()
	o := i.Get(cluster.Key{Kind: "ConfigMap", Namespace: namespace, Name: meshName})
	if o == nil {
		t.Fatal("no mesh ConfigMap")
	}
	text, _, _ := unstructured.NestedString(o.Object, "data", "mesh")
	var mesh map[string]any
	if err := yaml.Unmarshal([]byte(text), &mesh); err != nil {
		t.Fatal(err)
	}
	return mesh
}

func configMap(mesh string) *unstructured.Unstructured {
	o := object("v1", "ConfigMap", map[string]any{"name": meshName, "namespace": namespace})
	o.Object["data"] = map[string]any{"mesh": mesh}
	return o
}

func TestMeshConfigMap(t *testing.T) {
	c, err := cluster.New(cluster.Options{Tokens: noTokens{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	i, err := On(c)
	if err != nil {
		t.Fatal(err)
	}
	if m := meshOf(t, i); m["trustDomain"] != "cluster.local" {
		t.Errorf("defaults: %v", m)
	}

	given := configMap("{accessLogFile: /dev/stdout, defaultConfig: {concurrency: 3}}")
	if r := i.Apply([]*unstructured.Unstructured{given}); len(r.Rejected) > 0 {
		t.Fatal(r.Rejected)
	}
	m := meshOf(t, i)
	below, _ := m["defaultConfig"].(map[string]any)
	if m["accessLogFile"] != "/dev/stdout" || m["trustDomain"] != "cluster.local" || below["concurrency"] != 3.0 || below["discoveryAddress"] == nil {
		t.Errorf("merged: %v", m)
	}

	r := i.Apply([]*unstructured.Unstructured{configMap("{a: [")})
	if len(r.Rejected) != 1 || r.Rejected[0].Field != "data.mesh" {
		t.Errorf("no YAML: %+v", r)
	}
	if meshOf(t, i)["accessLogFile"] != "/dev/stdout" {
		t.Error("a rejected version replaced the good one")
	}

	if err := i.Delete(cluster.KeyOf(given)); err != nil {
		t.Fatal(err)
	}
	if m := meshOf(t, i); m["accessLogFile"] != nil || m["trustDomain"] != "cluster.local" {
		t.Errorf("after delete: %v", m)
	}
}
