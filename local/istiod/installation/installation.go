// Package installation is what installing the control plane leaves in a cluster, apart from istiod
// itself: its namespace and the mesh ConfigMap. GatewayClasses are istiod's own work.
package installation

import (
	_ "embed"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	namespace = "istio-system"
	meshName  = "istio"
)

//go:embed mesh.yaml
var meshDefaults []byte

// Namespace is the control plane's.
func Namespace() *unstructured.Unstructured {
	return object("v1", "Namespace", map[string]any{
		"name": namespace, "labels": map[string]any{"kubernetes.io/metadata.name": namespace},
	})
}

// IsMesh tells whether o is the mesh ConfigMap.
func IsMesh(o *unstructured.Unstructured) bool {
	return o.GetKind() == "ConfigMap" && o.GetNamespace() == namespace && o.GetName() == meshName
}

// Mesh is the mesh ConfigMap: the chart's defaults with over's keys merged in, as the chart merges the
// value meshConfig. over may be nil.
func Mesh(over *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	mesh, err := parse(meshDefaults)
	if err != nil {
		return nil, err
	}
	networks := "networks: {}"
	o := object("v1", "ConfigMap", map[string]any{
		"name": meshName, "namespace": namespace, "labels": map[string]any{"istio.io/rev": "default"},
	})
	if over != nil {
		o = over.DeepCopy()
		text, _, err := unstructured.NestedString(over.Object, "data", "mesh")
		if err != nil {
			return nil, err
		}
		given, err := parse([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("data.mesh: %w", err)
		}
		merge(mesh, given)
		if n, ok, _ := unstructured.NestedString(over.Object, "data", "meshNetworks"); ok && n != "" {
			networks = n
		}
	}
	text, err := yaml.Marshal(mesh)
	if err != nil {
		return nil, err
	}
	o.Object["data"] = map[string]any{"mesh": string(text), "meshNetworks": networks}
	return o, nil
}

func parse(text []byte) (map[string]any, error) {
	m := map[string]any{}
	err := yaml.Unmarshal(text, &m)
	return m, err
}

func merge(into, from map[string]any) {
	for k, v := range from {
		below, ok := into[k].(map[string]any)
		given, both := v.(map[string]any)
		if ok && both {
			merge(below, given)
			continue
		}
		into[k] = v
	}
}

func object(apiVersion, kind string, metadata map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}}
}
