package cli

import (
	"slices"
	"testing"

	"fairway.dev/conformance/relay"
	"fairway.dev/conformance/suites/expect"
)

// A control on a test that is not known to pass would show nothing, and an edit without a control is no control.
func TestControlsCoverEveryEditAndNameTestsThatPass(t *testing.T) {
	list, err := expect.Read("../suites/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	edits := map[relay.Edit]bool{}
	for _, c := range controls {
		edits[c.edit] = true
		if !slices.Contains(list.Passes, c.test) {
			t.Errorf("%s: %s is not expected to pass", c.name, c.test)
		}
		if (c.edit == relay.None) != (c.want == expect.Passed) {
			t.Errorf("%s must %s", c.name, c.want)
		}
	}
	for _, e := range append(slices.Clone(relay.Edits), "") {
		if !edits[e] {
			t.Errorf("no control of %q", e)
		}
	}
}
