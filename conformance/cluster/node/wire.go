package node

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"fairway.dev/conformance/cluster/layout"
)

// wire lays the network between the nodes. The first one's device is a bridge, the other ones' are cables into it. (A bridge, too,
// because some kernels lack the dummy device, and it holds the address even without a cable.) Each node routes the other ones' pods
// to them, as a pod network without tunnels does: what passes there passes the cable as it is.
func wire(l layout.Layout) error {
	first, running := PID(l, layout.First())
	if !running {
		return errors.New("the first node is not up")
	}
	for i, n := range layout.Nodes {
		pid, running := PID(l, n)
		if !running {
			return fmt.Errorf("%s is not up", n.Name)
		}
		if i == 0 {
			if err := ipOf(first, "link add "+layout.NodeDevice+" type bridge"); err != nil {
				return err
			}
		} else if err := ipOf(first, cable(n, pid)...); err != nil {
			return err
		}
		if err := ipOf(pid, addresses(n)...); err != nil {
			return err
		}
	}
	return nil
}

// cable connects a node, whose init process is pid, to the first one's bridge; the commands are the first one's.
func cable(n layout.Node, pid int) []string {
	port := "to-" + n.Name
	return []string{
		fmt.Sprintf("link add %s type veth peer name %s netns %d", port, layout.NodeDevice, pid),
		fmt.Sprintf("link set %s master %s", port, layout.NodeDevice),
		"link set " + port + " up",
	}
}

// addresses gives a node its address and the ways to the other ones' pods. The default route only makes look-ups of load balancer
// addresses succeed; kube-proxy rewrites them before they leave.
func addresses(n layout.Node) []string {
	_, size, _ := strings.Cut(layout.NodeCIDR, "/")
	out := []string{"link set lo up", fmt.Sprintf("addr add %s/%s dev %s", n.IP, size, layout.NodeDevice),
		"link set " + layout.NodeDevice + " up", "route add default dev " + layout.NodeDevice}
	for _, other := range layout.Nodes {
		if other != n {
			out = append(out, fmt.Sprintf("route add %s via %s", other.PodCIDR, other.IP))
		}
	}
	return out
}

// ipOf runs iproute2 in the network of a process, but in no other namespace of it: process numbers in the commands are this one's.
func ipOf(pid int, lines ...string) error {
	return batch(exec.Command("nsenter", "-t", strconv.Itoa(pid), "-n", "ip", "-batch", "-"), lines)
}
