package official

import (
	"fmt"
	"io"
	"strings"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/suites/expect"
)

// MeshNamespace is the one the suite's mesh tests live in.
const MeshNamespace = "gateway-conformance-mesh"

// Labels that put the suite's namespaces into the mesh.
const (
	ambientLabel  = "istio.io/dataplane-mode=ambient"
	waypointLabel = "istio.io/use-waypoint=" + waypointName
	waypointName  = "namespace"
)

var meshProfiles = []string{"MESH-HTTP", "MESH-GRPC"}

// waypoint is what `istioctl waypoint apply` would create.
const waypoint = `{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %[2]s, namespace: %[1]s, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
`

// PrepareWaypoint deploys the namespace's waypoint, so that the suite's first requests find one.
func PrepareWaypoint(c *controlplane.Cluster) error {
	if err := c.Kubectl(strings.NewReader(fmt.Sprintf(waypoint, MeshNamespace, waypointName)), io.Discard, "apply", "-f", "-"); err != nil {
		return err
	}
	return c.Kubectl(nil, io.Discard, "-n", MeshNamespace, "wait", "--for=condition=Programmed", "gateway/"+waypointName, "--timeout=60s")
}

// RemoveWaypoint leaves the namespace in the mesh but without a waypoint: routes exist, and nobody applies them.
func RemoveWaypoint(c *controlplane.Cluster) error {
	if err := c.Kubectl(nil, io.Discard, "label", "namespace", MeshNamespace, "istio.io/use-waypoint-"); err != nil {
		return err
	}
	return c.Kubectl(nil, io.Discard, "-n", MeshNamespace, "delete", "gateway/"+waypointName, "--ignore-not-found", "--timeout=60s")
}

// RestartWaypoint replaces the waypoint's pods, after what runs for its image has changed.
func RestartWaypoint(c *controlplane.Cluster) error {
	deployment := "deployment/" + waypointName
	if err := c.Kubectl(nil, io.Discard, "-n", MeshNamespace, "rollout", "restart", deployment); err != nil {
		return err
	}
	return c.Kubectl(nil, io.Discard, "-n", MeshNamespace, "rollout", "status", deployment, "--timeout=120s")
}

// Mesh is a run of everything the list claims.
func Mesh(l expect.List, name, version string, successes int) Run {
	return Run{Name: name, Features: l.Features, Profiles: meshProfiles, Successes: successes, Version: version,
		Labels: []string{ambientLabel, waypointLabel}}
}

// OneOf is a run of one mesh test.
func OneOf(l expect.List, test string, successes int) Run {
	r := Mesh(l, "only-"+test, "not to be published", successes) // the suite insists on a version
	r.Only, r.Hasty = test, true
	r.Features = append(append([]string{}, l.Features...), l.Fails[test].Features...)
	return r
}

// WithoutWaypoint is the same run in namespaces without the waypoint's label, which the suite would otherwise put back.
func (r Run) WithoutWaypoint() Run {
	r.Labels = []string{ambientLabel}
	return r
}
