// Command generate collects the CRD schemas of the pinned Istio and Gateway API modules into
// crds.json.gz. Run it with `go generate ./schema` after changing either version in go.mod.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// sources are globs below a module's directory. Gateway API: the experimental channel, since Istio
// reads retries, session persistence and TCPRoute, which the standard channel lacks.
var sources = []struct{ module, glob string }{
	{"istio.io/istio", "manifests/charts/base/files/crd-all.gen.yaml"},
	{"sigs.k8s.io/gateway-api", "config/crd/experimental/*.yaml"},
}

type crd struct {
	Kind string `json:"kind"`
	Spec struct {
		Group    string                `json:"group"`
		Names    struct{ Kind string } `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(target string) error {
	schemas := map[string]any{}
	for _, s := range sources {
		dir, err := moduleDir(s.module)
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, s.glob))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("%s: nothing matches %s (%v)", s.module, s.glob, err)
		}
		for _, f := range files {
			if err := collect(f, schemas); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	return write(target, schemas)
}

func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	return strings.TrimSpace(string(out)), err
}

func collect(file string, schemas map[string]any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := docs.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var c crd
		if err := yaml.Unmarshal(doc, &c); err != nil {
			return err
		}
		if c.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, v := range c.Spec.Versions {
			schemas[c.Spec.Group+"/"+v.Name+"/"+c.Spec.Names.Kind] = undescribed(v.Schema.OpenAPIV3Schema)
		}
	}
}

// undescribed drops the descriptions: nine tenths of the text, none of the meaning. A property that
// is itself called "description" is a schema, not a string, and stays.
func undescribed(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if _, text := e.(string); k == "description" && text {
				delete(x, k)
				continue
			}
			x[k] = undescribed(e)
		}
	case []any:
		for i := range x {
			x[i] = undescribed(x[i])
		}
	}
	return v
}

func write(target string, schemas map[string]any) error {
	text, err := json.Marshal(schemas) // map keys are sorted: the file is reproducible
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(target, buf.Bytes(), 0o644)
}
