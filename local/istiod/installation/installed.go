package installation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
)

// Installed is a cluster with a control plane installed in it: whatever is applied as the mesh
// ConfigMap is completed from the chart's defaults, and deleting it brings the defaults back.
type Installed struct{ *cluster.Cluster }

// On installs into c.
func On(c *cluster.Cluster) (Installed, error) {
	mesh, err := Mesh(nil)
	if err != nil {
		return Installed{}, err
	}
	if r := c.Apply([]*unstructured.Unstructured{Namespace(), mesh}).Rejected; len(r) > 0 {
		return Installed{}, fmt.Errorf("installing the control plane: %+v", r)
	}
	return Installed{c}, nil
}

// Apply is Cluster.Apply with the mesh ConfigMap completed.
func (i Installed) Apply(objects []*unstructured.Unstructured) cluster.Result {
	completed := make([]*unstructured.Unstructured, 0, len(objects))
	var rejected []cluster.Rejection
	for _, o := range objects {
		if IsMesh(o) {
			mesh, err := Mesh(o)
			if err != nil {
				rejected = append(rejected, cluster.Rejection{
					APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(),
					Field: "data.mesh", Message: err.Error(),
				})
				continue
			}
			o = mesh
		}
		completed = append(completed, o)
	}
	result := i.Cluster.Apply(completed)
	result.Rejected = append(rejected, result.Rejected...)
	return result
}

// Delete is Cluster.Delete, except that the mesh ConfigMap returns to its defaults.
func (i Installed) Delete(k cluster.Key) error {
	if k.Group == "" && k.Kind == "ConfigMap" && k.Namespace == namespace && k.Name == meshName {
		mesh, err := Mesh(nil)
		if err != nil {
			return err
		}
		i.Cluster.Apply([]*unstructured.Unstructured{mesh})
		return nil
	}
	return i.Cluster.Delete(k)
}
