package official

import (
	"io"
	"maps"
	"strings"
	"testing"

	"fairway.dev/conformance/suites/expect"
)

func TestCollectReadsTestsAndNotTheirParts(t *testing.T) {
	const log = `=== RUN   TestConformance/MeshBasic
    conformance.go:47: a line of a test
--- FAIL: TestConformance (26.90s)
    --- PASS: TestConformance/MeshBasic (0.31s)
        --- PASS: TestConformance/MeshBasic/Send_to_service (0.00s)
    --- FAIL: TestConformance/MeshPorts (31.02s)
        --- FAIL: TestConformance/MeshPorts/Explicit_port_(echo) (30.00s)
    --- SKIP: TestConformance/HTTPRouteCORS (0.00s)
FAIL`
	got, err := collect(strings.NewReader(log), io.Discard)
	want := expect.Results{"MeshBasic": expect.Passed, "MeshPorts": expect.Failed, "HTTPRouteCORS": expect.Skipped}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
