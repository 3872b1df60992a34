package crossing

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"fairway.dev/conformance/cluster/layout"
)

const (
	newNamespace = `{apiVersion: v1, kind: Namespace, metadata: {name: ` + namespace + `}}`
	account      = "asker" // of the pods that ask
)

// onNode is a node's two pods, and the Service of the one that answers.
const onNode = `
---
apiVersion: v1
kind: Pod
metadata: {name: ask-%[1]s}
spec:
  nodeSelector: {kubernetes.io/hostname: %[1]s}
  serviceAccountName: ` + account + `
  terminationGracePeriodSeconds: 2
  containers:
  - {name: curl, image: curl, command: [sleep, infinity]}
---
apiVersion: v1
kind: Pod
metadata: {name: answer-%[1]s, labels: {answers: %[1]s}}
spec:
  nodeName: %[1]s
  terminationGracePeriodSeconds: 2
  containers:
  - name: echo
    image: registry.k8s.io/gateway-api/echo-basic
    env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: NAMESPACE, value: ` + namespace + `}]
    readinessProbe: {tcpSocket: {port: 3000}}
---
apiVersion: v1
kind: Service
metadata: {name: answer-%[1]s}
spec: {selector: {answers: %[1]s}, ports: [{name: http, port: 80, targetPort: 3000}]}
`

// deploy puts a pod that asks and one that answers on each node, outside the mesh.
func (x *crossing) deploy() error {
	if err := x.cluster.Kubectl(strings.NewReader(newNamespace), io.Discard, "apply", "-f", "-"); err != nil {
		return err
	}
	manifest := "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + account + "}}"
	for _, n := range layout.Nodes {
		manifest += fmt.Sprintf(onNode, n.Name)
	}
	if err := x.apply(manifest); err != nil {
		return err
	}
	if err := x.kubectl(nil, "wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=60s"); err != nil {
		return err
	}
	return x.look()
}

// look reads the pods' addresses, and that each lies in its node's network.
func (x *crossing) look() error {
	var out bytes.Buffer
	if err := x.kubectl(&out, "get", "pods", "-n", namespace, "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.spec.nodeName}{"\n"}{end}`); err != nil {
		return err
	}
	x.pods = map[string]netip.Addr{}
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return fmt.Errorf("a pod without address or node: %q", line)
		}
		a, err := netip.ParseAddr(f[1])
		if err != nil {
			return err
		}
		n, ok := layout.NodeNamed(f[2])
		if !ok || !netip.MustParsePrefix(n.PodCIDR).Contains(a) {
			x.problem("%s has %s on %s", f[0], a, f[2])
		}
		x.pods[f[0]] = a
	}
	return nil
}
