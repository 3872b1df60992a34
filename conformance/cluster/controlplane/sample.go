package controlplane

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/cluster/programs"
)

// SampleNamespace is where Istio's samples are deployed.
const SampleNamespace = "bookinfo"

// samples are unmodified files of the pinned Istio.
var samples = []string{"bookinfo/platform/kube/bookinfo.yaml", "bookinfo/platform/kube/bookinfo-versions.yaml", "curl/curl.yaml"}

// DeploySample applies Istio's Bookinfo and curl samples and waits until they run. They are not in the mesh yet.
func (c *Cluster) DeploySample() error {
	folder, err := c.samples()
	if err != nil {
		return err
	}
	namespace := fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", SampleNamespace)
	if err := c.Kubectl(strings.NewReader(namespace), io.Discard, "apply", "-f", "-"); err != nil {
		return err
	}
	for _, file := range samples {
		if err := c.Kubectl(nil, io.Discard, "apply", "-n", SampleNamespace, "-f", filepath.Join(folder, file)); err != nil {
			return err
		}
	}
	return c.Kubectl(nil, io.Discard, "wait", "-n", SampleNamespace, "--for=condition=Available", "deployment", "--all", "--timeout=120s")
}

func (c *Cluster) samples() (string, error) {
	istio, err := c.Store.ModuleFolder("istio", "istio.io/istio")
	return filepath.Join(istio, "samples"), err
}

// Shell prepares a command in a node as the administrator, with kubectl and istioctl on its path and Istio's samples in $SAMPLES.
func (c *Cluster) Shell(n layout.Node, argv ...string) (*exec.Cmd, error) {
	cmd, err := node.Command(c.Layout, n, argv...)
	if err != nil {
		return nil, err
	}
	return cmd, c.furnish(cmd)
}

// Script is Shell in the first node for what no one types into; it ends with ctx.
func (c *Cluster) Script(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	cmd, err := node.CommandContext(ctx, c.Layout, layout.First(), argv...)
	if err != nil {
		return nil, err
	}
	return cmd, c.furnish(cmd)
}

func (c *Cluster) furnish(cmd *exec.Cmd) error {
	folder, err := c.samples()
	if err != nil {
		return err
	}
	path := []string{os.Getenv("PATH")}
	for _, p := range []programs.Program{programs.Kubernetes, programs.Istioctl} {
		at, err := c.Store.Path(p)
		if err != nil {
			return err
		}
		path = append([]string{filepath.Dir(at)}, path...)
	}
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Layout.Kubeconfig("admin"), "SAMPLES="+folder, "PATH="+strings.Join(path, ":"))
	return nil
}
