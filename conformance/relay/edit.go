package relay

import (
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Edit names a change to what istiod sends.
type Edit string

// The edits. Each makes a proxy that obeys look like one with the named bug.
const (
	None          Edit = "none"           // nothing: shows that the relay itself breaks nothing
	ReverseRules  Edit = "reverse-rules"  // routes in the wrong order, as if precedence were not kept
	StringPrefix  Edit = "string-prefix"  // /v2 matches /v2example, as if prefixes were not compared by segments
	ShiftedWeight Edit = "shifted-weight" // ten points go from the heaviest backend to the lightest
)

// Edits lists them all.
var Edits = []Edit{None, ReverseRules, StringPrefix, ShiftedWeight}

// shiftBy is what ShiftedWeight moves, in points of a hundred: twice what the suite tolerates.
const shiftBy = 10

// routes changes one route configuration in place.
func (e Edit) routes(rc *routev3.RouteConfiguration) {
	for _, host := range rc.GetVirtualHosts() {
		switch e {
		case ReverseRules:
			slices.Reverse(host.Routes)
		case StringPrefix:
			for _, r := range host.Routes {
				if p, ok := r.GetMatch().GetPathSpecifier().(*routev3.RouteMatch_PathSeparatedPrefix); ok {
					r.Match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: p.PathSeparatedPrefix}
				}
			}
		case ShiftedWeight:
			for _, r := range host.Routes {
				shift(r.GetRoute().GetWeightedClusters().GetClusters())
			}
		}
	}
}

// shift moves points from the heaviest to the lightest cluster that gets any.
func shift(clusters []*routev3.WeightedCluster_ClusterWeight) {
	var heavy, light *routev3.WeightedCluster_ClusterWeight
	total := uint32(0)
	for _, c := range clusters {
		w := c.GetWeight().GetValue()
		total += w
		if w == 0 {
			continue
		}
		if heavy == nil || w > heavy.Weight.Value {
			heavy = c
		}
		if light == nil || w < light.Weight.Value {
			light = c
		}
	}
	points := (total*shiftBy + 99) / 100
	if heavy == light || heavy.Weight.Value < points {
		return
	}
	heavy.Weight.Value -= points
	light.Weight.Value += points
}

// response changes one delta discovery response, given and returned as bytes. What it does not understand stays as it is.
func (e Edit) response(b []byte) ([]byte, error) {
	if e == None {
		return b, nil
	}
	var r discoveryv3.DeltaDiscoveryResponse
	if err := proto.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("a discovery response: %w", err)
	}
	for _, resource := range r.Resources {
		if err := e.resource(resource.GetResource()); err != nil {
			return nil, fmt.Errorf("%s: %w", resource.GetName(), err)
		}
	}
	return proto.Marshal(&r)
}

func (e Edit) resource(any *anypb.Any) error {
	switch {
	case any.MessageIs((*routev3.RouteConfiguration)(nil)):
		var rc routev3.RouteConfiguration
		return change(any, &rc, func() error { e.routes(&rc); return nil })
	case any.MessageIs((*listenerv3.Listener)(nil)):
		var l listenerv3.Listener
		return change(any, &l, func() error { return e.listener(&l) })
	}
	return nil
}

// listener edits the routes that waypoints' listeners carry inside their connection managers.
func (e Edit) listener(l *listenerv3.Listener) error {
	for _, chain := range append(slices.Clone(l.FilterChains), l.GetDefaultFilterChain()) {
		for _, f := range chain.GetFilters() {
			any := f.GetTypedConfig()
			if !any.MessageIs((*hcmv3.HttpConnectionManager)(nil)) {
				continue
			}
			var hcm hcmv3.HttpConnectionManager
			if err := change(any, &hcm, func() error { e.routes(hcm.GetRouteConfig()); return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

// change unpacks, edits and packs again in place.
func change(any *anypb.Any, m proto.Message, edit func() error) error {
	if err := any.UnmarshalTo(m); err != nil {
		return err
	}
	if err := edit(); err != nil {
		return err
	}
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	any.Value = b
	return nil
}
