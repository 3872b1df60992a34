package record

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

// Type URLs of what istiod sends.
const (
	typePrefix   = "type.googleapis.com/"
	clusterType  = typePrefix + "envoy.config.cluster.v3.Cluster"
	endpointType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = typePrefix + "envoy.config.listener.v3.Listener"
	routeType    = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	secretType   = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	ecdsType     = typePrefix + "envoy.config.core.v3.TypedExtensionConfig"
	workloadType = typePrefix + "istio.workload.Workload"
	addressType  = typePrefix + "istio.workload.Address"
	authzType    = typePrefix + "istio.security.Authorization"
)

// Event is one thing that happened on a stream; exactly one of the three is set.
type Event struct {
	Step     string // a step of the scenario begins
	Request  *discovery.DeltaDiscoveryRequest
	Response *discovery.DeltaDiscoveryResponse
}

// Recorder is a delta ADS client that subscribes as the real proxy does and writes everything down.
type Recorder struct {
	Proxy  Proxy
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

	mu     sync.Mutex
	events []Event
	last   time.Time
	failed error

	// Used by run only.
	node       *core.Node
	subscribed map[string]map[string]bool       // type -> names asked for
	references map[string]map[string]references // type -> resource -> what it names
	listeners  bool                             // LDS was asked for
}

// NewRecorder opens p's stream over conn and starts recording, in the given step.
func NewRecorder(ctx context.Context, conn grpc.ClientConnInterface, p Proxy, step string) (*Recorder, error) {
	node, err := p.XDSNode()
	if err != nil {
		return nil, err
	}
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	r := &Recorder{
		Proxy: p, stream: stream, node: node, last: time.Now(),
		subscribed: map[string]map[string]bool{}, references: map[string]map[string]references{},
	}
	r.Mark(step)
	r.open()
	go r.run()
	return r, nil
}

// open asks for what the proxy's bootstrap names; the first request carries the Node.
func (r *Recorder) open() {
	switch r.Proxy.Role {
	case Ztunnel:
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: addressType, Node: r.node})
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: authzType, Node: r.node})
	case Waypoint:
		// The bootstrap's workload discovery extension comes first.
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: workloadType, Node: r.node})
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: clusterType})
	case Gateway:
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: clusterType, Node: r.node})
	}
}

// Mark notes that a step begins.
func (r *Recorder) Mark(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, Event{Step: step})
}

// Events returns what happened so far, and why the stream ended if it did.
func (r *Recorder) Events() ([]Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events), r.failed
}

// Idle is how long nothing has happened.
func (r *Recorder) Idle() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last)
}

func (r *Recorder) note(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	r.last = time.Now()
}

func (r *Recorder) send(q *discovery.DeltaDiscoveryRequest) {
	r.note(Event{Request: q})
	if err := r.stream.Send(q); err != nil {
		r.fail(err)
	}
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = fmt.Errorf("%s: %w", r.Proxy, err)
	}
}

func (r *Recorder) run() {
	for {
		resp, err := r.stream.Recv()
		if err != nil {
			r.fail(err)
			return
		}
		r.note(Event{Response: resp})
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: resp.TypeUrl, ResponseNonce: resp.Nonce})
		r.follow(resp)
	}
}

// follow keeps the subscriptions by name in line with what CDS and LDS mention.
func (r *Recorder) follow(resp *discovery.DeltaDiscoveryResponse) {
	known := r.references[resp.TypeUrl]
	if known == nil {
		known = map[string]references{}
		r.references[resp.TypeUrl] = known
	}
	for _, n := range resp.RemovedResources {
		delete(known, n)
	}
	for _, res := range resp.Resources {
		known[res.Name] = referencesOf(res.Resource)
	}
	switch resp.TypeUrl {
	case clusterType:
		r.resubscribe(endpointType, func(x references) []string { return x.endpoints })
		r.resubscribe(secretType, func(x references) []string { return x.secrets })
		if len(r.subscribed[endpointType]) == 0 {
			r.askForListeners()
		}
	case endpointType:
		r.askForListeners()
	case listenerType:
		r.resubscribe(routeType, func(x references) []string { return x.routes })
		r.resubscribe(ecdsType, func(x references) []string { return x.extensions })
		r.resubscribe(secretType, func(x references) []string { return x.secrets })
	}
}

// askForListeners starts LDS, as Envoy does once its clusters are warm.
func (r *Recorder) askForListeners() {
	if !r.listeners {
		r.listeners = true
		r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: listenerType})
	}
}

func (r *Recorder) resubscribe(typeURL string, pick func(references) []string) {
	want := map[string]bool{}
	for _, resources := range r.references {
		for _, x := range resources {
			for _, n := range pick(x) {
				want[n] = true
			}
		}
	}
	have := r.subscribed[typeURL]
	add, drop := missing(want, have), missing(have, want)
	if len(add)+len(drop) == 0 {
		return
	}
	r.subscribed[typeURL] = want
	r.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: add, ResourceNamesUnsubscribe: drop})
}

// missing lists, sorted, what a has and b has not.
func missing(a, b map[string]bool) []string {
	var out []string
	for n := range a {
		if !b[n] {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
