package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pinned makes a source folder whose programs are pinned as given.
func pinned(t *testing.T, files map[string]string) string {
	t.Helper()
	source := t.TempDir()
	for name, text := range files {
		at := filepath.Join(source, "programs", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return source
}

func path(t *testing.T, source string, p Program) string {
	t.Helper()
	s, err := Open("/cache", source)
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Path(p)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAProgramMovesWhenItsPinsDo(t *testing.T) {
	files := map[string]string{
		"etcd/go.mod": "module etcd\n", "etcd/main.go": "package main\n",
		"kubernetes/go.mod": "require (\n\tk8s.io/kubernetes v1.36.3\n)\n",
	}
	before := path(t, pinned(t, files), Etcd)
	kubernetes := path(t, pinned(t, files), Kubernetes)
	if again := path(t, pinned(t, files), Etcd); again != before {
		t.Errorf("the same pins elsewhere: %s, then %s", before, again)
	}
	for name, change := range map[string]struct{ file, text string }{
		"sum":    {"etcd/go.sum", "x"},
		"source": {"etcd/main.go", "package main // changed\n"},
	} {
		changed := map[string]string{change.file: change.text}
		for f, text := range files {
			if _, ok := changed[f]; !ok {
				changed[f] = text
			}
		}
		source := pinned(t, changed)
		if path(t, source, Etcd) == before {
			t.Errorf("%s changed and etcd stayed", name)
		}
		if path(t, source, Kubernetes) != kubernetes {
			t.Errorf("%s of etcd changed and kubernetes moved", name)
		}
	}
}

func TestStampsCarryThePinnedVersion(t *testing.T) {
	r, err := find(Kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	got := r.stamps("v1.36.3")
	for _, want := range []string{"gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
}

func TestOpenNamesAWrongFolder(t *testing.T) {
	if _, err := Open("/cache", t.TempDir()); err == nil || !strings.Contains(err.Error(), "--source") {
		t.Errorf("got %v", err)
	}
}
