package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers lists what each package may import of this module; README.md draws the same.
var layers = map[string][]string{
	"schema":             {},
	"schema/generate":    {},
	"tokens":             {},
	"discovery":          {},
	"cluster":            {"schema"},
	"installation":       {"cluster"},
	"feed":               {"cluster"},
	"scenario":           {"cluster", "installation"},
	"record":             {"cluster", "discovery", "scenario", "tokens"},
	"cmd/fairway-istiod": {"cluster", "discovery", "feed", "installation", "record", "scenario", "tokens"},
}

func TestLayers(t *testing.T) {
	const module = "fairway.dev/local/istiod/"
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../../...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		allowed, known := layers[pkg]
		if !known {
			t.Errorf("package %s is in no layer", pkg)
		}
		seen++
		for _, imported := range fields[1:] {
			if below, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, below) {
				t.Errorf("%s imports %s", pkg, below)
			}
		}
	}
	if seen != len(layers) {
		t.Errorf("%d packages, the table has %d", seen, len(layers))
	}
}
