package scenario

const (
	servicePrefix      = "10.96.0"
	gatewayPrefix      = "10.96.9"
	loadBalancerPrefix = "172.18.255"
)

// service fills in an API server's defaults and allocations, from first on in the block prefix.
func (b *builder) service(o object, prefix string, first int) {
	ns, n := name(o)
	spec := child(o, "spec")
	setDefaults(spec, object{"type": "ClusterIP"})
	for _, p := range list(spec, "ports") {
		if port, ok := p.(object); ok {
			setDefaults(port, object{"protocol": "TCP", "targetPort": port["port"]})
		}
	}
	if str(spec, "type") == "ExternalName" {
		b.add(o)
		return
	}
	if str(spec, "clusterIP") == "" {
		spec["clusterIP"] = b.w.addresses.block("svc/"+ns+"/"+n, prefix, first)
	}
	setDefaults(spec, object{
		"clusterIPs": []any{spec["clusterIP"]}, "ipFamilies": []any{"IPv4"}, "ipFamilyPolicy": "SingleStack",
		"internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
	})
	if str(spec, "type") == "LoadBalancer" && o["status"] == nil {
		ip := b.w.addresses.block("lb/"+ns+"/"+n, loadBalancerPrefix, 1)
		o["status"] = object{"loadBalancer": object{"ingress": []any{object{"ip": ip}}}}
	}
	b.add(o)
}
