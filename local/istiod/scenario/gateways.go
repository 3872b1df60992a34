package scenario

import (
	"fmt"
	"strings"

	"fairway.dev/local/istiod/cluster"
)

// gatewayClass is one of those istiod deploys a proxy for.
type gatewayClass struct {
	controller, managed, suffix, serviceType string
	waypoint                                 bool
}

var gatewayClasses = map[string]gatewayClass{
	"istio":           {"istio.io/gateway-controller", "istio.io-gateway-controller", "-istio", "LoadBalancer", false},
	"istio-waypoint":  {"istio.io/mesh-controller", "istio.io-mesh-controller", "", "ClusterIP", true},
	"istio-east-west": {"istio.io/eastwest-controller", "istio.io-eastwest-controller", "", "LoadBalancer", true},
}

const networkLabel = "topology.istio.io/network"

// deployed is what istiod's gateway deployment controller makes of one Gateway.
type deployed struct {
	class                gatewayClass
	gateway              object
	namespace, name      string
	managed, annotations object
}

// gateway is that controller, reduced to what discovery sees.
func (b *builder) gateway(o object) {
	class, ok := gatewayClasses[str(o, "spec", "gatewayClassName")]
	if !ok || len(list(o, "spec", "addresses")) > 0 {
		return // not istiod's, or somebody else runs the proxy
	}
	ns, n := name(o)
	d := deployed{class: class, gateway: o, namespace: ns, name: n + class.suffix}
	d.managed = with(b.inheritedLabels(o, class), object{
		"gateway.networking.k8s.io/gateway-name":       n,
		"gateway.networking.k8s.io/gateway-class-name": str(o, "spec", "gatewayClassName"),
		"gateway.istio.io/managed":                     class.managed,
	})
	d.annotations = with(untyped(labels(o, "metadata", "annotations")), untyped(labels(o, "spec", "infrastructure", "annotations")))
	b.add(object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": d.metadata()})
	deployment := clone(d.deployment())
	b.add(deployment)
	b.service(clone(d.service()), gatewayPrefix, 1)
	b.deployment(deployment, true)
}

// inheritedLabels are the Gateway's, or those its infrastructure field gives instead.
func (b *builder) inheritedLabels(o object, class gatewayClass) object {
	inherited := untyped(labels(o, "metadata", "labels"))
	if get(o, "spec", "infrastructure", "labels") != nil {
		inherited = untyped(labels(o, "spec", "infrastructure", "labels"))
	}
	system := b.out[cluster.Key{Kind: "Namespace", Name: "istio-system"}]
	if n := labels(system, "metadata", "labels")[networkLabel]; n != "" && class.waypoint {
		setDefaults(inherited, object{networkLabel: n})
	}
	return inherited
}

func (d deployed) metadata() object {
	return object{"name": d.name, "namespace": d.namespace, "labels": d.managed}
}

func (d deployed) selector() object {
	return object{"gateway.networking.k8s.io/gateway-name": str(d.gateway, "metadata", "name")}
}

func (d deployed) deployment() object {
	podLabels := with(d.managed, object{
		"service.istio.io/canonical-name":     d.name,
		"service.istio.io/canonical-revision": "latest",
		"sidecar.istio.io/inject":             "false",
	})
	if d.class.waypoint {
		podLabels["istio.io/dataplane-mode"] = "none"
	}
	podAnnotations := with(object{
		"istio.io/rev": "default", "prometheus.io/path": "/stats/prometheus",
		"prometheus.io/port": "15020", "prometheus.io/scrape": "true",
	}, d.annotations)
	count := int64(1)
	if r := str(d.gateway, "metadata", "annotations", replicasAnnotation); r != "" {
		_, _ = fmt.Sscan(r, &count)
	}
	container := object{
		"name": "istio-proxy", "image": "proxyv2", "args": []any{"proxy", "waypoint"},
		"ports": []any{
			object{"containerPort": int64(15020), "name": "metrics", "protocol": "TCP"},
			object{"containerPort": int64(15021), "name": "status-port", "protocol": "TCP"},
			object{"containerPort": int64(15090), "name": "http-envoy-prom", "protocol": "TCP"},
		},
	}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": d.metadata(),
		"spec": object{
			"replicas": count, "selector": object{"matchLabels": d.selector()},
			"template": object{
				"metadata": object{"labels": podLabels, "annotations": podAnnotations},
				"spec":     object{"serviceAccountName": d.name, "containers": []any{container}},
			},
		},
	}
}

func (d deployed) service() object {
	ports := []any{object{"name": "status-port", "port": int64(15021), "protocol": "TCP", "appProtocol": "tcp"}}
	seen := map[int64]bool{}
	for _, l := range list(d.gateway, "spec", "listeners") {
		if p := num(l, "port"); !seen[p] {
			seen[p] = true
			ports = append(ports, object{
				"name": str(l, "name"), "port": p, "protocol": "TCP", "appProtocol": strings.ToLower(str(l, "protocol")),
			})
		}
	}
	kind := d.class.serviceType
	if t := str(d.annotations, "networking.istio.io/service-type"); t != "" {
		kind = t
	}
	metadata := d.metadata()
	metadata["annotations"] = d.annotations
	if d.class.waypoint {
		metadata["annotations"] = with(d.annotations, object{"networking.istio.io/traffic-distribution": "PreferClose"})
	}
	return object{
		"apiVersion": "v1", "kind": "Service", "metadata": metadata,
		"spec": object{"type": kind, "ports": ports, "selector": d.selector()},
	}
}
