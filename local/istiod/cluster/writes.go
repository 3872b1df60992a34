package cluster

import (
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage/names"
	clienttesting "k8s.io/client-go/testing"
)

// react is the API server's side of every write istiod makes. client-go's fakes would do it too, but
// let a status update overwrite the whole object, number nothing and know no server-side apply.
// Reads and kinds the cluster does not hold fall through to them.
//
// Differs from an API server: no optimistic locking. istiod is the only writer of what it writes.
func (c *Cluster) react(a clienttesting.Action) (bool, runtime.Object, error) {
	info, known := kindsByResource[a.GetResource().GroupResource()]
	if !known {
		return false, nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var typed runtime.Object
	var err error
	switch a := a.(type) {
	case clienttesting.CreateActionImpl:
		typed, err = c.create(info, a)
	case clienttesting.UpdateActionImpl:
		typed, err = c.update(info, a)
	case clienttesting.PatchActionImpl:
		typed, err = c.patch(info, a)
	case clienttesting.DeleteActionImpl:
		err = c.deleteObserved(info, Key{info.gvk.Group, info.gvk.Kind, a.GetNamespace(), a.GetName()})
	default:
		return false, nil, nil
	}
	return true, typed, err
}

func (c *Cluster) create(info kindInfo, a clienttesting.CreateActionImpl) (runtime.Object, error) {
	o, err := fromTyped(info, a.GetObject())
	if err != nil {
		return nil, err
	}
	o.SetNamespace(a.GetNamespace())
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(names.SimpleNameGenerator.GenerateName(o.GetGenerateName()))
	}
	if c.objects[KeyOf(o)] != nil {
		return nil, kerrors.NewAlreadyExists(info.gvr.GroupResource(), o.GetName())
	}
	return c.storeObserved(info, o, nil)
}

func (c *Cluster) update(info kindInfo, a clienttesting.UpdateActionImpl) (runtime.Object, error) {
	o, err := fromTyped(info, a.GetObject())
	if err != nil {
		return nil, err
	}
	o.SetNamespace(a.GetNamespace())
	old, err := c.existing(info, KeyOf(o))
	if err != nil {
		return nil, err
	}
	return c.storeObserved(info, subresource(a.GetSubresource(), o, old), old)
}

// subresource returns what a write may change: the status and nothing else through "status",
// everything but the status otherwise.
func subresource(name string, o, old *unstructured.Unstructured) *unstructured.Unstructured {
	to, from := o, old
	if name == "status" {
		to, from = old.DeepCopy(), o
	}
	if status, ok := from.Object["status"]; ok {
		to.Object["status"] = status
	} else {
		delete(to.Object, "status")
	}
	return to
}

func (c *Cluster) existing(info kindInfo, k Key) (*unstructured.Unstructured, error) {
	if o := c.objects[k]; o != nil {
		return o, nil
	}
	return nil, kerrors.NewNotFound(info.gvr.GroupResource(), k.Name)
}

func (c *Cluster) storeObserved(info kindInfo, o, old *unstructured.Unstructured) (runtime.Object, error) {
	if err := c.store(info, o, old); err != nil {
		return nil, err
	}
	stored := c.objects[KeyOf(o)]
	if changed := stored != old; changed && c.options.Observe != nil && !internal(stored) {
		c.options.Observe(Change{Object: stored.DeepCopy()})
	}
	return toTyped(info, stored)
}

func (c *Cluster) deleteObserved(info kindInfo, k Key) error {
	old, err := c.existing(info, k)
	if err != nil {
		return err
	}
	if err := c.remove(info, k); err != nil {
		return err
	}
	if c.options.Observe != nil && !internal(old) {
		c.options.Observe(Change{Removed: old})
	}
	return nil
}

// internal tells what istiod writes for leader election, every few seconds and of no use to others.
func internal(o *unstructured.Unstructured) bool {
	switch o.GetKind() {
	case "Lease":
		return true
	case "ConfigMap":
		_, election := o.GetAnnotations()["control-plane.alpha.kubernetes.io/leader"]
		return election
	}
	return false
}
