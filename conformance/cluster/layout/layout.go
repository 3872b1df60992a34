// Package layout names every file and address of a cluster. It opens and writes nothing.
//
// Invariant: everything lies under Cache (programs, by content) or Run (one cluster's state); removing the two folders
// removes the cluster.
package layout

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Node is one of the cluster's nodes.
type Node struct {
	Name    string
	IP      string // of NodeCIDR
	PodCIDR string // of ClusterCIDR: where this node's pods get their addresses
}

// Nodes are all of them. The first also holds the control plane, the DNS server and the load balancer controller.
var Nodes = []Node{
	{Name: "node1", IP: "172.18.77.1", PodCIDR: "10.244.1.0/24"},
	{Name: "node2", IP: "172.18.77.2", PodCIDR: "10.244.2.0/24"},
}

// Zone is the cluster's DNS zone; the server is on the first node.
const Zone = "cluster.local"

// First is the node with the control plane.
func First() Node { return Nodes[0] }

// NodeNamed finds a node.
func NodeNamed(name string) (Node, bool) {
	for _, n := range Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// NodeDevice is the device in every node that leads to the other ones.
const NodeDevice = "node0"

// Addresses of the cluster. They exist in the nodes' network namespaces only, so two clusters never meet.
const (
	NodeCIDR    = "172.18.77.0/24" // above 100: load balancers' addresses
	ClusterCIDR = "10.244.0.0/16"  // all nodes' pods
	ServiceCIDR = "10.96.0.0/16"
	APIService  = "10.96.0.1" // the Service "kubernetes": the first address of ServiceCIDR
	APIPort     = 6443
	KubeletPort = 10250
)

// Layout is where one cluster lives.
type Layout struct {
	Cache string // programs, shared by all clusters and all checkouts
	Run   string // this cluster's state
}

// Default is the layout the environment asks for: FAIRWAY_CACHE as in the Makefile, and run folders below it.
func Default() (Layout, error) {
	cache := os.Getenv("FAIRWAY_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Layout{}, fmt.Errorf("neither FAIRWAY_CACHE nor a home folder: %w", err)
		}
		cache = filepath.Join(home, ".cache", "fairway")
	}
	cache, err := filepath.Abs(filepath.Join(cache, "conformance"))
	if err != nil {
		return Layout{}, err
	}
	return Layout{Cache: cache, Run: filepath.Join(cache, "run")}, nil
}

// Below is the path of something in the run folder.
func (l Layout) Below(names ...string) string {
	return filepath.Join(append([]string{l.Run}, names...)...)
}

// Mark tells a run folder from a folder that merely has its name: only marked folders are removed.
func (l Layout) Mark() string { return l.Below("of-fairway-conformance") }

// OfNode is the path of something that one node has to itself: what pods take for the host's file system lies there.
func (l Layout) OfNode(n Node, names ...string) string {
	return l.Below(append([]string{n.Name}, names...)...)
}

// PIDFile holds a node's init process.
func (l Layout) PIDFile(n Node) string { return l.OfNode(n, "pid") }

// Programs is the folder of what a node's init process keeps running.
func (l Layout) Programs(n Node) string { return l.OfNode(n, "programs") }

// Log is the output of one of the nodes' own programs.
func (l Layout) Log(name string) string { return l.Below("log", name+".log") }

// Died is the log of programs that ended by themselves; it is there only if one did.
func (l Layout) Died() string { return l.Log("died") }

// PKI is the folder of keys, certificates and kubeconfigs.
func (l Layout) PKI() string { return l.Below("pki") }

// Kubeconfig is one user's way to the API server.
func (l Layout) Kubeconfig(user string) string { return l.Below("pki", user+".kubeconfig") }

// Proxies is where the proxies under test are copied to, so that a rebuild does not change a running cluster.
func (l Layout) Proxies() string { return l.Below("proxies") }

// Cgroup is the name of the control group above all pods'. It differs between run folders.
func (l Layout) Cgroup() string {
	return fmt.Sprintf("fairway-%08x", crc32.ChecksumIEEE([]byte(l.Run)))
}
