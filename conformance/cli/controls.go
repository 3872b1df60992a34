package cli

import (
	"context"
	"fmt"
	"os"

	"fairway.dev/conformance/relay"
	"fairway.dev/conformance/suites/expect"
	"fairway.dev/conformance/suites/official"
)

// control is a lie or a lack, and a test that must see it.
type control struct {
	name string
	edit relay.Edit // "": no waypoint at all
	test string
	want expect.Outcome
}

// controls show that the gate can fail, and for the reason given. The first shows that the relay itself breaks nothing.
var controls = []control{
	{"relay without edit", relay.None, "MeshHTTPRouteMatching", expect.Passed},
	{"relay without edit", relay.None, "MeshHTTPRouteWeight", expect.Passed},
	{"rules in the wrong order", relay.ReverseRules, "MeshHTTPRouteMatching", expect.Failed},
	{"prefixes as strings", relay.StringPrefix, "MeshHTTPRouteMatching", expect.Failed},
	{"weights ten points off", relay.ShiftedWeight, "MeshHTTPRouteWeight", expect.Failed},
	{"no waypoint", "", "MeshHTTPRouteSimpleSameNamespace", expect.Failed},
	{"no waypoint", "", "MeshTrafficSplit", expect.Failed},
	{"no waypoint", "", "MeshHTTPRouteMatching", expect.Failed},
	{"no waypoint", "", "MeshHTTPRouteWeight", expect.Failed},
}

// controls runs them and puts the cluster back as it was.
func (r *suiteRun) controls(ctx context.Context) (problems []string, err error) {
	if err := official.PrepareWaypoint(r.cluster); err != nil {
		return nil, err
	}
	now := relay.Edit("not yet")
	for _, c := range controls {
		if c.edit != now {
			if err := r.install(c.edit); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			now = c.edit
		}
		run := official.OneOf(r.list, c.test, strict)
		if c.edit == "" {
			run = run.WithoutWaypoint()
		}
		fmt.Printf("%s, %s must %s:\n", c.name, c.test, c.want)
		results, err := run.Do(ctx, r.cluster)
		if err != nil {
			return nil, err
		}
		if got := results[c.test]; got != c.want {
			problems = append(problems, fmt.Sprintf("%s: %s came to %q, not %s", c.name, c.test, got, c.want))
		}
	}
	if err := r.cluster.SetProxy(nil, r.cluster.WaypointProgram()); err != nil {
		return nil, err
	}
	return problems, nil
}

// install puts the relay before the waypoint, or takes the waypoint away.
func (r *suiteRun) install(edit relay.Edit) error {
	if edit == "" {
		return official.RemoveWaypoint(r.cluster)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := r.cluster.SetProxy([]string{self, relayCommand, string(edit)}, r.cluster.WaypointProgram()); err != nil {
		return err
	}
	return official.RestartWaypoint(r.cluster)
}
