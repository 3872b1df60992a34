// Package addons is what a cluster needs besides Kubernetes' own programs and its nodes: a scheduler, a DNS server and a load
// balancer controller. One process on the first node plays them for all nodes.
package addons

import (
	"context"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/listers/core/v1"
	discovery "k8s.io/client-go/listers/discovery/v1"

	"fairway.dev/conformance/cluster/apiserver"
	"fairway.dev/conformance/cluster/layout"
)

// Addons are the parts, and what they know of the cluster.
type Addons struct {
	client   kubernetes.Interface
	services corev1.ServiceLister
	slices   discovery.EndpointSliceLister
	lbMu     sync.Mutex // one load balancer address is chosen at a time
}

// Run plays them until the process ends.
func Run(ctx context.Context, l layout.Layout) error {
	client, err := apiserver.Client(l, "node")
	if err != nil {
		return err
	}
	a := &Addons{client: client}
	f := informers.NewSharedInformerFactory(client, 0)
	core := f.Core().V1()
	a.services, a.slices = core.Services().Lister(), f.Discovery().V1().EndpointSlices().Lister()
	f.Discovery().V1().EndpointSlices().Informer()
	nothing := func(any) {}
	err = apiserver.Follow(core.Services().Informer(), func(o any) { a.assignLoadBalancer(ctx, o.(*v1.Service)) }, nothing)
	if err != nil {
		return err
	}
	s := newScheduler(client, core.Nodes().Lister(), core.Pods().Lister())
	wake := func(any) { s.wake() }
	if err := apiserver.Follow(core.Pods().Informer(), wake, wake); err != nil {
		return err
	}
	if err := apiserver.Follow(core.Nodes().Informer(), wake, nothing); err != nil {
		return err
	}
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	go s.run(ctx)
	return a.serveDNS()
}
