package crossing

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"fairway.dev/conformance/cluster/layout"
)

// throughHeader is what the waypoint adds to an answer: proof that it was there.
const throughHeader = "x-through: waypoint"

// route has the waypoint add the header.
const route = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: answer-%[1]s}
spec:
  parentRefs: [{group: "", kind: Service, name: answer-%[1]s, port: 80}]
  rules:
  - filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-through, value: waypoint}]}}]
    backendRefs: [{name: answer-%[1]s, port: 80}]
`

// throughWaypoint: with the namespace's waypoint on a given node, each of the request's two ways crosses as HBONE if it leads to
// another node, and nothing is readable.
func (x *crossing) throughWaypoint(on layout.Node) error {
	at, err := x.deployWaypoint(on)
	if err != nil {
		return err
	}
	if err := x.poll(func() error { _, err := x.askAll(1, throughHeader); return err }); err != nil {
		return err
	}
	var markers map[pair][]string
	seen, err := x.watched(func() (err error) { markers, err = x.askAll(requests, throughHeader); return err })
	if err != nil {
		return err
	}
	for p, asked := range markers {
		if at := seen.inTheClear(asked...); len(at) > 0 {
			x.problem("%s: readable on the cable at %v", p, at)
		}
		x.mustCross(seen, p.from != on, p.String()+", to the waypoint", x.pods[asker(p.from)], at)
		x.mustCross(seen, p.to != on, p.String()+", from the waypoint", at, x.pods[answerer(p.to)])
	}
	return x.removeWaypoint()
}

// deployWaypoint closes the other nodes while the waypoint's pod is placed, and returns the pod's address.
func (x *crossing) deployWaypoint(on layout.Node) (at netip.Addr, err error) {
	for _, n := range layout.Nodes {
		if n != on {
			if err := x.kubectl(nil, "cordon", n.Name); err != nil {
				return at, err
			}
			defer func() { _ = x.kubectl(nil, "uncordon", n.Name) }()
		}
	}
	if err := x.cluster.Istioctl(io.Discard, "waypoint", "apply", "-n", namespace, "--enroll-namespace", "--wait"); err != nil {
		return at, err
	}
	manifest := ""
	for _, n := range layout.Nodes {
		manifest += fmt.Sprintf(route, n.Name)
	}
	if err := x.apply(manifest); err != nil {
		return at, err
	}
	var out bytes.Buffer
	if err := x.kubectl(&out, "get", "pods", "-n", namespace, "-l", "gateway.networking.k8s.io/gateway-name=waypoint", "-o",
		"jsonpath={.items[*].status.podIP} {.items[*].spec.nodeName}"); err != nil {
		return at, err
	}
	f := strings.Fields(out.String())
	if len(f) != 2 || f[1] != on.Name {
		return at, fmt.Errorf("the waypoint is not one pod on %s: %q", on.Name, out.String())
	}
	return netip.ParseAddr(f[0])
}

// removeWaypoint leaves the namespace in the mesh without one.
func (x *crossing) removeWaypoint() error {
	if err := x.kubectl(nil, "label", "namespace", namespace, "istio.io/use-waypoint-"); err != nil {
		return err
	}
	if err := x.kubectl(nil, "delete", "-n", namespace, "httproute", "--all"); err != nil {
		return err
	}
	if err := x.kubectl(nil, "delete", "-n", namespace, "gateway/waypoint", "--timeout=60s"); err != nil {
		return err
	}
	return x.kubectl(nil, "wait", "-n", namespace, "--for=delete", "pod", "-l", "gateway.networking.k8s.io/gateway-name=waypoint", "--timeout=60s")
}
