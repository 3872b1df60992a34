package crossing

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
)

// outside: without the mesh a request is readable on the cable if and only if it crosses. This is what shows that the captures see.
func (x *crossing) outside() error {
	for _, p := range pairs() {
		var marker string
		seen, err := x.watched(func() (err error) {
			return x.poll(func() (err error) { marker, _, err = x.ask(p); return err })
		})
		if err != nil {
			return err
		}
		if at := seen.inTheClear(marker); (len(at) > 0) != (p.from != p.to) {
			x.problem("%s: readable on the cable at %v", p, at)
		}
	}
	return nil
}

// inside: in the mesh nothing is readable, and what crosses begins a TLS session with the other pod's HBONE port.
func (x *crossing) inside() error {
	var markers map[pair][]string
	seen, err := x.watched(func() (err error) {
		if err := x.kubectl(nil, "label", "namespace", namespace, "istio.io/dataplane-mode=ambient"); err != nil {
			return err
		}
		if err := x.kubectl(nil, "wait", "-n", namespace, "pod", "--all", "--timeout=60s",
			`--for=jsonpath={.metadata.annotations.ambient\.istio\.io/redirection}=enabled`); err != nil {
			return err
		}
		if err := x.poll(x.hidden); err != nil {
			return err
		}
		markers, err = x.askAll(requests, "")
		return err
	})
	if err != nil {
		return err
	}
	for p, asked := range markers {
		if at := seen.inTheClear(asked...); len(at) > 0 {
			x.problem("%s: readable on the cable at %v", p, at)
		}
		from, to := x.pods[asker(p.from)], x.pods[answerer(p.to)]
		x.mustCross(seen, p.from != p.to, p.String(), from, to)
		if n := seen.handshakes(from, to); (n > 0) != (p.from != p.to) {
			x.problem("%s: %d TLS sessions were begun", p, n)
		}
	}
	return x.poll(x.identities)
}

// hidden: every request has found its way into the mesh. Proxies hear of pods one after the other; until then some pass as before.
func (x *crossing) hidden() error {
	var markers map[pair][]string
	seen, err := x.watched(func() (err error) { markers, err = x.askAll(1, ""); return err })
	if err != nil {
		return err
	}
	for p, asked := range markers {
		if at := seen.inTheClear(asked...); len(at) > 0 {
			return fmt.Errorf("%s: still readable on the cable at %v", p, at)
		}
	}
	return nil
}

// askAll asks between all pairs; answers must contain `want`. It returns the markers.
func (x *crossing) askAll(times int, want string) (map[pair][]string, error) {
	markers := map[pair][]string{}
	for _, p := range pairs() {
		for range times {
			marker, answer, err := x.ask(p)
			if err != nil {
				return nil, err
			}
			if !strings.Contains(strings.ToLower(answer), want) {
				return nil, fmt.Errorf("%s: no %q in %.300s", p, want, answer)
			}
			markers[p] = append(markers[p], marker)
		}
	}
	return markers, nil
}

// mustCross: one encrypted segment at least passes for each request from one address to the other's HBONE port if they lie on different
// nodes, and else none. (The end of an idle session is two segments.)
func (x *crossing) mustCross(seen wire, crosses bool, what string, from, to netip.Addr) {
	if n := seen.encrypted(from, to); crosses && n < requests || !crosses && n > 0 {
		x.problem("%s: %d encrypted segments from %s to %s:%d", what, n, from, to, hbonePort)
	}
}

// identities: the answering node's ztunnel has verified who asked. The cable cannot show it, TLS 1.3 hides certificates.
func (x *crossing) identities() error {
	want := fmt.Sprintf(`src.identity="spiffe://cluster.local/ns/%s/sa/%s"`, namespace, account)
	for _, p := range pairs() {
		var name, log bytes.Buffer
		if err := x.kubectl(&name, "get", "pods", "-n", controlplane.IstioNamespace, "-l", "app=ztunnel",
			"--field-selector=spec.nodeName="+p.to.Name, "-o", "jsonpath={.items[*].metadata.name}"); err != nil {
			return err
		}
		if err := x.kubectl(&log, "logs", "-n", controlplane.IstioNamespace, name.String()); err != nil {
			return err
		}
		if !verified(log.String(), asker(p.from), answerer(p.to), want) {
			return fmt.Errorf("%s: the ztunnel of %s never said inbound with %s", p, p.to.Name, want)
		}
	}
	return nil
}

// verified finds the inbound connection of one pod to the other in a ztunnel's access log.
func verified(log, from, to, identity string) bool {
	for line := range strings.Lines(log) {
		all := true
		for _, part := range []string{`direction="inbound"`, `src.workload="` + from + `"`, `dst.workload="` + to + `"`, identity} {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

const strictPolicy = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
`

// strict: where mutual TLS is demanded, pods of the mesh are answered across nodes, and a node itself, which is not in the mesh and was
// answered before, is not.
func (x *crossing) strict() error {
	from, to := layout.Nodes[0], layout.Nodes[len(layout.Nodes)-1]
	if err := x.poll(func() error { return x.askFromNode(from, to, true) }); err != nil {
		return err
	}
	if err := x.apply(strictPolicy); err != nil {
		return err
	}
	if err := x.poll(func() error { return x.askFromNode(from, to, false) }); err != nil {
		x.problem("%v", err)
	}
	_, err := x.askAll(1, "")
	return err
}

// askFromNode asks a pod of another node from outside the mesh.
func (x *crossing) askFromNode(from, to layout.Node, answered bool) error {
	cmd, err := node.CommandContext(x.ctx, x.cluster.Layout, from, "curl", "-sS", "-m", "2", "http://"+x.pods[answerer(to)].String()+":3000/")
	if err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	var refused *exec.ExitError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	if (err == nil) != answered {
		return fmt.Errorf("%s asked %s without the mesh: %.200s", from.Name, answerer(to), out)
	}
	return nil
}
