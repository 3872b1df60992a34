package controlplane

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// IstioNamespace is where istiod, istio-cni and ztunnel run.
const IstioNamespace = "istio-system"

// rolloutPatience is how long each part of Istio may take to be ready.
const rolloutPatience = "--timeout=120s"

// istioSettings: the ambient profile, unmodified but for names. Images have no registry (the table maps them), and alpha Gateway API
// support is on as in Istio's own conformance tests.
var istioSettings = []string{
	"profile=ambient", "hub=fairway", "tag=conformance", "values.global.proxy.image=proxyv2",
	"values.pilot.env.PILOT_ENABLE_ALPHA_GATEWAY_API=true",
}

func (c *Cluster) applyIstio() error {
	namespace := fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", IstioNamespace)
	if err := c.Kubectl(strings.NewReader(namespace), io.Discard, "apply", "-f", "-"); err != nil {
		return err
	}
	manifest, err := os.Create(c.Layout.Below("istio.yaml"))
	if err != nil {
		return err
	}
	defer manifest.Close()
	args := []string{"manifest", "generate"}
	for _, s := range istioSettings {
		args = append(args, "--set", s)
	}
	if err := c.Istioctl(manifest, args...); err != nil {
		return err
	}
	return c.Kubectl(nil, io.Discard, "apply", "--server-side", "--force-conflicts", "-f", manifest.Name())
}

func (c *Cluster) rolledOut(what string) error {
	err := c.Kubectl(nil, io.Discard, "-n", IstioNamespace, "rollout", "status", what, rolloutPatience)
	if err != nil { // the cluster may be gone before anyone can look
		_ = c.Kubectl(nil, c.Progress, "get", "pods", "-A")
		_ = c.Kubectl(nil, c.Progress, "-n", IstioNamespace, "logs", what, "--tail=40")
	}
	return err
}
