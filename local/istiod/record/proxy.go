package record

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
	"fairway.dev/local/istiod/scenario"
)

// proxyVersion is what the recorded proxies say they are; istiod adapts what it sends to it.
const proxyVersion = "1.31.0"

// Role is what a proxy is for.
type Role string

// Roles, as --proxy and the output directories write them.
const (
	Waypoint Role = "waypoint"
	Gateway  Role = "gateway"
	Ztunnel  Role = "ztunnel"
)

// nodeType is the first part of a node id.
var nodeType = map[Role]string{Waypoint: "waypoint", Gateway: "router", Ztunnel: "ztunnel"}

// Proxy is one member of the data plane.
type Proxy struct {
	Role      Role
	Namespace string
	Name      string // of the Gateway
	Pod, UID  string
	IP, Node  string
	Labels    map[string]string
	Notes     map[string]string // annotations
}

// String is ROLE/NAMESPACE/NAME, or ztunnel: there is one.
func (p Proxy) String() string {
	if p.Role == Ztunnel {
		return string(Ztunnel)
	}
	return fmt.Sprintf("%s/%s/%s", p.Role, p.Namespace, p.Name)
}

// Directory is where its stream is stored.
func (p Proxy) Directory() string { return strings.ReplaceAll(p.String(), "/", "-") }

// Account is its service account.
func (p Proxy) Account() string {
	if p.Role == Ztunnel {
		return string(Ztunnel)
	}
	return p.Labels["service.istio.io/canonical-name"]
}

// Proxies lists one ztunnel, on node-a and without a pod of its own, and the first pod of every Gateway.
func Proxies(objects map[cluster.Key]map[string]any) []Proxy {
	out := []Proxy{{
		Role: Ztunnel, Namespace: "istio-system", Name: "ztunnel", Pod: "ztunnel-node-a", IP: "10.244.8.1", Node: "node-a",
	}}
	keys := slices.SortedFunc(maps.Keys(objects), func(a, b cluster.Key) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	seen := map[string]bool{}
	for _, k := range keys {
		if k.Kind != "Pod" {
			continue
		}
		pod := &unstructured.Unstructured{Object: objects[k]}
		name, managed := pod.GetLabels()["gateway.networking.k8s.io/gateway-name"], pod.GetLabels()["gateway.istio.io/managed"]
		if name == "" || managed == "" || seen[k.Namespace+"/"+name] {
			continue
		}
		seen[k.Namespace+"/"+name] = true
		role := Waypoint
		if managed == "istio.io-gateway-controller" {
			role = Gateway
		}
		ip, _, _ := unstructured.NestedString(pod.Object, "status", "podIP")
		node, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName")
		out = append(out, Proxy{
			Role: role, Namespace: k.Namespace, Name: name, Pod: k.Name, IP: ip, Node: node,
			Labels: pod.GetLabels(), Notes: pod.GetAnnotations(),
		})
	}
	return out
}

// XDSNode is the Node message as pilot-agent's bootstrap, or ztunnel, announces it.
func (p Proxy) XDSNode() (*core.Node, error) {
	metadata := p.ztunnelMetadata()
	if p.Role != Ztunnel {
		metadata = p.agentMetadata()
	}
	if network := p.Labels["topology.istio.io/network"]; network != "" {
		metadata["NETWORK"] = network
		if p.Labels["gateway.istio.io/managed"] == "istio.io-eastwest-controller" {
			metadata["REQUESTED_NETWORK_VIEW"] = network
		}
	}
	st, err := structpb.NewStruct(metadata)
	if err != nil {
		return nil, err
	}
	n := &core.Node{
		Id:       fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", nodeType[p.Role], p.IP, p.Pod, p.Namespace, p.Namespace),
		Metadata: st,
	}
	if p.Role != Ztunnel {
		n.Cluster = p.Account() + "." + p.Namespace
		n.UserAgentName = "envoy"
		if zone := scenario.Zone(p.Node); zone != "" {
			n.Locality = &core.Locality{Region: scenario.Region, Zone: zone}
		}
	}
	return n, nil
}

func (p Proxy) ztunnelMetadata() map[string]any {
	return map[string]any{
		"NAME": p.Pod, "NAMESPACE": p.Namespace, "INSTANCE_IPS": p.IP, "NODE_NAME": p.Node,
		"CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": proxyVersion,
	}
}

func (p Proxy) agentMetadata() map[string]any {
	account := p.Account()
	labels, annotations := map[string]any{}, map[string]any{}
	for k, v := range p.Labels {
		if k != "pod-template-hash" {
			labels[k] = v
		}
	}
	for k, v := range p.Notes {
		annotations[k] = v
	}
	return map[string]any{
		"ANNOTATIONS": annotations, "CLUSTER_ID": "Kubernetes",
		"ENVOY_PROMETHEUS_PORT": 15090, "ENVOY_STATUS_PORT": 15021,
		"INSTANCE_IPS": p.IP, "INTERCEPTION_MODE": "REDIRECT", "ISTIO_VERSION": proxyVersion,
		"LABELS": labels, "MESH_ID": "cluster.local", "NAME": p.Pod, "NAMESPACE": p.Namespace, "NODE_NAME": p.Node,
		"OWNER":     fmt.Sprintf("kubernetes://apis/apps/v1/namespaces/%s/deployments/%s", p.Namespace, account),
		"PILOT_SAN": []any{ServerName},
		"PROXY_CONFIG": map[string]any{
			"binaryPath": "/usr/local/bin/envoy", "configPath": "./etc/istio/proxy", "controlPlaneAuthPolicy": "MUTUAL_TLS",
			"discoveryAddress": ServerName + ":15012", "drainDuration": "45s", "proxyAdminPort": 15000,
			"proxyMetadata":            map[string]any{"ISTIO_META_ENABLE_HBONE": "true"},
			"serviceCluster":           account + "." + p.Namespace,
			"statNameLength":           189,
			"statusPort":               15020,
			"terminationDrainDuration": "5s",
			"image":                    map[string]any{"imageType": "distroless"},
		},
		"SERVICE_ACCOUNT": account, "WORKLOAD_NAME": account,
	}
}
