package cluster

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kubelib "istio.io/istio/pkg/kube"
)

// toTyped makes the Go type that istiod's informers expect.
func toTyped(info kindInfo, o *unstructured.Unstructured) (runtime.Object, error) {
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	typed, err := kubelib.IstioScheme.New(info.gvk)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, typed); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", info.gvk.Kind, err)
	}
	// Typed clients return objects without their kind.
	typed.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return typed, nil
}

// fromTyped is toTyped's inverse. Go types print an empty status where nobody wrote one.
func fromTyped(info kindInfo, typed runtime.Object) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	var content map[string]any
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, err
	}
	content["apiVersion"], content["kind"] = info.gvk.GroupVersion().String(), info.gvk.Kind
	if status, ok := content["status"].(map[string]any); ok && len(status) == 0 {
		delete(content, "status")
	}
	if text, err = json.Marshal(content); err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	return o, o.UnmarshalJSON(text) // integers stay integers this way
}
