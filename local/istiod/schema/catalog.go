// Package schema admits custom resources as a real API server would: it knows the CRD schemas of the
// pinned Istio and Gateway API and uses the API server's own code for defaults, unknown fields,
// OpenAPI types, list keys and CEL rules.
//
// It is not Istio's validating webhook; package cluster asks that one afterwards.
package schema

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go run ./generate crds.json.gz
//go:embed crds.json.gz
var compressed []byte

// catalog maps "group/version/Kind" to the schema's text. Only the kinds in use are ever compiled:
// the CEL rules of one Gateway API kind take a tenth of a second.
var catalog = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("embedded CRDs: %w", err)
	}
	m := map[string]json.RawMessage{}
	if err := json.NewDecoder(z).Decode(&m); err != nil {
		return nil, fmt.Errorf("embedded CRDs: %w", err)
	}
	return m, nil
})

var compiled = struct {
	sync.Mutex
	kinds map[schema.GroupVersionKind]*Kind
}{kinds: map[schema.GroupVersionKind]*Kind{}}

// For returns the schema of a custom resource, compiled on first use; nil if no CRD defines it.
func For(gvk schema.GroupVersionKind) (*Kind, error) {
	all, err := catalog()
	if err != nil {
		return nil, err
	}
	text, ok := all[gvk.Group+"/"+gvk.Version+"/"+gvk.Kind]
	if !ok {
		return nil, nil
	}
	compiled.Lock()
	defer compiled.Unlock()
	if k := compiled.kinds[gvk]; k != nil {
		return k, nil
	}
	k, err := compile(text)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", gvk, err)
	}
	compiled.kinds[gvk] = k
	return k, nil
}
