package addons

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

// assignLoadBalancer gives a LoadBalancer Service an address of the nodes' network. kube-proxy does the rest: the address works from
// inside every node.
func (a *Addons) assignLoadBalancer(ctx context.Context, s *v1.Service) {
	if s.Spec.Type != v1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) > 0 || s.DeletionTimestamp != nil {
		return
	}
	go func() {
		a.lbMu.Lock()
		defer a.lbMu.Unlock()
		if err := a.assignLocked(ctx, s); err != nil {
			log.Printf("service %s/%s: %v", s.Namespace, s.Name, err)
		}
	}()
}

func (a *Addons) assignLocked(ctx context.Context, s *v1.Service) error {
	all, err := a.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, o := range all.Items {
		for _, i := range o.Status.LoadBalancer.Ingress {
			if o.UID == s.UID {
				return nil // it has one by now
			}
			used[i.IP] = true
		}
	}
	ip, err := freeAddress(s.Spec.LoadBalancerIP, used)
	if err != nil {
		return err
	}
	vip := v1.LoadBalancerIPModeVIP
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": v1.LoadBalancerStatus{
		Ingress: []v1.LoadBalancerIngress{{IP: ip, IPMode: &vip}}}}})
	if err != nil {
		return err
	}
	_, err = a.client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// freeAddress is the wanted address if it is one, else the first unused of the nodes' network above 100.
func freeAddress(wanted string, used map[string]bool) (string, error) {
	if net.ParseIP(wanted) != nil {
		return wanted, nil
	}
	prefix := layout.NodeCIDR[:strings.LastIndexByte(layout.NodeCIDR, '.')+1]
	for i := 101; i < 255; i++ {
		if a := fmt.Sprint(prefix, i); !used[a] {
			return a, nil
		}
	}
	return "", fmt.Errorf("no load balancer address is left")
}
