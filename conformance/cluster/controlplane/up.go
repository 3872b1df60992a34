// Package controlplane starts and ends a cluster: etcd, the API server, its controllers, the addons, each node's agent and kube-proxy,
// the resource definitions, and Istio with the proxies under test in its images' places.
package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/cluster/pki"
	"fairway.dev/conformance/cluster/programs"
)

// Proxies are the programs under test, as files.
type Proxies struct {
	Ztunnel  string
	Waypoint string
	Bookinfo string // stands in for the sample's four images
}

// Cluster is a cluster that runs or is to.
type Cluster struct {
	Layout   layout.Layout
	Store    *programs.Store
	Progress io.Writer

	begin time.Time
}

// machineNeeds are commands of the machine that the cluster's programs call.
var machineNeeds = []string{"ip", "nft", "iptables", "nsenter", "setsid", "curl"}

// Up starts everything and returns when all of it is ready.
func (c *Cluster) Up(proxies Proxies) error {
	c.begin = time.Now()
	if node.Running(c.Layout) {
		return errors.New("a cluster is up already (`down` ends it)")
	}
	if err := c.checkMachine(); err != nil {
		return err
	}
	if err := c.Down(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"nodes", func() error { return c.makeNodes(proxies) }},
		{"API server", c.startAPIServer},
		{"controllers, addons, node agents and proxies", c.startAgents},
		{"resource definitions", c.defineResources},
		{"nodes ready", c.nodesReady},
		{"Istio applied", c.applyIstio},
		{"istiod", func() error { return c.rolledOut("deployment/istiod") }},
		{"istio-cni", func() error { return c.rolledOut("daemonset/istio-cni-node") }},
		{"ztunnel", func() error { return c.rolledOut("daemonset/ztunnel") }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w (logs: %s)", step.name, err, c.Layout.Below("log"))
		}
		fmt.Fprintf(c.Progress, "%5.1f s  %s\n", time.Since(c.begin).Seconds(), step.name)
	}
	return nil
}

// Down ends the cluster and forgets its state. All of its processes, mounts and network namespaces live inside the nodes'
// namespaces and go with them.
func (c *Cluster) Down() error {
	if err := node.Stop(c.Layout); err != nil {
		return err
	}
	if _, err := os.Stat(c.Layout.Mark()); err == nil {
		return os.RemoveAll(c.Layout.Run)
	}
	return nil
}

func (c *Cluster) checkMachine() error {
	if os.Getuid() != 0 {
		return errors.New("namespaces and mounts need root")
	}
	for _, p := range machineNeeds {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("this machine lacks %s (Debian: apt-get install iproute2 nftables iptables util-linux curl)", p)
		}
	}
	missing, err := c.Store.Missing()
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("not built yet: %v (`build` makes them)", missing)
	}
	return nil
}

// cniConfiguration is there because istio-cni adds itself to an existing plugin chain and waits until there is one.
const cniConfiguration = `{"cniVersion": "1.0.0", "name": "fairway", "plugins": [{"type": "fairway"}]}`

// makeNodes writes the run folder and makes the nodes' namespaces.
func (c *Cluster) makeNodes(proxies Proxies) error {
	l := c.Layout
	if _, err := os.Stat(l.Run); err == nil {
		return fmt.Errorf("%s exists and is not a cluster's", l.Run)
	}
	files := map[string]string{
		l.Mark():               "",
		l.Below("resolv.conf"): "nameserver " + layout.First().IP + "\n",
	}
	folders := []string{l.Below("log"), l.Below("certs")}
	for _, n := range layout.Nodes {
		cni := l.OfNode(n, "host/etc/cni/net.d")
		folders = append(folders, cni)
		files[filepath.Join(cni, "10-fairway.conflist")] = cniConfiguration
	}
	for _, d := range folders {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := c.writeImages(proxies); err != nil {
		return err
	}
	if err := pki.Write(l); err != nil {
		return err
	}
	return node.Start(l)
}

// Kubectl runs kubectl in the first node; its output goes to out, its complaints into the error.
func (c *Cluster) Kubectl(in io.Reader, out io.Writer, args ...string) error {
	return c.client(programs.Kubernetes, in, out, append([]string{"kubectl"}, args...)...)
}

// Istioctl runs istioctl in the first node.
func (c *Cluster) Istioctl(out io.Writer, args ...string) error {
	return c.client(programs.Istioctl, nil, out, args...)
}

func (c *Cluster) client(p programs.Program, in io.Reader, out io.Writer, args ...string) error {
	cmd, err := c.ClientCommand(p, args...)
	if err != nil {
		return err
	}
	var complaints tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &complaints
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", p, args, err, complaints.text)
	}
	return nil
}

// ClientCommand prepares one of the clients as the cluster's administrator.
func (c *Cluster) ClientCommand(p programs.Program, args ...string) (*exec.Cmd, error) {
	at, err := c.Store.Path(p)
	if err != nil {
		return nil, err
	}
	cmd, err := node.Command(c.Layout, layout.First(), append([]string{at}, args...)...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Layout.Kubeconfig("admin"))
	return cmd, nil
}

// tail keeps the last bytes of what is written.
type tail struct{ text []byte }

const tailSize = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = t.text[extra:]
	}
	return len(b), nil
}
