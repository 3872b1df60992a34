package cluster

import (
	"fmt"
	"reflect"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	tracker := c.trackers.of(info)
	if old == nil {
		err = tracker.Create(info.gvr, typed, o.GetNamespace())
	} else {
		err = tracker.Update(info.gvr, typed, o.GetNamespace())
	}
	if err == nil {
		c.objects[KeyOf(o)] = o
	}
	return err
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
