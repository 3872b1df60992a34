package record

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"fairway.dev/local/istiod/cluster"
)

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReferences(t *testing.T) {
	secret := func(name string) *anypb.Any {
		return anyOf(t, &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: name}},
		}})
	}
	listener := &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: anyOf(t, &hcm.HttpConnectionManager{
			RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{RouteConfigName: "http.80"}},
			HttpFilters: []*hcm.HttpFilter{
				{Name: "wasm", ConfigType: &hcm.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{}}},
				{Name: "router"},
			},
		})},
	}}}}}
	cluster := func(c *clusterv3.Cluster, sds string) *clusterv3.Cluster {
		if sds != "" {
			c.TransportSocket = &corev3.TransportSocket{ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: secret(sds)}}
		}
		return c
	}
	eds := &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	for _, c := range []struct {
		name     string
		resource proto.Message
		want     references
	}{
		{"a cluster's own name", cluster(&clusterv3.Cluster{Name: "a", ClusterDiscoveryType: eds}, ""), references{endpoints: []string{"a"}}},
		{
			"a service name",
			cluster(&clusterv3.Cluster{Name: "a", ClusterDiscoveryType: eds, EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{ServiceName: "b"}}, ""),
			references{endpoints: []string{"b"}},
		},
		{"a secret of istiod's", cluster(&clusterv3.Cluster{Name: "a"}, "kubernetes://cred"), references{secrets: []string{"kubernetes://cred"}}},
		{"a secret of the agent's", cluster(&clusterv3.Cluster{Name: "a"}, "default"), references{}},
		{"a mounted secret", cluster(&clusterv3.Cluster{Name: "a"}, "file-root:/etc/x://y"), references{}},
		{"routes and extensions", listener, references{routes: []string{"http.80"}, extensions: []string{"wasm"}}},
		{"nothing", &routev3.RouteConfiguration{Name: "r"}, references{}},
	} {
		if got := referencesOf(anyOf(t, c.resource)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	if got := referencesOf(&anypb.Any{TypeUrl: "type.googleapis.com/unknown"}); !reflect.DeepEqual(got, references{}) {
		t.Errorf("unknown type: %+v", got)
	}
}

// Two runs differ in versions, nonces and the order of hash maps; what is saved does not.
func TestRenderIsStable(t *testing.T) {
	stream := func(version, nonce string, names ...string) []Event {
		events := []Event{{Step: "step-1"}, {Request: &discovery.DeltaDiscoveryRequest{TypeUrl: clusterType}}}
		response := &discovery.DeltaDiscoveryResponse{TypeUrl: clusterType, SystemVersionInfo: version, Nonce: nonce}
		for _, n := range names {
			response.Resources = append(response.Resources, &discovery.Resource{Name: n, Version: version})
		}
		return append(events, Event{Response: response}, Event{Request: &discovery.DeltaDiscoveryRequest{TypeUrl: clusterType, ResponseNonce: nonce}})
	}
	first, readable, counts, err := render(stream("2026-08-01T00:00:00Z/9", "abc", "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	second, again, _, err := render(stream("2027-01-01T00:00:00Z/4", "xyz", "b", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) || !reflect.DeepEqual(readable, again) {
		t.Error("two runs of the same scenario differ")
	}
	if len(readable) != 4 || len(counts) != 1 {
		t.Errorf("%d readable events and %d counts, want 4 and 1", len(readable), len(counts))
	}
	var got []string
	for r := bytes.NewReader(first); ; {
		var p discovery.DeltaDiscoveryResponse
		if err := protodelim.UnmarshalFrom(r, &p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.TypeUrl+" "+p.SystemVersionInfo+" "+p.Nonce)
	}
	want := []string{markerType + " step-1 ", clusterType + " 2026-01-01T00:00:00Z/1 nonce-0001"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProxies(t *testing.T) {
	pod := func(name, gateway, managed string) (cluster.Key, map[string]any) {
		labels := map[string]any{"gateway.networking.k8s.io/gateway-name": gateway, "gateway.istio.io/managed": managed}
		return cluster.Key{Kind: "Pod", Namespace: "ns", Name: name}, map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": "ns", "labels": labels},
			"spec": map[string]any{"nodeName": "node-b"}, "status": map[string]any{"podIP": "10.0.0.1"},
		}
	}
	objects := map[cluster.Key]map[string]any{}
	for _, p := range [][3]string{
		{"w-2", "w", "istio.io-mesh-controller"}, {"w-1", "w", "istio.io-mesh-controller"},
		{"g-1", "g", "istio.io-gateway-controller"}, {"app", "", ""},
	} {
		k, o := pod(p[0], p[1], p[2])
		objects[k] = o
	}
	var got []string
	for _, p := range Proxies(objects) {
		n, err := p.XDSNode()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.String()+" "+strings.Split(n.Id, "~")[0]+" "+p.Pod+" "+n.GetLocality().GetZone())
	}
	want := []string{"ztunnel ztunnel ztunnel-node-a ", "gateway/ns/g router g-1 zone-b", "waypoint/ns/w waypoint w-1 zone-b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
