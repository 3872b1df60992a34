package cluster

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
)

// Key names an object whatever version of its kind it was written in: one HTTPRoute, not one per version.
type Key struct{ Group, Kind, Namespace, Name string }

// KeyOf returns the key of obj.
func KeyOf(obj *unstructured.Unstructured) Key {
	gk := obj.GroupVersionKind().GroupKind()
	return Key{gk.Group, gk.Kind, obj.GetNamespace(), obj.GetName()}
}

// kindInfo is one kind that istiod reads: in which version, and by which resource name.
type kindInfo struct {
	schema resource.Schema
	gvr    schema.GroupVersionResource
	gvk    schema.GroupVersionKind
}

// custom tells kinds defined by a CRD from those of Kubernetes itself.
func (i kindInfo) custom() bool { return !i.schema.IsBuiltin() && customGroup(i.gvk.Group) }

// istio tells the kinds that istiod's validating webhook looks at.
func (i kindInfo) istio() bool { return strings.HasSuffix(i.gvk.Group, "istio.io") }

func customGroup(group string) bool {
	return strings.HasSuffix(group, "istio.io") || strings.HasPrefix(group, "gateway.networking.")
}

var (
	kindsByName     = map[schema.GroupKind]kindInfo{}
	kindsByResource = map[schema.GroupResource]kindInfo{}
)

func init() {
	for _, s := range collections.All.All() {
		info := kindInfo{
			schema: s, gvr: s.GroupVersionResource(),
			gvk: schema.GroupVersionKind{Group: s.Group(), Version: s.Version(), Kind: s.Kind()},
		}
		kindsByName[info.gvk.GroupKind()] = info
		kindsByResource[info.gvr.GroupResource()] = info
	}
}

// Namespaced tells whether objects of a kind live in namespaces. Kinds istiod does not read do, as
// most kinds do.
func Namespaced(apiVersion, kind string) bool {
	gv, _ := schema.ParseGroupVersion(apiVersion)
	info, known := kindsByName[schema.GroupKind{Group: gv.Group, Kind: kind}]
	return !known || !info.schema.IsClusterScoped()
}
