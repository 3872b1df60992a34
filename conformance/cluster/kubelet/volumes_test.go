package kubelet

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
)

// holds reads all files of a folder.
func holds(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(at)
		name, _ := filepath.Rel(dir, at)
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSyncFolder(t *testing.T) {
	dir := t.TempDir()
	if err := put(dir, "token", []byte("t")); err != nil {
		t.Fatal(err)
	}
	keep := map[string]bool{"token": true}
	for i, step := range []map[string]string{
		{"a": "1", "sub/b": "2"}, {"a": "1", "sub/b": "3"}, {"a": "4"}, {}, {"sub/c": "5"},
	} {
		files := map[string][]byte{}
		for name, text := range step {
			files[name] = []byte(text)
		}
		if err := syncFolder(dir, files, keep); err != nil {
			t.Fatal(err)
		}
		want := maps.Clone(step)
		want["token"] = "t"
		if got := holds(t, dir); !maps.Equal(got, want) {
			t.Errorf("step %d: got %v, want %v", i, got, want)
		}
	}
}

func TestATokenThatIsBeingWrittenStays(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hidden+"token"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syncFolder(dir, nil, map[string]bool{"token": true}); err != nil || len(holds(t, dir)) != 1 {
		t.Errorf("got %v, %v", holds(t, dir), err)
	}
}

func TestPick(t *testing.T) {
	data := map[string][]byte{"k": []byte("v"), "l": []byte("w")}
	yes := true
	for name, c := range map[string]struct {
		items    []v1.KeyToPath
		optional *bool
		want     int // files; -1: an error
	}{
		"all":                 {nil, nil, 2},
		"one":                 {[]v1.KeyToPath{{Key: "k", Path: "p"}}, nil, 1},
		"missing":             {[]v1.KeyToPath{{Key: "k", Path: "p"}, {Key: "none", Path: "q"}}, nil, -1},
		"missing, as allowed": {[]v1.KeyToPath{{Key: "k", Path: "p"}, {Key: "none", Path: "q"}}, &yes, 1},
	} {
		files, err := pick(c.items, data, c.optional)
		if (err != nil) != (c.want < 0) || err == nil && len(files) != c.want {
			t.Errorf("%s: got %v, %v", name, files, err)
		}
	}
}
