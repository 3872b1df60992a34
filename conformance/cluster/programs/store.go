package programs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Store is the cache of programs and the folder of pins that says what belongs in it.
type Store struct {
	cache string // where programs lie, by content
	pins  string // conformance/programs
	goVer string // the compiler's own name: another one makes other programs
}

// Open looks at the pins in folder `source` (the project's conformance folder) and at the compiler.
func Open(cache, source string) (*Store, error) {
	pins, err := filepath.Abs(filepath.Join(source, "programs"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(pins, "etcd", "go.mod")); err != nil {
		return nil, fmt.Errorf("%s is not the project's conformance folder (say --source): %w", source, err)
	}
	out, err := exec.Command("go", "env", "GOVERSION", "GOARCH").Output()
	if err != nil {
		return nil, fmt.Errorf("go: %w", err)
	}
	return &Store{cache: filepath.Join(cache, "bin"), pins: pins, goVer: strings.Join(strings.Fields(string(out)), " ")}, nil
}

// flags of every build. CGO is off so that the programs run in any pod.
var (
	buildFlags = []string{"-trimpath", "-buildvcs=false"}
	buildEnv   = []string{"CGO_ENABLED=0", "GOFLAGS=", "GOTOOLCHAIN=local"}
)

// Path is where a program lies, or will after Build.
func (s *Store) Path(p Program) (string, error) {
	r, err := find(p)
	if err != nil {
		return "", err
	}
	key, err := s.key(r)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.cache, string(p)+"-"+key, string(p)), nil
}

// Missing lists the programs that are not in the cache.
func (s *Store) Missing() ([]Program, error) {
	var out []Program
	for _, r := range recipes {
		at, err := s.Path(r.program)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(at); err != nil {
			out = append(out, r.program)
		}
	}
	return out, nil
}

func find(p Program) (recipe, error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.program == p })
	if i < 0 {
		return recipe{}, fmt.Errorf("no program called %s", p)
	}
	return recipes[i], nil
}

// key hashes everything that decides a program's content. Each part is preceded by its name, so parts cannot run together.
func (s *Store) key(r recipe) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%v\n%s\n%s\n", s.goVer, r.pkg, buildFlags, r.tags, s.stampsOf(r))
	folder := filepath.Join(s.pins, r.folder)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !(strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "go.")) {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(h, "file %s\n", name)
		_, err = io.Copy(h, f)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

func (s *Store) stampsOf(r recipe) string {
	return r.stamps(s.required(r.folder, "k8s.io/kubernetes"))
}

// required is the version a folder's go.mod asks for.
func (s *Store) required(folder, module string) string {
	b, err := os.ReadFile(filepath.Join(s.pins, folder, "go.mod"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) >= 2 && f[0] == module && strings.HasPrefix(f[1], "v") {
			return f[1]
		}
	}
	return ""
}

// SuiteVersion is the pinned version of the official suite and of the resource definitions.
func (s *Store) SuiteVersion() string { return s.required("gateway-api", "sigs.k8s.io/gateway-api") }

// ModuleFolder is where Go keeps the sources of a pinned module, after fetching them.
func (s *Store) ModuleFolder(folder, module string) (string, error) {
	for _, args := range [][]string{{"mod", "download", module}, {"list", "-m", "-f", "{{.Dir}}", module}} {
		c := exec.Command("go", args...)
		c.Dir = filepath.Join(s.pins, folder)
		c.Env = append(os.Environ(), buildEnv...)
		out, err := c.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
		if args[0] == "list" {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", nil
}
