package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/cluster/programs"
)

// Hidden subcommands under which this executable plays parts of the cluster.
const (
	KubeletCommand = "kubelet"
	AddonsCommand  = "addons"
)

// apiServerPatience is how long the API server may take; cold disks and busy machines need some of it.
const apiServerPatience = 60 * time.Second

// controllers are those that a suite's objects need; the scheduler is one of the addons.
const controllers = "deployment-controller,replicaset-controller,daemonset-controller,statefulset-controller,job-controller," +
	"endpointslice-controller,endpoints-controller,serviceaccount-controller,serviceaccount-token-controller,namespace-controller," +
	"garbage-collector-controller,root-ca-certificate-publisher-controller"

// daemon starts one of the Kubernetes programs on a node; one executable is all of them, by its first argument.
func (c *Cluster) daemon(n layout.Node, name, program string, args ...string) error {
	at, err := c.Store.Path(programs.Kubernetes)
	if err != nil {
		return err
	}
	return node.Daemon(c.Layout, n, name, append([]string{filepath.Join(filepath.Dir(at), program)}, args...)...)
}

func (c *Cluster) startAPIServer() error {
	etcd, err := c.Store.Path(programs.Etcd)
	if err != nil {
		return err
	}
	if err := node.Daemon(c.Layout, layout.First(), "etcd", etcd, "-data", c.Layout.Below("etcd")); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(c.Layout.PKI(), name) }
	if err := c.daemon(layout.First(), "apiserver", "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+layout.First().IP, "--bind-address="+layout.First().IP, fmt.Sprint("--secure-port=", layout.APIPort),
		"--service-cluster-ip-range="+layout.ServiceCIDR, "--authorization-mode=RBAC", "--allow-privileged=true",
		"--tls-cert-file="+at("apiserver.crt"), "--tls-private-key-file="+at("apiserver.key"), "--client-ca-file="+at("ca.crt"),
		"--cert-dir="+c.Layout.Below("certs"), "--service-account-key-file="+at("sa.pub"), "--service-account-signing-key-file="+at("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--kubelet-client-certificate="+at("apiclient.crt"),
		"--kubelet-client-key="+at("apiclient.key"), "--kubelet-certificate-authority="+at("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP"); err != nil {
		return err
	}
	for end := time.Now().Add(apiServerPatience); ; time.Sleep(100 * time.Millisecond) {
		err := c.Kubectl(nil, io.Discard, "get", "--raw", "/readyz")
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (c *Cluster) startAgents() error {
	at := func(name string) string { return filepath.Join(c.Layout.PKI(), name) }
	if err := c.daemon(layout.First(), "controllers", "kube-controller-manager", "--kubeconfig="+c.Layout.Kubeconfig("controllers"), "--leader-elect=false",
		"--cert-dir="+c.Layout.Below("certs"), "--service-account-private-key-file="+at("sa.key"), "--root-ca-file="+at("ca.crt"),
		"--use-service-account-credentials=false", "--cluster-signing-cert-file="+at("ca.crt"), "--cluster-signing-key-file="+at("ca.key"),
		"--controllers="+controllers); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := node.Daemon(c.Layout, layout.First(), "addons", self, AddonsCommand, c.Layout.Run); err != nil {
		return err
	}
	for _, n := range layout.Nodes {
		if err := node.Daemon(c.Layout, n, "kubelet-"+n.Name, self, KubeletCommand, c.Layout.Run, n.Name); err != nil {
			return err
		}
		config := c.Layout.OfNode(n, "kube-proxy.yaml")
		proxy := fmt.Sprintf(kubeProxy, layout.ClusterCIDR, n.Name, c.Layout.Kubeconfig("proxy"), n.IP)
		if err := os.WriteFile(config, []byte(proxy), 0o644); err != nil {
			return err
		}
		if err := c.daemon(n, "kube-proxy-"+n.Name, "kube-proxy", "--config", config); err != nil {
			return err
		}
	}
	return nil
}

// nodesReady waits for the nodes, so that what Istio runs on each of them is waited for on each of them.
func (c *Cluster) nodesReady() error {
	for _, what := range []string{"create", "condition=Ready"} {
		args := []string{"wait", "--for=" + what, "--timeout=60s"}
		for _, n := range layout.Nodes {
			args = append(args, "node/"+n.Name)
		}
		if err := c.Kubectl(nil, io.Discard, args...); err != nil {
			return err
		}
	}
	return nil
}

// kubeProxy: nftables, because that is the mode to come; no conntrack settings, which are the machine's and not a namespace's.
const kubeProxy = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
hostnameOverride: %s
metricsBindAddress: 127.0.0.1:10249
healthzBindAddress: 127.0.0.1:10256
clientConnection: {kubeconfig: %q}
nodePortAddresses: ["%s/32"]
nftables: {minSyncPeriod: 50ms}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

// defineResources installs the Gateway API's definitions of the suite's version and Istio's of istiod's. Of the experimental
// channel, because istiod waits for its kinds.
func (c *Cluster) defineResources() error {
	gateway, err := c.Store.ModuleFolder("gateway-api", "sigs.k8s.io/gateway-api")
	if err != nil {
		return err
	}
	istio, err := c.Store.ModuleFolder("istio", "istio.io/istio")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(gateway, "config/crd/experimental/*.yaml"))
	if err != nil {
		return err
	}
	args := []string{"apply", "--server-side", "-f", filepath.Join(istio, "manifests/charts/base/files/crd-all.gen.yaml")}
	for _, f := range files {
		if filepath.Base(f) != "kustomization.yaml" {
			args = append(args, "-f", f)
		}
	}
	if len(files) == 0 {
		return errors.New("the Gateway API's module has no resource definitions")
	}
	log, err := os.Create(c.Layout.Log("definitions"))
	if err != nil {
		return err
	}
	defer log.Close()
	if err := c.Kubectl(nil, log, args...); err != nil {
		return err
	}
	return c.Kubectl(nil, log, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
}
