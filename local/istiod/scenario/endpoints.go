package scenario

import (
	"fmt"
	"maps"
	"slices"

	"fairway.dev/local/istiod/cluster"
)

// endpointSlices plays the endpointslice controller for every Service with a selector.
func (b *builder) endpointSlices() {
	var pods, services []object
	for _, k := range b.order {
		switch k.Kind {
		case "Pod":
			pods = append(pods, b.out[k])
		case "Service":
			services = append(services, b.out[k])
		}
	}
	for _, s := range services {
		if len(labels(s, "spec", "selector")) > 0 && str(s, "spec", "type") != "ExternalName" {
			b.slicesOf(s, pods)
		}
	}
}

// slicesOf adds a Service's slices: one per set of resolved ports, as in Kubernetes.
func (b *builder) slicesOf(service object, pods []object) {
	ns, n := name(service)
	endpoints, portsOf := map[string][]any{}, map[string][]any{}
	for _, p := range pods {
		if !selected(service, p) {
			continue
		}
		ports := resolvedPorts(service, p)
		id := fmt.Sprint(ports)
		portsOf[id] = ports
		endpoints[id] = append(endpoints[id], endpoint(service, p))
	}
	ids := slices.Sorted(maps.Keys(endpoints))
	if len(ids) == 0 {
		ids = []string{""}
	}
	metadata := object{"kubernetes.io/service-name": n, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
	if str(service, "spec", "clusterIP") == "None" {
		metadata["service.kubernetes.io/headless"] = ""
	}
	for i, id := range ids {
		o := object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata": object{
				"name": fmt.Sprintf("%s-%s", n, hashName(ns, n, fmt.Sprint(i))[:5]), "namespace": ns, "labels": metadata,
			},
			"endpoints": []any{}, "ports": []any{},
		}
		if id != "" {
			o["endpoints"], o["ports"] = endpoints[id], portsOf[id]
		}
		b.add(clone(o))
	}
}

func selected(service, pod object) bool {
	own := labels(pod, "metadata", "labels")
	for k, v := range labels(service, "spec", "selector") {
		if own[k] != v {
			return false
		}
	}
	phase := str(pod, "status", "phase")
	return str(pod, "metadata", "namespace") == str(service, "metadata", "namespace") &&
		str(pod, "status", "podIP") != "" && phase != "Succeeded" && phase != "Failed"
}

func endpoint(service, pod object) object {
	publish, _ := get(service, "spec", "publishNotReadyAddresses").(bool)
	serving := publish
	for _, c := range list(pod, "status", "conditions") {
		serving = serving || str(c, "type") == "Ready" && str(c, "status") == "True"
	}
	terminating := get(pod, "metadata", "deletionTimestamp") != nil
	ns, n := name(pod)
	node := str(pod, "spec", "nodeName")
	return object{
		"addresses":  []any{str(pod, "status", "podIP")},
		"conditions": object{"ready": serving && !terminating, "serving": serving, "terminating": terminating},
		"nodeName":   node, "zone": Zone(node),
		"targetRef": object{
			"kind": "Pod", "namespace": ns, "name": n, "uid": uid(cluster.Key{Kind: "Pod", Namespace: ns, Name: n}),
		},
	}
}

func resolvedPorts(service, pod object) []any {
	var ports []any
	for _, sp := range list(service, "spec", "ports") {
		target, ok := targetPort(sp, pod)
		if !ok {
			continue
		}
		p := object{"name": str(sp, "name"), "port": target, "protocol": str(sp, "protocol")}
		if application := str(sp, "appProtocol"); application != "" {
			p["appProtocol"] = application
		}
		ports = append(ports, p)
	}
	return ports
}

// targetPort resolves a named target port by the pod's containers.
func targetPort(servicePort any, pod object) (int64, bool) {
	named, ok := get(servicePort, "targetPort").(string)
	if !ok {
		return num(servicePort, "targetPort"), true
	}
	for _, c := range list(pod, "spec", "containers") {
		for _, p := range list(c, "ports") {
			if str(p, "name") == named {
				return num(p, "containerPort"), true
			}
		}
	}
	return 0, false
}
