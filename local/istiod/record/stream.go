package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// markerType is the type URL of the step markers in stream.binpb: a response without resources whose
// system_version_info names the step.
const markerType = typePrefix + "render.StepMarker"

// unordered are the types whose resources istiod collects from hash maps: their order has no meaning
// and differs between runs.
var unordered = []string{clusterType, endpointType, addressType, workloadType, authzType, secretType}

// Save writes the stream into dir: stream.binpb (length-delimited responses), node.json (who asked) and
// stream.json (requests too), or, compact, counts.json instead of the last.
func (r *Recorder) Save(dir string, compact bool) error {
	events, err := r.Events()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	binary, readable, counts, err := render(events)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "stream.binpb"), binary, 0o644); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, "node.json"), expanded(r.node)); err != nil {
		return err
	}
	if compact {
		return writeJSON(filepath.Join(dir, "counts.json"), counts)
	}
	return writeJSON(filepath.Join(dir, "stream.json"), readable)
}

func render(events []Event) (binary []byte, readable, counts []any, err error) {
	stable := &normaliser{map[string]string{}, map[string]string{}}
	var bin bytes.Buffer
	step := ""
	counts = []any{}
	delimited := protodelim.MarshalOptions{MarshalOptions: proto.MarshalOptions{Deterministic: true}}
	for _, e := range events {
		switch {
		case e.Request != nil:
			readable = append(readable, map[string]any{"request": expanded(stable.request(e.Request))})
			continue
		case e.Response == nil:
			step = e.Step
			readable = append(readable, map[string]any{"step": step})
			if _, err := delimited.MarshalTo(&bin, &discovery.DeltaDiscoveryResponse{TypeUrl: markerType, SystemVersionInfo: step}); err != nil {
				return nil, nil, nil, err
			}
			continue
		}
		p := stable.response(e.Response)
		if _, err := delimited.MarshalTo(&bin, p); err != nil {
			return nil, nil, nil, err
		}
		counts = append(counts, map[string]any{
			"step": step, "type": p.TypeUrl, "resources": len(p.Resources), "removed": len(p.RemovedResources), "bytes": proto.Size(p),
		})
		slices.SortStableFunc(p.Resources, byName)
		readable = append(readable, map[string]any{"response": expanded(p)})
	}
	return bin.Bytes(), readable, counts, nil
}

func byName(a, b *discovery.Resource) int { return strings.Compare(a.Name, b.Name) }

// normaliser replaces what differs from run to run: push versions (wall clock) and nonces (random).
type normaliser struct{ versions, nonces map[string]string }

func (n *normaliser) request(q *discovery.DeltaDiscoveryRequest) *discovery.DeltaDiscoveryRequest {
	q = proto.Clone(q).(*discovery.DeltaDiscoveryRequest)
	q.ResponseNonce = renamed(n.nonces, q.ResponseNonce, "nonce-%04d")
	return q
}

func (n *normaliser) response(p *discovery.DeltaDiscoveryResponse) *discovery.DeltaDiscoveryResponse {
	pushed := p.SystemVersionInfo
	p = proto.Clone(p).(*discovery.DeltaDiscoveryResponse)
	p.Nonce = renamed(n.nonces, p.Nonce, "nonce-%04d")
	p.SystemVersionInfo = n.version(p.SystemVersionInfo)
	for _, res := range p.Resources {
		if _, seen := n.versions[res.Version]; seen || res.Version == pushed {
			res.Version = n.version(res.Version)
		}
	}
	slices.Sort(p.RemovedResources)
	if slices.Contains(unordered, p.TypeUrl) {
		slices.SortStableFunc(p.Resources, byName)
	}
	return p
}

func (n *normaliser) version(v string) string {
	return renamed(n.versions, v, "2026-01-01T00:00:00Z/%d")
}

// renamed numbers names in order of first appearance.
func renamed(names map[string]string, name, format string) string {
	if name == "" {
		return ""
	}
	if _, ok := names[name]; !ok {
		names[name] = fmt.Sprintf(format, len(names)+1)
	}
	return names[name]
}

func writeJSON(file string, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	return os.WriteFile(file, buf.Bytes(), 0o644)
}
