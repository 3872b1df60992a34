package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/structpb"
	ca "istio.io/api/security/v1alpha1"

	"fairway.dev/local/istiod/record"
	"fairway.dev/local/istiod/tokens"
)

const listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"

var (
	waypointPod = tokens.Pod{Name: "waypoint-1", UID: "w1"}
	ztunnelPod  = tokens.Pod{Name: "ztunnel-1", UID: "zt"}
)

// One istiod serves all parts, in order: starting it is what takes the time.
func TestServe(t *testing.T) {
	m := startMesh(t)
	shop, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m.apply(string(shop))
	m.ready()
	part := func(name string, f func(*testing.T, *mesh)) {
		t.Run(name, func(t *testing.T) {
			m.t = t
			f(t, m)
		})
	}
	part("statuses", testStatuses)
	part("a waypoint's stream", testStream)
	part("tokens", testTokens)
	part("certificates", testCertificates)
	part("a pod that goes", testPodGone)
	part("a NACK", testNack)
	part("many services", testManyServices)
	part("a restart", testRestart)
	part("the end", testEnd)
}

func testStatuses(t *testing.T, m *mesh) {
	m.condition("GatewayClass", "istio-waypoint", "Accepted", "True")
	m.condition("Gateway", "waypoint", "Accepted", "True")
	m.condition("Gateway", "waypoint", "Programmed", "True")
	m.condition("Service", "cart", "istio.io/WaypointBound", "True")
	m.apply(`
- {apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: out, namespace: shop}, spec: {hosts: [out.example], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}}
- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: get, namespace: shop}, spec: {targetRefs: [{group: "", kind: Service, name: cart}], rules: [{to: [{operation: {methods: [GET]}}]}]}}
`)
	m.condition("AuthorizationPolicy", "get", "WaypointAccepted", "True")
	m.await("an address for a ServiceEntry", func(l map[string]any) bool {
		o, _ := l["object"].(map[string]any)
		return o["kind"] == "ServiceEntry" && strings.Contains(fmt.Sprint(o["status"]), "240.240.0.1")
	})
	m.await("the root certificate in the namespace", func(l map[string]any) bool {
		o, _ := l["object"].(map[string]any)
		return o["kind"] == "ConfigMap" && strings.Contains(fmt.Sprint(o["metadata"]), "istio-ca-root-cert") &&
			strings.Contains(fmt.Sprint(o["data"]), "BEGIN CERTIFICATE")
	})
}

func route(weights ...int) string {
	return fmt.Sprintf(`
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: cart, namespace: shop}
  spec:
    parentRefs: [{group: "", kind: Service, name: cart}]
    rules: [{backendRefs: [{name: cart, port: 80, weight: %d}, {name: cart-v2, port: 80, weight: %d}]}]
`, weights[0], weights[1])
}

func testStream(t *testing.T, m *mesh) {
	r := m.waypointStream()
	for _, typeURL := range []string{listenerType, "type.googleapis.com/envoy.config.cluster.v3.Cluster", "type.googleapis.com/istio.workload.Workload"} {
		eventually(t, typeURL, func() error { return received(r, typeURL, "") })
	}
	eventually(t, "the application's cluster", func() error { return received(r, "", "inbound-vip|80|http|cart.shop.svc.cluster.local") })

	m.apply(route(90, 10))
	m.condition("HTTPRoute", "cart", "Accepted", "True")
	eventually(t, "the route's weights", func() error { return inListeners(r, "weight:{value:90}", "weight:{value:10}") })
	m.apply(route(40, 60))
	eventually(t, "changed weights", func() error { return inListeners(r, "weight:{value:40}", "weight:{value:60}") })

	reply := m.feed(documents(t, strings.ReplaceAll(route(1, 2), "weight: 1", "weight: -1")), nil)
	if text := fmt.Sprint(reply["rejected"]); !strings.Contains(text, "spec.rules[0].backendRefs[0].weight") {
		t.Errorf("a negative weight: %v", reply)
	}
	m.feed(nil, []map[string]any{{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "namespace": "shop", "name": "cart"}})
	eventually(t, "no route any more", func() error {
		if inListeners(r, "cart-v2") == nil && inListeners(r, "weight:{value:60}") == nil {
			return errors.New("the last listeners still have it")
		}
		return nil
	})
}

func (m *mesh) waypointStream() *record.Recorder {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m.t.Cleanup(cancel)
	r, err := record.NewRecorder(ctx, m.connect("shop", "waypoint", waypointPod), record.Proxy{
		Role: record.Waypoint, Namespace: "shop", Name: "waypoint", Pod: "waypoint-1", IP: "10.244.0.12", Node: "here",
		Labels: map[string]string{
			"gateway.networking.k8s.io/gateway-name": "waypoint", "gateway.istio.io/managed": "istio.io-mesh-controller",
			"service.istio.io/canonical-name": "waypoint",
		},
	}, "only")
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// received looks for a response of a type (any if empty) with a resource of a name (any if empty).
func received(r *record.Recorder, typeURL, name string) error {
	events, err := r.Events()
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Response == nil || typeURL != "" && e.Response.TypeUrl != typeURL {
			continue
		}
		if name == "" || slices.ContainsFunc(e.Response.Resources, func(x *discovery.Resource) bool { return x.Name == name }) {
			return nil
		}
	}
	return errors.New("not received")
}

// inListeners looks for texts in the last LDS response.
func inListeners(r *record.Recorder, texts ...string) error {
	events, err := r.Events()
	if err != nil {
		return err
	}
	last := ""
	for _, e := range events {
		if e.Response == nil || e.Response.TypeUrl != listenerType {
			continue
		}
		last = ""
		for _, res := range e.Response.Resources {
			var l listenerv3.Listener
			if err := res.Resource.UnmarshalTo(&l); err != nil {
				return err
			}
			last += strings.ReplaceAll(prototext.MarshalOptions{}.Format(&l), "  ", " ")
		}
	}
	last = strings.ReplaceAll(last, " ", "")
	for _, text := range texts {
		if !strings.Contains(last, text) {
			return fmt.Errorf("%q is not in the last listeners", text)
		}
	}
	return nil
}

func testTokens(t *testing.T, m *mesh) {
	late := m.issuer
	late.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	expired, err := late.Token("shop", "waypoint", waypointPod)
	if err != nil {
		t.Fatal(err)
	}
	stranger := m.issuer
	if stranger.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.Token("shop", "waypoint", waypointPod)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"expired": expired, "forged": forged, "made up": "shop/waypoint"} {
		conn := m.connectWith(token)
		if _, err := sign(conn, ""); grpcstatus.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: CA: got %v", name, err)
		}
		if err := streamError(conn); grpcstatus.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: xDS: got %v", name, err)
		}
	}
}

// streamError opens an xDS stream and returns what it ends with.
func streamError(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// sign asks for a certificate, in the name of impersonated unless that is "".
func sign(conn *grpc.ClientConn, impersonated string) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	request := &ca.IstioCertificateRequest{
		Csr:              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		ValidityDuration: 3600,
	}
	if impersonated != "" {
		request.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{"ImpersonatedIdentity": structpb.NewStringValue(impersonated)}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	response, err := ca.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, request)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(response.CertChain[0]))
	return x509.ParseCertificate(block.Bytes)
}

func testCertificates(t *testing.T, m *mesh) {
	waypoint := m.connect("shop", "waypoint", waypointPod)
	ztunnel := m.connect("istio-system", "ztunnel", ztunnelPod)
	replaced := m.connect("istio-system", "ztunnel", tokens.Pod{})
	identity := func(account string) string { return "spiffe://cluster.local/ns/shop/sa/" + account }
	for _, c := range []struct {
		name         string
		conn         *grpc.ClientConn
		impersonated string
		identity     string // "": refused
	}{
		{"its own", waypoint, "", identity("waypoint")},
		{"ztunnel for a pod on its node", ztunnel, identity("cart"), identity("cart")},
		{"ztunnel for a pod on another node", ztunnel, identity("far"), ""},
		{"ztunnel for nobody", ztunnel, identity("ghost"), ""},
		{"ztunnel without a pod", replaced, identity("cart"), ""},
		{"a waypoint for another", waypoint, identity("cart"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, err := sign(c.conn, c.impersonated)
			if c.identity == "" {
				if grpcstatus.Code(err) != codes.Unauthenticated {
					t.Errorf("got %v and %v, want a refusal", cert, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM([]byte(m.root))
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Error(err)
			}
			if len(cert.URIs) != 1 || cert.URIs[0].String() != c.identity {
				t.Errorf("got %v, want %s", cert.URIs, c.identity)
			}
		})
	}
}

// A token of a pod that is gone, or was replaced under its name, is worth nothing.
func testPodGone(t *testing.T, m *mesh) {
	conn := m.connect("shop", "far", tokens.Pod{Name: "far-1", UID: "f1"})
	if _, err := sign(conn, ""); err != nil {
		t.Fatal(err)
	}
	m.feed(nil, []map[string]any{{"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "far-1"}})
	if _, err := sign(conn, ""); grpcstatus.Code(err) != codes.Unauthenticated {
		t.Errorf("after its deletion: got %v", err)
	}
}

// istiod counts what proxies refuse; there is no event for it.
func testNack(t *testing.T, m *mesh) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(m.connect("istio-system", "ztunnel", ztunnelPod)).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const addressType = "type.googleapis.com/istio.workload.Address"
	node := record.Proxy{Role: record.Ztunnel, Namespace: "istio-system", Pod: "ztunnel-1", IP: "10.244.0.10", Node: "here"}
	announced, err := node.XDSNode()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: addressType, Node: announced}); err != nil {
		t.Fatal(err)
	}
	response, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&discovery.DeltaDiscoveryRequest{
		TypeUrl: addressType, ResponseNonce: response.Nonce, ErrorDetail: &status.Status{Code: int32(codes.InvalidArgument), Message: "no"},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rejection in the metrics", func() error {
		text, err := fetch("http://" + m.monitoring + "/metrics")
		if err == nil && !strings.Contains(text, "pilot_total_xds_rejects{type=") {
			err = errors.New("no pilot_total_xds_rejects")
		}
		return err
	})
	if text, err := fetch("http://" + m.monitoring + "/debug/configz"); err != nil || !strings.Contains(text, "AuthorizationPolicy") {
		t.Errorf("debug: %.200s, %v", text, err)
	}
}

func fetch(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// Three hundred Services with their pods and slices arrive in one line on a live istiod.
func testManyServices(t *testing.T, m *mesh) {
	const count = 300
	var objects []map[string]any
	for i := range count {
		objects = append(objects, documents(t, fmt.Sprintf(`
- {apiVersion: v1, kind: Service, metadata: {name: many-%[1]d, namespace: shop}, spec: {type: ClusterIP, clusterIP: 10.96.%[2]d.%[3]d, clusterIPs: [10.96.%[2]d.%[3]d], ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}], selector: {app: many-%[1]d}}}
- apiVersion: v1
  kind: Pod
  metadata: {name: many-%[1]d, namespace: shop, uid: m%[1]d, labels: {app: many-%[1]d}}
  spec: {nodeName: here, serviceAccountName: many, containers: [{name: c, image: c}]}
  status: {phase: Running, podIP: 10.244.%[2]d.%[3]d, podIPs: [{ip: 10.244.%[2]d.%[3]d}], conditions: [{type: Ready, status: "True"}]}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: many-%[1]d, namespace: shop, labels: {kubernetes.io/service-name: many-%[1]d}}
  addressType: IPv4
  endpoints: [{addresses: [10.244.%[2]d.%[3]d], conditions: {ready: true}, nodeName: here, targetRef: {kind: Pod, name: many-%[1]d, namespace: shop}}]
  ports: [{name: http, port: 8080, protocol: TCP}]
`, i, 10+i/200, 1+i%200))...)
	}
	if r := m.feed(objects, nil); fmt.Sprint(r["rejected"]) != "[]" {
		t.Fatalf("rejected: %v", r)
	}
	r := m.waypointStream()
	for _, i := range []int{0, count / 2, count - 1} {
		name := fmt.Sprintf("inbound-vip|80|http|many-%d.shop.svc.cluster.local", i)
		eventually(t, name, func() error { return received(r, "", name) })
	}
}

// A new process that is told everything, what istiod wrote included, goes on where the old one was.
func testRestart(t *testing.T, m *mesh) {
	var known []map[string]any
	at := map[string]int{}
	m.mu.Lock()
	for _, l := range m.lines {
		if o, ok := l["object"].(map[string]any); ok {
			metadata, _ := o["metadata"].(map[string]any)
			key := fmt.Sprint(o["kind"], metadata["namespace"], metadata["name"])
			if i, seen := at[key]; seen {
				known[i] = o
				continue
			}
			at[key] = len(known)
			known = append(known, o)
		}
	}
	m.mu.Unlock()
	next := startMesh(t)
	if r := next.feed(known, nil); fmt.Sprint(r["rejected"]) != "[]" {
		t.Fatalf("what istiod wrote is rejected: %v", r["rejected"])
	}
	next.ready()
	if next.root != m.root {
		t.Error("another CA")
	}
	next.conn.Close()
}

// istiod ends when its peer does.
func testEnd(t *testing.T, m *mesh) {
	m.conn.Close()
	done := make(chan error, 1)
	go func() { done <- m.process.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("got %v", err)
		}
	case <-time.After(deadline):
		t.Error("still running")
	}
}
