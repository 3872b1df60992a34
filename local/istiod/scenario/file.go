package scenario

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Files returns the steps of a scenario: one file, or a directory's input.yaml, step-2.yaml, …
func Files(path string) ([]string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return []string{path}, nil
	}
	files := []string{filepath.Join(path, "input.yaml")}
	if _, err := os.Stat(files[0]); err != nil {
		return nil, err
	}
	for i := 2; ; i++ {
		f := filepath.Join(path, fmt.Sprintf("step-%d.yaml", i))
		if _, err := os.Stat(f); err != nil {
			return files, nil
		}
		files = append(files, f)
	}
}

// Environment reads the comment lines `# env: NAME=VALUE` of a scenario's first file: istiod's
// settings, for example feature flags.
func Environment(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if setting, ok := strings.CutPrefix(line, "# env:"); ok {
			k, v, ok := strings.Cut(strings.TrimSpace(setting), "=")
			if !ok {
				return nil, fmt.Errorf("%s: %q: want # env: NAME=VALUE", file, strings.TrimSpace(line))
			}
			env[k] = v
		}
	}
	return env, nil
}

// Read returns the documents of a YAML file, Lists flattened.
func Read(file string) ([]map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var docs []object
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		raw, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		var o object
		if err == nil {
			o, err = document(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", file, n, err)
		}
		switch {
		case len(o) == 0:
		case o["kind"] == "List":
			for _, e := range list(o, "items") {
				if item, ok := e.(object); ok {
					docs = append(docs, item)
				}
			}
		default:
			docs = append(docs, o)
		}
	}
}

func document(raw []byte) (object, error) {
	text, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, err
	}
	var o object
	return o, json.Unmarshal(text, &o) // integers become int64, as in unstructured objects
}
