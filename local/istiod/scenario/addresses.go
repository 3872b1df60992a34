package scenario

import "fmt"

// node is one of the two every scenario has, in two zones of one region.
type node struct{ name, ip, zone string }

var nodes = []node{
	{"node-a", "172.18.0.2", "zone-a"},
	{"node-b", "172.18.0.3", "zone-b"},
}

// Region of both nodes.
const Region = "region-1"

// Zone returns the zone of a node, "" if there is no such node.
func Zone(name string) string { return nodeNamed(name).zone }

func nodeNamed(name string) node {
	for _, n := range nodes {
		if n.name == name {
			return n
		}
	}
	return node{}
}

// addresses hands out addresses and nodes. What was given once stays with its owner and is never
// given to another.
type addresses struct {
	given  map[string]string // "pod/ns/name" or "svc/ns/name" -> address
	next   map[string]int    // per block
	placed map[string]int    // "ns/name" -> index into nodes
	count  map[bool]int      // pods placed so far, gateways' and others
}

func newAddresses() *addresses {
	return &addresses{given: map[string]string{}, next: map[string]int{}, placed: map[string]int{}, count: map[bool]int{}}
}

// block gives owner the next address of a /24 written as "a.b.c", from first on, then of blocks
// sixteen and more further up.
func (a *addresses) block(owner, prefix string, first int) string {
	if ip, ok := a.given[owner]; ok {
		return ip
	}
	n := a.next[prefix] + first
	a.next[prefix]++
	ip := fmt.Sprintf("%s.%d", prefix, n)
	if n > 250 {
		var x, y, z int
		if _, err := fmt.Sscanf(prefix, "%d.%d.%d", &x, &y, &z); err != nil {
			panic(err) // prefixes are constants of this package
		}
		ip = fmt.Sprintf("%d.%d.%d.%d", x, y, z+16+(n-251)/240, 10+(n-251)%240)
	}
	a.given[owner] = ip
	return ip
}

// place is a pod's address and node.
type place struct {
	ip   string
	node node
}

// pod places a pod: round robin, gateway pods counted apart so that adding a Gateway moves no
// application pod. fixed is the address the scenario asks for, or "".
func (a *addresses) pod(namespace, name, fixed string, gateway bool) place {
	id := namespace + "/" + name
	if _, ok := a.placed[id]; !ok {
		a.placed[id] = a.count[gateway] % len(nodes)
		a.count[gateway]++
	}
	n := a.placed[id]
	switch {
	case fixed != "":
		return place{fixed, nodes[n]}
	case gateway:
		return place{a.block("pod/"+id, "10.244.9", 1), nodes[n]}
	}
	return place{a.block("pod/"+id, fmt.Sprintf("10.244.%d", n+1), 11), nodes[n]}
}
