package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rejection is an object that was not stored, and why. Several violations make several rejections.
type Rejection struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Field      string `json:"field"`
	Message    string `json:"message"`
}

// Result of an Apply.
type Result struct {
	Rejected []Rejection
	Warnings []string
}

// Apply stores each object as the whole desired state of that object. What is rejected leaves its
// previous version in place; the others are stored. Kubernetes kinds that istiod does not read
// (Job, Role, …) are none of its business and pass in silence.
func (c *Cluster) Apply(objects []*unstructured.Unstructured) Result {
	var result Result
	for _, o := range objects {
		warning, violations := c.apply(o.DeepCopy())
		id := fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
		if warning != "" {
			result.Warnings = append(result.Warnings, id+": "+warning)
		}
		for _, v := range violations {
			result.Rejected = append(result.Rejected, Rejection{
				o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName(), v.Field, v.Message,
			})
		}
	}
	return result
}

func (c *Cluster) apply(o *unstructured.Unstructured) (warning string, violations []Violation) {
	info, known, violation := lookup(o)
	if violation != nil {
		return "", []Violation{*violation}
	}
	if !known {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.objects[KeyOf(o)]
	status := o.Object["status"]
	if info.custom() {
		// A status is istiod's to write, as behind the status subresource of a CRD.
		delete(o.Object, "status")
	}
	warning, violations = admit(info, o, old)
	if len(violations) > 0 {
		return warning, violations
	}
	switch {
	case old != nil:
		keepStatus(info, o, old)
	case status != nil:
		// A new object's is taken: so a feeder brings back what an earlier istiod wrote (addresses!).
		o.Object["status"] = status
	}
	if err := c.store(info, o, old); err != nil {
		return warning, []Violation{{Message: err.Error()}}
	}
	return warning, nil
}

// lookup finds the kind of o and puts o into its scope.
func lookup(o *unstructured.Unstructured) (info kindInfo, known bool, violation *Violation) {
	gvk := o.GroupVersionKind()
	info, known = kindsByName[gvk.GroupKind()]
	if !known {
		if customGroup(gvk.Group) {
			return info, false, &Violation{Field: "kind", Message: fmt.Sprintf("no kind %q in %q", gvk.Kind, o.GetAPIVersion())}
		}
		return info, false, nil
	}
	if o.GetName() == "" {
		return info, true, &Violation{Field: "metadata.name", Message: "Required value: name is required"}
	}
	if info.schema.IsClusterScoped() {
		o.SetNamespace("")
	} else if o.GetNamespace() == "" {
		o.SetNamespace("default")
	}
	return info, true, nil
}

// keepStatus carries over what istiod wrote into the status of an object applied anew.
func keepStatus(info kindInfo, o, old *unstructured.Unstructured) {
	if info.custom() {
		if status, ok := old.Object["status"]; ok {
			o.Object["status"] = status
		}
		return
	}
	// The applier owns a Service's load balancer address, istiod's ambient controller its conditions.
	if info.gvk.Kind == "Service" {
		if conditions, ok, _ := unstructured.NestedSlice(old.Object, "status", "conditions"); ok {
			_ = unstructured.SetNestedSlice(o.Object, conditions, "status", "conditions")
		}
	}
}

// Delete removes an object; it is no error if there is none.
func (c *Cluster) Delete(k Key) error {
	info, known := kindsByName[schema.GroupKind{Group: k.Group, Kind: k.Kind}]
	if !known {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remove(info, k)
}
