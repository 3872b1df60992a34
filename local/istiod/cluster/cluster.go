// Package cluster is the Kubernetes that istiod sees: an API server kept in memory.
//
// Objects get in two ways. Apply and Delete are the user and the controllers (fairway, or a recorded
// scenario). Everything istiod writes arrives through its client; it is stored the same way and
// reported to the observer, so that each writer learns exactly what the other one wrote.
//
// It is not a controller: it makes no pods, endpoints or addresses, and it garbage-collects nothing.
// Invariant: objects and the client's trackers hold the same content (but for failed pods, see publish);
// both change under one lock.
package cluster

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	kubelib "istio.io/istio/pkg/kube"
)

// Options are what a cluster needs from outside.
type Options struct {
	// Tokens checks service account tokens (TokenReview).
	Tokens TokenReviewer
	// Observe is told of every write istiod makes, in order and under the cluster's lock: it must
	// neither block nor call back. May be nil.
	Observe func(Change)
	// Now is the clock behind creationTimestamp.
	Now func() time.Time
}

// Change is one write by istiod: the object as stored, or the key of one it removed.
type Change struct {
	Object  *unstructured.Unstructured
	Removed *unstructured.Unstructured
}

// Cluster is safe for use by several goroutines.
type Cluster struct {
	client   kubelib.Client
	trackers trackers
	options  Options

	mu      sync.Mutex
	objects map[Key]*unstructured.Unstructured
	version int64 // resourceVersion of the last write
	owners  map[fieldOwner]map[string]bool
}

// fakeClientset is what the generated fakes have in common.
type fakeClientset interface {
	PrependReactor(verb, resource string, reaction clienttesting.ReactionFunc)
	Tracker() clienttesting.ObjectTracker
	ClearActions()
}

// New returns an empty cluster in which all CRDs istiod may ask for are installed.
func New(options Options) (*Cluster, error) {
	// The fakes' watchers panic when their channel is full, so it must hold the largest batch.
	watch.DefaultChanSize = watchBuffer
	c := &Cluster{
		client: kubelib.NewFakeClientWithVersion(kubernetesMinor), options: options,
		objects: map[Key]*unstructured.Unstructured{}, owners: map[fieldOwner]map[string]bool{},
	}
	for _, set := range []any{c.client.Kube(), c.client.Istio(), c.client.GatewayAPI()} {
		f, ok := set.(fakeClientset)
		if !ok {
			return nil, fmt.Errorf("the client set %T is no fake: this istio version builds its fakes differently", set)
		}
		f.PrependReactor("*", "*", c.react)
	}
	c.trackers = newTrackers(c.client)
	c.answerReviews()
	if err := installCRDs(c.client); err != nil {
		return nil, err
	}
	return c, nil
}

// Client is the Kubernetes client to hand to istiod.
func (c *Cluster) Client() kubelib.Client { return c.client }

// Get returns a copy of a stored object, or nil.
func (c *Cluster) Get(k Key) *unstructured.Unstructured {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[k]; o != nil {
		return o.DeepCopy()
	}
	return nil
}

// Forget drops the fakes' record of past calls, which otherwise grows with every lease renewal.
func (c *Cluster) Forget() {
	for _, set := range []any{c.client.Kube(), c.client.Istio(), c.client.GatewayAPI()} {
		set.(fakeClientset).ClearActions()
	}
}

// trackers are where the three client sets keep their objects.
type trackers struct{ kube, istio, gateway clienttesting.ObjectTracker }

func newTrackers(client kubelib.Client) trackers {
	of := func(set any) clienttesting.ObjectTracker { return plain(set.(fakeClientset).Tracker()) }
	return trackers{of(client.Kube()), of(client.Istio()), of(client.GatewayAPI())}
}

// plain strips the layer that computes managed fields, which nothing here reads and which takes five
// milliseconds per write. Trackers without that layer come back as they are.
func plain(t clienttesting.ObjectTracker) clienttesting.ObjectTracker {
	v := reflect.Indirect(reflect.ValueOf(t))
	if v.Kind() == reflect.Struct {
		if below := v.FieldByName("ObjectTracker"); below.IsValid() {
			if inner, ok := below.Interface().(clienttesting.ObjectTracker); ok {
				return inner
			}
		}
	}
	return t
}

func (t trackers) of(info kindInfo) clienttesting.ObjectTracker {
	switch {
	case info.istio():
		return t.istio
	case info.custom():
		return t.gateway
	}
	return t.kube
}
