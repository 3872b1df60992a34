package scenario

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/runtime"
)

// object is a Kubernetes object as YAML gives it. The controllers here copy most of what they read, so
// Go types would only be in the way.
type object = map[string]any

func get(o any, path ...string) any {
	for _, p := range path {
		m, ok := o.(object)
		if !ok {
			return nil
		}
		o = m[p]
	}
	return o
}

func str(o any, path ...string) string {
	s, _ := get(o, path...).(string)
	return s
}

func list(o any, path ...string) []any {
	l, _ := get(o, path...).([]any)
	return l
}

func num(o any, path ...string) int64 {
	n, _ := get(o, path...).(int64)
	return n
}

func labels(o any, path ...string) map[string]string {
	out := map[string]string{}
	m, _ := get(o, path...).(object)
	for k, v := range m {
		out[k] = fmt.Sprint(v)
	}
	return out
}

func untyped(m map[string]string) object {
	out := object{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// with returns base plus extra; extra wins.
func with(base, extra object) object {
	out := maps.Clone(base)
	maps.Copy(out, extra)
	return out
}

func clone(o object) object { return runtime.DeepCopyJSON(o) }

// child returns the map under name, made if it is missing.
func child(o object, name string) object {
	c, ok := o[name].(object)
	if !ok {
		c = object{}
		o[name] = c
	}
	return c
}

func setDefaults(o, defaults object) {
	for k, v := range defaults {
		if o[k] == nil {
			o[k] = v
		}
	}
}
