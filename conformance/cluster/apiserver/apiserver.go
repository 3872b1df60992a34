// Package apiserver is the way to the cluster's API server that the node agents and the addons share.
package apiserver

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"fairway.dev/conformance/cluster/layout"
)

// Requests a second; the default of 5 makes pods wait for each other.
const (
	clientQPS   = 400
	clientBurst = 800
)

// Client speaks to the API server as one of the layout's users.
func Client(l layout.Layout, user string) (kubernetes.Interface, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig(user))
	if err != nil {
		return nil, err
	}
	rc.QPS, rc.Burst = clientQPS, clientBurst
	return kubernetes.NewForConfig(rc)
}

// Follow hears of every object of an informer: that it is there or changed, and that it is gone.
func Follow(i cache.SharedIndexInformer, put, remove func(any)) error {
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
