// Package kubelet runs pods without containers. It plays the kubelet, the container runtime and the pod network of one node.
//
// A pod is a network namespace with processes in it. A container is a process with its own mount and UTS namespace, whose root is
// a throw-away overlay of the machine's own root. There are no images: a table says which program stands in for which image name.
//
// What it is not: a judge of a pod's rights. Users, capabilities, seccomp and resource limits are ignored.
package kubelet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"fairway.dev/conformance/cluster/apiserver"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
)

// Kubelet is the agent of one node.
type Kubelet struct {
	l      layout.Layout
	node   layout.Node
	images *imageTable

	client     kubernetes.Interface
	namespaces corev1.NamespaceLister
	configMaps corev1.ConfigMapLister
	secrets    corev1.SecretLister

	mu     sync.Mutex
	pods   map[types.UID]*pod
	lastIP int
}

// Run plays the node until the process ends.
func Run(ctx context.Context, l layout.Layout, n layout.Node) error {
	k := &Kubelet{l: l, node: n, pods: map[types.UID]*pod{}, images: &imageTable{file: l.Below("images.json")}}
	if _, err := k.images.read(); err != nil {
		return err
	}
	if err := k.clear(); err != nil {
		return err
	}
	client, err := apiserver.Client(l, "node")
	if err != nil {
		return err
	}
	k.client = client
	if err := k.register(ctx); err != nil {
		return err
	}
	if err := k.watch(ctx); err != nil {
		return err
	}
	go k.sampleLogs()
	return k.serve()
}

// podsCgroup is the control group above all of the node's pods'.
func (k *Kubelet) podsCgroup() string {
	return filepath.Join(node.CgroupBase(k.l.Cgroup()), k.node.Name, "kubepods")
}

// clear removes what an agent before this one left: its pods are started anew.
func (k *Kubelet) clear() error {
	if err := node.KillAll(k.podsCgroup()); err != nil {
		return err
	}
	node.ClearPodNets()
	left, err := filepath.Glob(k.l.OfNode(k.node, "pods", "*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// watch starts the caches; this node's pods last: starting one looks into the other caches.
func (k *Kubelet) watch(ctx context.Context) error {
	f := informers.NewSharedInformerFactory(k.client, 0)
	core := f.Core().V1()
	k.namespaces, k.configMaps, k.secrets = core.Namespaces().Lister(), core.ConfigMaps().Lister(), core.Secrets().Lister()
	nothing := func(any) {}
	for _, on := range []struct {
		informer cache.SharedIndexInformer
		put      func(any)
	}{
		{core.Namespaces().Informer(), nothing},
		{core.ConfigMaps().Informer(), func(o any) { k.sourceChanged(configMapSource, o.(*v1.ConfigMap)) }},
		{core.Secrets().Informer(), func(o any) { k.sourceChanged(secretSource, o.(*v1.Secret)) }},
	} {
		if err := apiserver.Follow(on.informer, on.put, nothing); err != nil {
			return err
		}
	}
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	mine := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", k.node.Name).String()
	}))
	err := apiserver.Follow(mine.Core().V1().Pods().Informer(), func(o any) { k.podChanged(ctx, o.(*v1.Pod)) }, func(o any) {
		if p := k.byUID(o.(*v1.Pod).UID); p != nil { // by force: without waiting for us
			p.shorten(0)
			go p.end()
		}
	})
	mine.Start(ctx.Done())
	return err
}

func (k *Kubelet) byUID(uid types.UID) *pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pods[uid]
}

func (k *Kubelet) byName(ns, name string) *pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pods {
		if p.api.Namespace == ns && p.api.Name == name && !p.isEnding() {
			return p
		}
	}
	return nil
}

// podChanged starts a new pod and ends a deleted one.
func (k *Kubelet) podChanged(ctx context.Context, a *v1.Pod) {
	over := a.Status.Phase == v1.PodSucceeded || a.Status.Phase == v1.PodFailed
	k.mu.Lock()
	p := k.pods[a.UID]
	if p == nil && a.DeletionTimestamp == nil && !over {
		p = newPod(k, a)
		k.pods[a.UID] = p
		k.mu.Unlock()
		go p.run()
		return
	}
	k.mu.Unlock()
	switch {
	case p != nil:
		p.updated(a)
		if a.DeletionTimestamp != nil {
			go p.end()
		}
	case a.DeletionTimestamp != nil: // it ended before, nothing of it runs
		go k.forget(ctx, a)
	}
}

// forget removes a pod's object for good.
func (k *Kubelet) forget(ctx context.Context, a *v1.Pod) {
	now := int64(0)
	_ = k.client.CoreV1().Pods(a.Namespace).Delete(ctx, a.Name,
		metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &a.UID}})
}
