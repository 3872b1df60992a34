package cluster

import (
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

// fieldOwner is one field manager of one object.
type fieldOwner struct {
	Key
	manager string
}

func (c *Cluster) patch(info kindInfo, a clienttesting.PatchActionImpl) (runtime.Object, error) {
	key := Key{info.gvk.Group, info.gvk.Kind, a.GetNamespace(), a.GetName()}
	old, err := c.existing(info, key)
	if err != nil {
		return nil, err
	}
	var o *unstructured.Unstructured
	switch a.GetPatchType() {
	case types.JSONPatchType, types.MergePatchType:
		o, err = patched(a.GetPatchType(), a.GetPatch(), old)
	case types.ApplyPatchType:
		o, err = c.applied(fieldOwner{key, a.PatchOptions.FieldManager}, a, old)
	default:
		err = fmt.Errorf("%s of %s: patch type %s is not served", a.GetSubresource(), info.gvk.Kind, a.GetPatchType())
	}
	if err != nil {
		return nil, err
	}
	return c.storeObserved(info, subresource(a.GetSubresource(), o, old), old)
}

func patched(how types.PatchType, patch []byte, old *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	before, err := old.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var after []byte
	if how == types.MergePatchType {
		after, err = jsonpatch.MergePatch(before, patch)
	} else {
		var ops jsonpatch.Patch
		if ops, err = jsonpatch.DecodePatch(patch); err == nil {
			after, err = ops.Apply(before)
		}
	}
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	return o, o.UnmarshalJSON(after)
}

// applied is server-side apply for the one thing istiod's ambient controllers apply: conditions in a
// status. Each manager owns the condition types of its last patch; those it leaves out go away.
func (c *Cluster) applied(owner fieldOwner, a clienttesting.PatchActionImpl, old *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var patch struct {
		Status struct {
			Conditions []map[string]any `json:"conditions"`
		} `json:"status"`
	}
	if a.GetSubresource() != "status" {
		return nil, fmt.Errorf("server-side apply is served for conditions only, not for %q of %s", a.GetSubresource(), owner.Kind)
	}
	if err := json.Unmarshal(a.GetPatch(), &patch); err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, condition := range patch.Status.Conditions {
		mine[fmt.Sprint(condition["type"])] = true
	}
	conditions, _, err := unstructured.NestedSlice(old.Object, "status", "conditions")
	if err != nil {
		return nil, err
	}
	kept := []any{}
	for _, existing := range conditions {
		kind := conditionType(existing)
		if !mine[kind] && !c.owners[owner][kind] {
			kept = append(kept, existing)
		}
	}
	for _, condition := range patch.Status.Conditions {
		kept = append(kept, withIntegers(condition))
	}
	c.owners[owner] = mine
	o := old.DeepCopy()
	return o, unstructured.SetNestedSlice(o.Object, kept, "status", "conditions")
}

func conditionType(condition any) string {
	m, _ := condition.(map[string]any)
	kind, _ := m["type"].(string)
	return kind
}

// withIntegers turns what encoding/json read into what unstructured objects hold.
func withIntegers(m map[string]any) map[string]any {
	for k, v := range m {
		if f, ok := v.(float64); ok && f == float64(int64(f)) {
			m[k] = int64(f)
		}
	}
	return m
}
