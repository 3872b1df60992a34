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

// NodeName is the one node's name.
const NodeName = "node1"

// Addresses of the cluster. They exist in the node's network namespace only, so two clusters never meet.
const (
	NodeIP      = "172.18.77.1" // its /24 also holds load balancers' addresses
	PodCIDR     = "10.244.0.0/16"
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

// PIDFile holds the node's init process.
func (l Layout) PIDFile() string { return l.Below("node.pid") }

// Log is the output of one of the node's own programs.
func (l Layout) Log(name string) string { return l.Below("log", name+".log") }

// PKI is the folder of keys, certificates and kubeconfigs.
func (l Layout) PKI() string { return l.Below("pki") }

// Kubeconfig is one user's way to the API server.
func (l Layout) Kubeconfig(user string) string { return l.Below("pki", user+".kubeconfig") }

// Proxies is where the proxies under test are copied to, so that a rebuild does not change a running cluster.
func (l Layout) Proxies() string { return l.Below("proxies") }

// Cgroup is the name of the control group above the pods'. It differs between run folders.
func (l Layout) Cgroup() string {
	return fmt.Sprintf("fairway-%08x", crc32.ChecksumIEEE([]byte(l.Run)))
}
