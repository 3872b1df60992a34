// Package kubelet runs pods without containers. It plays the kubelet, the container runtime, the pod network, the scheduler, the
// cluster's DNS server and its load balancer controller, for one node.
//
// A pod is a network namespace with processes in it. A container is a process with its own mount and UTS namespace, whose root is
// a throw-away overlay of the machine's own root. There are no images: a table says which program stands in for which image name.
//
// What it is not: a judge of a pod's rights. Users, capabilities, seccomp and resource limits are ignored.
package kubelet

import (
	"context"
	"log"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/listers/core/v1"
	discovery "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"fairway.dev/conformance/cluster/layout"
)

// Kubelet is the node agent and the few cluster services it stands in for.
type Kubelet struct {
	l      layout.Layout
	images *imageTable

	client     kubernetes.Interface
	namespaces corev1.NamespaceLister
	configMaps corev1.ConfigMapLister
	secrets    corev1.SecretLister
	services   corev1.ServiceLister
	slices     discovery.EndpointSliceLister

	mu     sync.Mutex
	pods   map[types.UID]*pod
	lastIP int
	lbMu   sync.Mutex // one load balancer address is chosen at a time
}

// Requests a second to the API server; the default of 5 makes pods wait for each other.
const (
	clientQPS   = 400
	clientBurst = 800
)

// Run plays the node until the process ends.
func Run(ctx context.Context, l layout.Layout) error {
	k := &Kubelet{l: l, pods: map[types.UID]*pod{}, images: &imageTable{file: l.Below("images.json")}}
	if _, err := k.images.read(); err != nil {
		return err
	}
	rc, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig("node"))
	if err != nil {
		return err
	}
	rc.QPS, rc.Burst = clientQPS, clientBurst
	if k.client, err = kubernetes.NewForConfig(rc); err != nil {
		return err
	}
	if err := k.register(ctx); err != nil {
		return err
	}
	if err := k.watch(ctx); err != nil {
		return err
	}
	go k.sampleLogs()
	failed := make(chan error, 2)
	go func() { failed <- k.serveDNS() }()
	go func() { failed <- k.serve() }()
	return <-failed
}

// watch starts the caches, pods last: starting one looks into the other caches.
func (k *Kubelet) watch(ctx context.Context) error {
	f := informers.NewSharedInformerFactory(k.client, 0)
	core := f.Core().V1()
	k.namespaces, k.configMaps, k.secrets = core.Namespaces().Lister(), core.ConfigMaps().Lister(), core.Secrets().Lister()
	k.services, k.slices = core.Services().Lister(), f.Discovery().V1().EndpointSlices().Lister()
	nothing := func(any) {}
	for _, on := range []struct {
		informer cache.SharedIndexInformer
		put      func(any)
	}{
		{core.Namespaces().Informer(), nothing},
		{f.Discovery().V1().EndpointSlices().Informer(), nothing},
		{core.Services().Informer(), func(o any) { k.assignLoadBalancer(ctx, o.(*v1.Service)) }},
		{core.ConfigMaps().Informer(), func(o any) { k.sourceChanged(configMapSource, o.(*v1.ConfigMap)) }},
		{core.Secrets().Informer(), func(o any) { k.sourceChanged(secretSource, o.(*v1.Secret)) }},
	} {
		if err := follow(on.informer, on.put, nothing); err != nil {
			return err
		}
	}
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	err := follow(core.Pods().Informer(), func(o any) { k.podChanged(ctx, o.(*v1.Pod)) }, func(o any) {
		if p := k.byUID(o.(*v1.Pod).UID); p != nil {
			go p.end()
		}
	})
	f.Start(ctx.Done())
	return err
}

func follow(i cache.SharedIndexInformer, put, remove func(any)) error {
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, o any) { put(o) },
		DeleteFunc: func(o any) {
			if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = t.Obj
			}
			remove(o)
		},
	})
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

// podChanged binds a new pod (there is but one node), starts a bound one, and ends a deleted one.
func (k *Kubelet) podChanged(ctx context.Context, a *v1.Pod) {
	if a.Spec.NodeName == "" {
		go k.bind(ctx, a)
		return
	}
	if a.Spec.NodeName != layout.NodeName {
		return
	}
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

func (k *Kubelet) bind(ctx context.Context, a *v1.Pod) {
	err := k.client.CoreV1().Pods(a.Namespace).Bind(ctx, &v1.Binding{ObjectMeta: metav1.ObjectMeta{Name: a.Name, UID: a.UID},
		Target: v1.ObjectReference{Kind: "Node", Name: layout.NodeName}}, metav1.CreateOptions{})
	if err != nil {
		log.Printf("%s/%s: binding: %v", a.Namespace, a.Name, err)
	}
}

// forget removes a pod's object for good.
func (k *Kubelet) forget(ctx context.Context, a *v1.Pod) {
	now := int64(0)
	_ = k.client.CoreV1().Pods(a.Namespace).Delete(ctx, a.Name,
		metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &a.UID}})
}
