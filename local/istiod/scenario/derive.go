package scenario

import (
	"fmt"
	"hash/fnv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
	"fairway.dev/local/istiod/installation"
)

// builder collects the objects of one derivation, in order.
type builder struct {
	w     *World
	out   map[cluster.Key]object
	order []cluster.Key
}

func (b *builder) add(o object) {
	k := keyOf(o)
	if _, dup := b.out[k]; !dup {
		b.order = append(b.order, k)
	}
	b.out[k] = o
}

func (w *World) derive() *builder {
	b := &builder{w: w, out: map[cluster.Key]object{}}
	b.infrastructure()
	b.namespaces()
	b.add(w.mesh())
	for _, k := range w.order {
		if o, live := w.user[k]; live {
			b.expand(k, clone(o))
		}
	}
	b.endpointSlices()
	return b
}

// infrastructure adds nodes and GatewayClasses. istiod would make most of the latter itself, in the
// middle of the first step.
func (b *builder) infrastructure() {
	for _, n := range nodes {
		b.add(object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": n.name, "labels": object{
			"kubernetes.io/hostname":        n.name,
			"topology.kubernetes.io/region": Region,
			"topology.kubernetes.io/zone":   n.zone,
		}}, "status": object{"addresses": []any{object{"type": "InternalIP", "address": n.ip}}}})
	}
	for _, name := range []string{"istio", "istio-east-west", "istio-waypoint"} {
		b.add(object{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": object{"name": name},
			"spec": object{"controllerName": gatewayClasses[name].controller},
		})
	}
}

// namespaces adds those applied, then those only mentioned.
func (b *builder) namespaces() {
	b.namespace("istio-system")
	for _, k := range b.w.order {
		if o, live := b.w.user[k]; live && k.Kind == "Namespace" {
			o = clone(o)
			child(child(o, "metadata"), "labels")["kubernetes.io/metadata.name"] = k.Name
			b.add(o)
		}
	}
	for _, k := range b.w.order {
		if b.w.user[k] != nil && k.Namespace != "" {
			b.namespace(k.Namespace)
		}
	}
}

func (b *builder) namespace(name string) {
	if b.out[cluster.Key{Kind: "Namespace", Name: name}] != nil {
		return
	}
	b.add(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{
		"name": name, "labels": object{"kubernetes.io/metadata.name": name},
	}})
}

func (w *World) mesh() object {
	var over *unstructured.Unstructured
	for _, o := range w.user {
		if u := (&unstructured.Unstructured{Object: o}); installation.IsMesh(u) {
			over = u
		}
	}
	mesh, err := installation.Mesh(over)
	if err != nil {
		mesh = over // the mesh text is no YAML: istiod will say so
	}
	return mesh.Object
}

// expand adds one of the user's objects with what its controller makes of it.
func (b *builder) expand(k cluster.Key, o object) {
	switch k.Kind {
	case "Namespace":
	case "ConfigMap":
		if !installation.IsMesh(&unstructured.Unstructured{Object: o}) {
			b.add(o)
		}
	case "Service":
		b.service(o, servicePrefix, 11)
	case "Pod":
		b.pod(o, b.w.addresses.pod(k.Namespace, k.Name, str(o, "status", "podIP"), false))
	case "Deployment":
		b.add(o)
		b.deployment(o, false)
	case "StatefulSet":
		b.add(o)
		b.statefulSet(o)
	case "Gateway":
		b.add(o)
		if k.Group == "gateway.networking.k8s.io" {
			b.gateway(o)
		}
	default:
		b.add(o)
	}
}

// hashName is the random part of a generated name, made from what it is for.
func hashName(parts ...string) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Join(parts, "/")))
	v := h.Sum64()
	var s strings.Builder
	for range 10 {
		s.WriteByte(alphabet[v%uint64(len(alphabet))])
		v /= uint64(len(alphabet))
	}
	return s.String()
}

func replicas(o object) int64 {
	if get(o, "spec", "replicas") == nil {
		return 1
	}
	return num(o, "spec", "replicas")
}

func name(o object) (namespace, name string) {
	return str(o, "metadata", "namespace"), str(o, "metadata", "name")
}

func podName(owner, hash string, parts ...string) string {
	return fmt.Sprintf("%s-%s-%s", owner, hash, hashName(parts...)[:5])
}
