package node

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// PodNet is one pod's end of the pod network: a veth pair, a /32 address, and a route in the node. There is no bridge, so that
// replies pass the node's connection tracking, which Service addresses depend on.
type PodNet struct{ name, veth, addr string }

// What pods' network namespaces and devices are called, and where the namespaces' files are.
const (
	podPrefix   = "pod-"
	vethPrefix  = "v"
	netnsFolder = "/run/netns/"
)

// NewPodNet names the network of a pod. Ten digits of its uid keep the device's name within the kernel's 15 characters.
func NewPodNet(uid, addr string) PodNet {
	id := strings.ReplaceAll(uid, "-", "")[:10]
	return PodNet{podPrefix + id, vethPrefix + id, addr}
}

// ClearPodNets removes all pods' networks.
func ClearPodNets() {
	all, _ := filepath.Glob(netnsFolder + podPrefix + "*")
	for _, f := range all {
		id := strings.TrimPrefix(filepath.Base(f), podPrefix)
		PodNet{name: podPrefix + id, veth: vethPrefix + id}.Down()
	}
}

// Path is the network namespace's file, as seen in the node.
func (n PodNet) Path() string { return netnsFolder + n.name }

// Up makes the network, or nothing.
func (n PodNet) Up() error {
	n.Down()
	for _, step := range []func() error{n.makeDevices, n.configureInside, n.configureOutside} {
		if err := step(); err != nil {
			n.Down()
			return err
		}
	}
	return nil
}

func (n PodNet) makeDevices() error {
	return ip("", "netns add "+n.name, fmt.Sprintf("link add %s type veth peer name eth0 netns %s", n.veth, n.name))
}

func (n PodNet) configureInside() error {
	return ip(n.name, "link set lo up", "addr add "+n.addr+"/32 dev eth0", "link set eth0 up",
		"route add 169.254.1.1 dev eth0 scope link", "route add default via 169.254.1.1 dev eth0")
}

func (n PodNet) configureOutside() error {
	conf := "/proc/sys/net/ipv4/conf/" + n.veth
	if err := os.WriteFile(conf+"/proxy_arp", []byte("1"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(conf+"/rp_filter", []byte("0"), 0o644); err != nil {
		return err
	}
	return ip("", "link set "+n.veth+" up", fmt.Sprintf("route add %s/32 dev %s", n.addr, n.veth))
}

// Down removes whatever there is of the network. The kernel takes a namespace apart later, so the device in it is removed first.
func (n PodNet) Down() {
	if _, err := net.InterfaceByName(n.veth); err == nil {
		_ = exec.Command("ip", "link", "del", n.veth).Run()
	}
	if _, err := os.Stat(n.Path()); err == nil {
		_ = exec.Command("ip", "netns", "del", n.name).Run()
	}
}

// ip runs iproute2 once with a batch of commands; ns may be empty.
func ip(ns string, lines ...string) error {
	args := []string{"-batch", "-"}
	if ns != "" {
		args = []string{"-n", ns, "-batch", "-"}
	}
	return batch(exec.Command("ip", args...), lines)
}

// batch feeds iproute2 its commands.
func batch(c *exec.Cmd, lines []string) error {
	c.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
