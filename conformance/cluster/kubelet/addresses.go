package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairway.dev/conformance/cluster/layout"
)

// podAddresses bounds the running number pods' addresses are made of; it fits layout.PodCIDR.
const podAddresses = 60000

// podAddress is the n-th address of the pod network, 1 <= n <= podAddresses.
func podAddress(n int) string { return fmt.Sprintf("10.244.%d.%d", n/250, n%250+2) }

// nextIP hands out pod addresses; one that was given back comes again last.
func (k *Kubelet) nextIP() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	used := map[string]bool{}
	for _, p := range k.pods {
		used[p.ip] = true
	}
	for {
		k.lastIP = k.lastIP%podAddresses + 1
		if a := podAddress(k.lastIP); !used[a] {
			return a
		}
	}
}

// assignLoadBalancer gives a LoadBalancer Service an address of the node's /24. kube-proxy does the rest: the address works from
// inside the node.
func (k *Kubelet) assignLoadBalancer(ctx context.Context, s *v1.Service) {
	if s.Spec.Type != v1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) > 0 || s.DeletionTimestamp != nil {
		return
	}
	go func() {
		k.lbMu.Lock()
		defer k.lbMu.Unlock()
		if err := k.assignLocked(ctx, s); err != nil {
			log.Printf("service %s/%s: %v", s.Namespace, s.Name, err)
		}
	}()
}

func (k *Kubelet) assignLocked(ctx context.Context, s *v1.Service) error {
	all, err := k.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	used := map[string]bool{layout.NodeIP: true}
	for _, o := range all.Items {
		for _, i := range o.Status.LoadBalancer.Ingress {
			if o.UID == s.UID {
				return nil // it has one by now
			}
			used[i.IP] = true
		}
	}
	a, err := freeAddress(s.Spec.LoadBalancerIP, used)
	if err != nil {
		return err
	}
	vip := v1.LoadBalancerIPModeVIP
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": v1.LoadBalancerStatus{
		Ingress: []v1.LoadBalancerIngress{{IP: a, IPMode: &vip}}}}})
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// freeAddress is the wanted address if it is one, else the first unused of the node's /24 above 100.
func freeAddress(wanted string, used map[string]bool) (string, error) {
	if net.ParseIP(wanted) != nil {
		return wanted, nil
	}
	prefix := layout.NodeIP[:strings.LastIndexByte(layout.NodeIP, '.')+1]
	for i := 101; i < 255; i++ {
		if a := fmt.Sprint(prefix, i); !used[a] {
			return a, nil
		}
	}
	return "", fmt.Errorf("no load balancer address is left")
}
