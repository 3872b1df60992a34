// Package scenario turns a small YAML description of a cluster into all the objects such a cluster
// would hold: it plays scheduler, kubelet, istio-cni and the namespace, deployment, statefulset, gateway
// and endpointslice controllers, without running anything.
//
// It serves `record` and tests; in `serve` fairway does this work with real pods. Invariant: the same
// files give the same objects, names, addresses and times.
package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
)

// Annotations that scenario files use.
const (
	// actionAnnotation with the value "delete" on a document removes the object instead.
	actionAnnotation = "render/action"
	// replicasAnnotation on a Gateway: that many gateway pods.
	replicasAnnotation = "render/replicas"
)

// World is the state of one scenario: what the user applied so far, and what was derived from it.
type World struct {
	user      map[cluster.Key]object
	order     []cluster.Key // of first appearance; decides names, addresses and creation times
	addresses *addresses
	born      map[cluster.Key]time.Time
	stored    map[cluster.Key]object
	ticks     int
}

// New returns a world in which nothing was applied yet.
func New() *World {
	return &World{
		user: map[cluster.Key]object{}, addresses: newAddresses(),
		born: map[cluster.Key]time.Time{}, stored: map[cluster.Key]object{},
	}
}

// Apply merges documents into what the user wants: whole objects, as `kubectl apply`.
func (w *World) Apply(docs []map[string]any) error {
	for _, o := range docs {
		metadata := child(o, "metadata")
		if str(metadata, "name") == "" {
			return fmt.Errorf("%s without metadata.name", str(o, "kind"))
		}
		if str(metadata, "namespace") == "" && cluster.Namespaced(str(o, "apiVersion"), str(o, "kind")) {
			metadata["namespace"] = "default"
		}
		k := keyOf(o)
		_, exists := w.user[k]
		if str(metadata, "annotations", actionAnnotation) == "delete" {
			if !exists {
				return fmt.Errorf("delete: there is no %s %s/%s", k.Kind, k.Namespace, k.Name)
			}
			delete(w.user, k)
			continue
		}
		if !exists && !slices.Contains(w.order, k) {
			w.order = append(w.order, k)
		}
		w.user[k] = o
	}
	return nil
}

// Difference derives the complete cluster and returns what is new or changed since the last call, in
// a stable order, and what is gone.
func (w *World) Difference() (changed []*unstructured.Unstructured, gone []cluster.Key) {
	b := w.derive()
	for _, k := range b.order {
		o := b.out[k]
		if reflect.DeepEqual(w.stored[k], o) {
			continue
		}
		changed = append(changed, w.stamped(k, o))
	}
	for k := range w.stored {
		if _, ok := b.out[k]; !ok {
			gone = append(gone, k)
			delete(w.born, k)
		}
	}
	slices.SortFunc(gone, func(a, b cluster.Key) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	w.stored = b.out
	return changed, gone
}

// Objects returns the complete cluster of the last Difference.
func (w *World) Objects() map[cluster.Key]map[string]any { return w.stored }

// Applied tells whether the user wrote this object.
func (w *World) Applied(k cluster.Key) bool { return w.user[k] != nil }

// stamped adds uid and creation time. Times are a second apart in file order, so that Istio's
// "oldest wins" rules have one outcome.
func (w *World) stamped(k cluster.Key, o object) *unstructured.Unstructured {
	if _, ok := w.born[k]; !ok {
		w.ticks++
		w.born[k] = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.ticks) * time.Second)
	}
	o = clone(o)
	metadata := child(o, "metadata")
	metadata["creationTimestamp"] = w.born[k].Format(time.RFC3339)
	metadata["uid"] = uid(k)
	return &unstructured.Unstructured{Object: o}
}

func uid(k cluster.Key) string {
	return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, k)).String()
}

func keyOf(o object) cluster.Key { return cluster.KeyOf(&unstructured.Unstructured{Object: o}) }
