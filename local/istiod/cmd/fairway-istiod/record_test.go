package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The streams of a scenario are the same from run to run. After a move to another istiod they may
// change: `make goldens`, and read the difference.
func TestRecordReproducesItsGoldens(t *testing.T) {
	const in = "../../../../conformance/goldens/02-httproute-weights"
	out := t.TempDir()
	if err := program(t, "record", "--in", in, "--out", out).Run(); err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{"waypoint-bookinfo-waypoint", "ztunnel"} {
		got, err := os.ReadFile(filepath.Join(out, proxy, "stream.binpb"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(in, proxy, "stream.binpb"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes that are not the golden's %d", proxy, len(got), len(want))
		}
		readable, err := os.ReadFile(filepath.Join(out, proxy, "stream.json"))
		if err != nil || !strings.Contains(string(readable), `"step": "step-2"`) {
			t.Errorf("%s: stream.json has no second step (%v)", proxy, err)
		}
	}
}

func TestRecordRefusesWhatAServerWould(t *testing.T) {
	file := filepath.Join(t.TempDir(), "input.yaml")
	text := "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: a}, spec: {egres: []}}"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := program(t, "record", "--in", file, "--out", t.TempDir())
	cmd.Stdout, cmd.Stderr = nil, nil
	said, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "Sidecar a/s: spec.egres: unknown field") {
		t.Errorf("got %v, %s", err, said)
	}
}
