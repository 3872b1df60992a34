package expect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var list = List{
	Features: []string{"Mesh"}, Passes: []string{"A", "B"},
	Fails: map[string]Known{"K": {Reason: "because"}},
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		run  Results
		want []string
	}{
		"as listed":           {Results{"A": Passed, "B": Passed}, nil},
		"one failed":          {Results{"A": Passed, "B": Failed}, []string{"B failed"}},
		"one missing":         {Results{"A": Passed}, []string{"B did not run"}},
		"one skipped":         {Results{"A": Passed, "B": Skipped}, []string{"B did not run"}},
		"nothing ran":         {Results{}, []string{"A did not run", "B did not run"}},
		"a stranger passed":   {Results{"A": Passed, "B": Passed, "C": Passed}, []string{"C ran and is not listed"}},
		"a stranger failed":   {Results{"A": Passed, "B": Passed, "C": Failed}, []string{"C ran and is not listed"}},
		"a stranger skipped":  {Results{"A": Passed, "B": Passed, "C": Skipped}, nil},
		"a known one skipped": {Results{"A": Passed, "B": Passed, "K": Skipped}, nil},
	} {
		if got := list.Judge(c.run); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestJudgeKnown(t *testing.T) {
	for name, c := range map[string]struct {
		run  Results
		want string
	}{
		"fails as known": {Results{"K": Failed}, ""},
		"passes":         {Results{"K": Passed}, "K passes and is listed as failing: move it to the passing ones"},
		"did not run":    {Results{}, "K did not run"},
		"skipped":        {Results{"K": Skipped}, "K did not run"},
	} {
		if got := JudgeKnown("K", c.run); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":      {"features: [Mesh]\n", "no tests"},
		"no reason":    {"features: [Mesh]\npasses: [A]\nfails: {K: {}}\n", "K fails for no reason"},
		"both":         {"features: [Mesh]\npasses: [K]\nfails: {K: {reason: x}}\n", "expected to pass and to fail"},
		"unknown keys": {"features: [Mesh]\npasses: [A]\nskips: [B]\n", "skips"},
	} {
		file := filepath.Join(t.TempDir(), "list.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestTheProjectsListIsSound(t *testing.T) {
	if _, err := Read("../mesh.yaml"); err != nil {
		t.Error(err)
	}
}
