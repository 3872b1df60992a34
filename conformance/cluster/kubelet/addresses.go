package kubelet

import (
	"errors"
	"net/netip"
)

// podAddresses is how many pods with a network of their own a node can have: a /24 without its ends.
const podAddresses = 254

// podAddress is the n-th address of a node's /24, 1 <= n <= podAddresses.
func podAddress(cidr netip.Prefix, n int) string {
	a := cidr.Addr().As4()
	a[3] = byte(n)
	return netip.AddrFrom4(a).String()
}

var errNoAddress = errors.New("all of the node's pod addresses are in use")

// nextIP gives a pod its address; one that was given back comes again last. The caller holds k.mu.
func (k *Kubelet) nextIP() (string, error) {
	cidr, err := netip.ParsePrefix(k.node.PodCIDR)
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, p := range k.pods {
		used[p.ip] = true
	}
	for range podAddresses {
		k.lastIP = k.lastIP%podAddresses + 1
		if a := podAddress(cidr, k.lastIP); !used[a] {
			return a, nil
		}
	}
	return "", errNoAddress
}
