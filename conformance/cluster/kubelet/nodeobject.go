package kubelet

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairway.dev/conformance/cluster/layout"
)

// maxPods is what the node says it can hold; nothing counts them.
const maxPods = podAddresses

// register creates or refreshes the Node object. Nobody watches heartbeats (the node lifecycle controller is off), so once is enough.
func (k *Kubelet) register(ctx context.Context) error {
	nodes := k.client.CoreV1().Nodes()
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.node.Name, Labels: map[string]string{
		v1.LabelHostname: k.node.Name, v1.LabelOSStable: "linux", v1.LabelArchStable: runtime.GOARCH,
		v1.LabelTopologyRegion: "local", v1.LabelTopologyZone: "local-1",
	}}, Spec: v1.NodeSpec{PodCIDR: k.node.PodCIDR, PodCIDRs: []string{k.node.PodCIDR}}}
	if _, err := nodes.Create(ctx, n, metav1.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	n, err := nodes.Get(ctx, k.node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	v, err := k.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	n.Status.Capacity = v1.ResourceList{}
	for _, r := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourcePods} {
		n.Status.Capacity[r] = capacity(r)
	}
	n.Status.Allocatable = n.Status.Capacity
	n.Status.Addresses = []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: k.node.IP}, {Type: v1.NodeHostName, Address: k.node.Name}}
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = layout.KubeletPort
	n.Status.NodeInfo = v1.NodeSystemInfo{KubeletVersion: v.GitVersion, OperatingSystem: "linux", Architecture: runtime.GOARCH,
		ContainerRuntimeVersion: "processes://1", OSImage: "this machine"}
	n.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	if n, err = nodes.UpdateStatus(ctx, n, metav1.UpdateOptions{}); err != nil {
		return err
	}
	// The API server taints a new node; the node lifecycle controller would take that back.
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t v1.Taint) bool { return t.Key == v1.TaintNodeNotReady })
	_, err = nodes.Update(ctx, n, metav1.UpdateOptions{})
	return err
}

// capacity is the size of the node.
func capacity(name v1.ResourceName) resource.Quantity {
	switch name {
	case v1.ResourceCPU:
		return *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI)
	case v1.ResourceMemory:
		var si unix.Sysinfo_t
		_ = unix.Sysinfo(&si)
		return *resource.NewQuantity(int64(si.Totalram)*int64(si.Unit), resource.BinarySI)
	}
	return *resource.NewQuantity(maxPods, resource.DecimalSI)
}
