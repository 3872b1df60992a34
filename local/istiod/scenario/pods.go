package scenario

import (
	"fmt"

	"fairway.dev/local/istiod/cluster"
)

// owner is the object a pod is generated for, as its owner reference names it.
type owner struct{ kind, name, hash string }

// deployment plays the deployment and replicaset controllers.
func (b *builder) deployment(o object, gateway bool) {
	ns, n := name(o)
	hash := hashName(ns, n)[:9]
	for i := range replicas(o) {
		pod := podName(n, hash, ns, n, fmt.Sprint(i))
		b.generated(o, pod, owner{"ReplicaSet", n + "-" + hash, hash}, b.w.addresses.pod(ns, pod, "", gateway))
	}
}

func (b *builder) statefulSet(o object) {
	ns, n := name(o)
	for i := range replicas(o) {
		pod := fmt.Sprintf("%s-%d", n, i)
		child(child(child(child(o, "spec"), "template"), "metadata"), "labels")["statefulset.kubernetes.io/pod-name"] = pod
		b.generated(o, pod, owner{"StatefulSet", n, ""}, b.w.addresses.pod(ns, pod, "", false))
	}
}

func (b *builder) generated(from object, pod string, by owner, at place) {
	ns, _ := name(from)
	template, _ := get(from, "spec", "template").(object)
	template = clone(template)
	podLabels := untyped(labels(template, "metadata", "labels"))
	if by.hash != "" {
		podLabels["pod-template-hash"] = by.hash
	}
	b.pod(object{
		"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
		"metadata": object{
			"name": pod, "namespace": ns,
			"generateName": by.name + "-", // istiod takes the workload's name from here
			"labels":       podLabels,
			"annotations":  untyped(labels(template, "metadata", "annotations")),
			"ownerReferences": []any{object{
				"apiVersion": "apps/v1", "kind": by.kind, "name": by.name, "controller": true,
				"uid": uid(cluster.Key{Group: "apps", Kind: by.kind, Namespace: ns, Name: by.name}),
			}},
		},
	}, at)
}

// pod fills in what API server, scheduler, kubelet and istio-cni write.
func (b *builder) pod(o object, at place) {
	spec, status := child(o, "spec"), child(o, "status")
	setDefaults(spec, object{
		"nodeName": at.node.name, "serviceAccountName": "default",
		"containers": []any{object{"name": "app", "image": "example/app"}},
	})
	for _, c := range list(spec, "containers") {
		for _, p := range list(c, "ports") {
			if port, ok := p.(object); ok {
				setDefaults(port, object{"protocol": "TCP"})
			}
		}
	}
	setDefaults(status, object{
		"podIP": at.ip, "phase": "Running",
		"conditions": []any{object{"type": "Ready", "status": "True"}},
	})
	setDefaults(status, object{"podIPs": []any{object{"ip": status["podIP"]}}})
	if ip := nodeNamed(str(spec, "nodeName")).ip; ip != "" {
		setDefaults(status, object{"hostIP": ip})
	}
	if b.captured(o) {
		setDefaults(child(child(o, "metadata"), "annotations"), object{"ambient.istio.io/redirection": "enabled"})
	}
	b.add(o)
}

// captured is istio-cni's decision whether a pod is in the ambient mesh.
func (b *builder) captured(pod object) bool {
	own := labels(pod, "metadata", "labels")
	mode := own["istio.io/dataplane-mode"]
	if mode == "" {
		ns := b.out[cluster.Key{Kind: "Namespace", Name: str(pod, "metadata", "namespace")}]
		mode = labels(ns, "metadata", "labels")["istio.io/dataplane-mode"]
	}
	hostNetwork, _ := get(pod, "spec", "hostNetwork").(bool)
	return mode == "ambient" && !hostNetwork && own["sidecar.istio.io/inject"] != "true"
}
