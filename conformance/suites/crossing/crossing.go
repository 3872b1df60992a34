// Package crossing shows what passes between the nodes: requests between pods of different nodes, watched on the cable.
//
// Without the mesh a request must be readable there (so the captures can see); in the mesh it must pass as HBONE, in TLS that both ends
// prove themselves in, and not otherwise; the same through a waypoint, on each of the nodes in turn.
package crossing

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
)

// namespace is where all of it happens.
const namespace = "two-nodes"

// patience is how long the mesh may take to hear of a change; requests is how many must be right in a row once it has.
const (
	patience = 60 * time.Second
	requests = 5
)

// crossing is one run.
type crossing struct {
	ctx      context.Context
	cluster  *controlplane.Cluster
	problems []string
	pods     map[string]netip.Addr // by name
}

// pair is a pod that asks and a pod that answers.
type pair struct{ from, to layout.Node }

func (p pair) String() string { return p.from.Name + " to " + p.to.Name }

func asker(n layout.Node) string    { return "ask-" + n.Name }
func answerer(n layout.Node) string { return "answer-" + n.Name }

// pairs are all there are, a node with itself too.
func pairs() (out []pair) {
	for _, from := range layout.Nodes {
		for _, to := range layout.Nodes {
			out = append(out, pair{from, to})
		}
	}
	return out
}

// Run returns what was not as it must be.
func Run(ctx context.Context, c *controlplane.Cluster) ([]string, error) {
	x := &crossing{ctx: ctx, cluster: c}
	defer func() { _ = x.kubectl(nil, "delete", "namespace", namespace, "--ignore-not-found") }()
	if err := x.deploy(); err != nil {
		return nil, err
	}
	phases := []struct {
		name string
		do   func() error
	}{{"outside the mesh", x.outside}, {"in the mesh", x.inside}, {"strict", x.strict}}
	for _, n := range layout.Nodes {
		phases = append(phases, struct {
			name string
			do   func() error
		}{"waypoint on " + n.Name, func() error { return x.throughWaypoint(n) }})
	}
	for _, p := range phases {
		before := len(x.problems)
		if err := p.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		if len(x.problems) == before {
			fmt.Fprintln(c.Progress, "ok  ", p.name)
		}
		for _, text := range x.problems[before:] {
			fmt.Fprintf(c.Progress, "FAIL %s: %s\n", p.name, text)
		}
	}
	for i, text := range x.problems {
		x.problems[i] = "crossing: " + text
	}
	return x.problems, nil
}

func (x *crossing) problem(format string, args ...any) {
	x.problems = append(x.problems, fmt.Sprintf(format, args...))
}

// watched runs f while the cable is watched. On the last node's end: with two nodes that is all there is to see.
func (x *crossing) watched(f func() error) (wire, error) {
	c, err := node.Listen(x.cluster.Layout, layout.Nodes[len(layout.Nodes)-1])
	if err != nil {
		return nil, err
	}
	err = f()
	seen, captureErr := c.End()
	if err == nil {
		err = captureErr
	}
	return seen, err
}

// ask sends one request with a new marker in its headers, which the answer repeats, and returns the marker and the answer.
func (x *crossing) ask(p pair) (marker, answer string, err error) {
	marker = "marker-" + rand.Text()
	var out bytes.Buffer
	err = x.cluster.Kubectl(nil, &out, "exec", "-n", namespace, asker(p.from), "--",
		"curl", "-sS", "-i", "-m", "5", "-H", "x-marker: "+marker, "http://"+answerer(p.to)+"/")
	if err != nil {
		err = fmt.Errorf("%s: %w", p, err)
	} else if !strings.Contains(out.String(), marker) || !strings.Contains(out.String(), `"pod": "`+answerer(p.to)+`"`) {
		err = fmt.Errorf("%s: not its answer: %.300s", p, out.String())
	}
	return marker, out.String(), err
}

// poll repeats f until it succeeds.
func (x *crossing) poll(f func() error) error {
	for end := time.Now().Add(patience); ; {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-x.ctx.Done():
			return x.ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (x *crossing) kubectl(out io.Writer, args ...string) error {
	if out == nil {
		out = io.Discard
	}
	return x.cluster.Kubectl(nil, out, args...)
}

func (x *crossing) apply(text string) error {
	return x.cluster.Kubectl(strings.NewReader(text), io.Discard, "apply", "-n", namespace, "-f", "-")
}
