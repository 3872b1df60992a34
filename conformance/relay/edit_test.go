package relay

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const routes = `
virtual_hosts { name: "echo" domains: "*"
  routes { name: "first" match { path_separated_prefix: "/v2" } route { cluster: "v2" } }
  routes { name: "second" match { path: "/" } route { weighted_clusters {
    clusters { name: "v1" weight { value: 70 } } clusters { name: "v2" weight { value: 30 } } clusters { name: "none" weight { value: 0 } } } } }
}`

func TestEdits(t *testing.T) {
	for edit, want := range map[Edit]string{
		None: routes,
		ReverseRules: `
virtual_hosts { name: "echo" domains: "*"
  routes { name: "second" match { path: "/" } route { weighted_clusters {
    clusters { name: "v1" weight { value: 70 } } clusters { name: "v2" weight { value: 30 } } clusters { name: "none" weight { value: 0 } } } } }
  routes { name: "first" match { path_separated_prefix: "/v2" } route { cluster: "v2" } }
}`,
		StringPrefix: `
virtual_hosts { name: "echo" domains: "*"
  routes { name: "first" match { prefix: "/v2" } route { cluster: "v2" } }
  routes { name: "second" match { path: "/" } route { weighted_clusters {
    clusters { name: "v1" weight { value: 70 } } clusters { name: "v2" weight { value: 30 } } clusters { name: "none" weight { value: 0 } } } } }
}`,
		ShiftedWeight: `
virtual_hosts { name: "echo" domains: "*"
  routes { name: "first" match { path_separated_prefix: "/v2" } route { cluster: "v2" } }
  routes { name: "second" match { path: "/" } route { weighted_clusters {
    clusters { name: "v1" weight { value: 60 } } clusters { name: "v2" weight { value: 40 } } clusters { name: "none" weight { value: 0 } } } } }
}`,
	} {
		for place, wrap := range map[string]func(*testing.T, string) *discoveryv3.DeltaDiscoveryResponse{"RDS": inRoutes, "LDS": inListener} {
			b, err := proto.Marshal(wrap(t, routes))
			if err != nil {
				t.Fatal(err)
			}
			edited, err := edit.response(b)
			if err != nil {
				t.Fatal(err)
			}
			var got discoveryv3.DeltaDiscoveryResponse
			if err := proto.Unmarshal(edited, &got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(&got, wrap(t, want)) {
				t.Errorf("%s in %s: got %s", edit, place, prototext.Format(&got))
			}
		}
	}
}

func parse(t *testing.T, text string) *routev3.RouteConfiguration {
	t.Helper()
	var rc routev3.RouteConfiguration
	if err := prototext.Unmarshal([]byte(text), &rc); err != nil {
		t.Fatal(err)
	}
	return &rc
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	any, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return any
}

func inRoutes(t *testing.T, text string) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	return &discoveryv3.DeltaDiscoveryResponse{Resources: []*discoveryv3.Resource{{Name: "r", Resource: packed(t, parse(t, text))}}}
}

// inListener is how istiod sends a waypoint its routes.
func inListener(t *testing.T, text string) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	hcm := &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: parse(t, text)}}
	filter := &listenerv3.Filter{Name: "hcm", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(t, hcm)}}
	l := &listenerv3.Listener{Name: "main_internal", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{filter}}}}
	return &discoveryv3.DeltaDiscoveryResponse{Resources: []*discoveryv3.Resource{{Name: "main_internal", Resource: packed(t, l)}}}
}
