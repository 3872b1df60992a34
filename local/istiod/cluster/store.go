package cluster

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// store writes o with the metadata an API server fills in, unless nothing changed. The caller holds
// the lock and gives o away.
func (c *Cluster) store(info kindInfo, o, old *unstructured.Unstructured) error {
	o.SetGroupVersionKind(info.gvk)
	c.stamp(o, old)
	if old != nil && reflect.DeepEqual(o.Object, old.Object) {
		return nil
	}
	c.version++
	o.SetResourceVersion(fmt.Sprint(c.version))
	typed, err := toTyped(info, o)
	if err != nil {
		return err
	}
	if err := c.publish(info, o, typed); err != nil {
		return err
	}
	c.objects[KeyOf(o)] = o
	return nil
}

// publish shows o to istiod's informers. The fakes ignore field selectors; the one that matters is on
// every one of istiod's pod informers, status.phase!=Failed: to them a pod that fails is deleted.
func (c *Cluster) publish(info kindInfo, o *unstructured.Unstructured, typed runtime.Object) error {
	tracker := c.trackers.of(info)
	_, err := tracker.Get(info.gvr, o.GetNamespace(), o.GetName())
	visible := err == nil
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	switch {
	case info.gvk.Kind == "Pod" && phase == string(corev1.PodFailed):
		if visible {
			return tracker.Delete(info.gvr, o.GetNamespace(), o.GetName())
		}
		return nil
	case visible:
		return tracker.Update(info.gvr, typed, o.GetNamespace())
	}
	return tracker.Create(info.gvr, typed, o.GetNamespace())
}

// stamp fills in uid, creation time and generation, and keeps those of old. A uid and a creation time
// that the applier gives stay: fairway makes them, since tokens and owner references carry them.
func (c *Cluster) stamp(o, old *unstructured.Unstructured) {
	generation := int64(1)
	if old != nil {
		o.SetResourceVersion(old.GetResourceVersion())
		if o.GetUID() == "" {
			o.SetUID(old.GetUID())
		}
		if created := o.GetCreationTimestamp(); created.IsZero() {
			o.SetCreationTimestamp(old.GetCreationTimestamp())
		}
		generation = old.GetGeneration()
		if !reflect.DeepEqual(o.Object["spec"], old.Object["spec"]) {
			generation++
		}
	}
	if o.GetUID() == "" {
		o.SetUID(types.UID(uuid.NewUUID()))
	}
	if created := o.GetCreationTimestamp(); created.IsZero() {
		o.SetCreationTimestamp(metav1.NewTime(c.options.Now()))
	}
	o.SetGeneration(generation)
	o.SetManagedFields(nil)
}

func (c *Cluster) remove(info kindInfo, k Key) error {
	delete(c.objects, k)
	for owner := range c.owners {
		if owner.Key == k {
			delete(c.owners, owner)
		}
	}
	err := c.trackers.of(info).Delete(info.gvr, k.Namespace, k.Name)
	if kerrors.IsNotFound(err) {
		return nil
	}
	return err
}
