package node

import (
	"net/netip"
	"slices"
	"testing"

	"fairway.dev/conformance/cluster/layout"
)

func TestEveryNodeReachesTheOthersPods(t *testing.T) {
	a, b := layout.Nodes[0], layout.Nodes[1]
	if got := addresses(a); !slices.Contains(got, "route add "+b.PodCIDR+" via "+b.IP) {
		t.Errorf("%s has no way to %s: %q", a.Name, b.Name, got)
	}
	if got := addresses(b); !slices.Contains(got, "route add "+a.PodCIDR+" via "+a.IP) {
		t.Errorf("%s has no way to %s: %q", b.Name, a.Name, got)
	}
}

func TestNodesNetworksLieInTheClustersAndApart(t *testing.T) {
	cluster, nodes := netip.MustParsePrefix(layout.ClusterCIDR), netip.MustParsePrefix(layout.NodeCIDR)
	for i, n := range layout.Nodes {
		pods := netip.MustParsePrefix(n.PodCIDR)
		if !cluster.Contains(pods.Addr()) || pods.Bits() < cluster.Bits() {
			t.Errorf("%s's pods are outside %s", n.Name, cluster)
		}
		if !nodes.Contains(netip.MustParseAddr(n.IP)) {
			t.Errorf("%s is outside %s", n.Name, nodes)
		}
		for _, o := range layout.Nodes[:i] {
			if pods.Overlaps(netip.MustParsePrefix(o.PodCIDR)) || o.IP == n.IP || o.Name == n.Name {
				t.Errorf("%s and %s share something", n.Name, o.Name)
			}
		}
	}
}
