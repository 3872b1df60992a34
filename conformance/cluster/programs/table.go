// Package programs builds the foreign programs of a cluster from the Go module proxy: Kubernetes, etcd, Istio, and the official
// suite. Each is pinned by the go.mod and go.sum of a folder under conformance/programs.
//
// Invariant: a program lies in the cache under a hash of everything that decides its content, so a present one is never stale and
// checkouts share what is equal.
package programs

import "fmt"

// Program names one executable.
type Program string

// The programs of a cluster and of the suites.
const (
	Etcd       Program = "etcd"
	Kubernetes Program = "kubernetes"
	Istiod     Program = "istiod"
	Istioctl   Program = "istioctl"
	InstallCNI Program = "install-cni"
	EchoServer Program = "echo-server"
	EchoClient Program = "echo-client"
	EchoBasic  Program = "echo-basic"
	Suite      Program = "suite"
)

// recipe says how a program is compiled.
type recipe struct {
	program Program
	folder  string // under conformance/programs
	pkg     string
	tags    string
	test    bool // a test binary
}

// istioTags are those of Istio's own release builds.
const istioTags = "vtprotobuf,disable_pgv"

// recipes in the order they are built: small ones first, so that a broken machine shows early.
var recipes = []recipe{
	{program: Etcd, folder: "etcd", pkg: "."},
	{program: EchoBasic, folder: "gateway-api", pkg: "sigs.k8s.io/gateway-api/conformance/echo-basic"},
	{program: Suite, folder: "gateway-api", pkg: "sigs.k8s.io/gateway-api/conformance", test: true},
	{program: EchoServer, folder: "istio", pkg: "istio.io/istio/pkg/test/echo/cmd/server", tags: istioTags},
	{program: EchoClient, folder: "istio", pkg: "istio.io/istio/pkg/test/echo/cmd/client", tags: istioTags},
	{program: InstallCNI, folder: "istio", pkg: "istio.io/istio/cni/cmd/install-cni", tags: istioTags},
	{program: Istiod, folder: "istio", pkg: "istio.io/istio/pilot/cmd/pilot-discovery", tags: istioTags},
	{program: Istioctl, folder: "istio", pkg: "istio.io/istio/istioctl/cmd/istioctl", tags: istioTags},
	{program: Kubernetes, folder: "kubernetes", pkg: "."},
}

// istioVersion is what the Istio programs call themselves: the release they lead to and the pinned commit.
const istioVersion = "1.31-f1a56063"

// IstioCommit is the commit programs/istio pins, in full length as the reports give it.
const IstioCommit = "f1a56063393c"

// stamps are the linker's -X flags. Clients and istiod read Kubernetes' version from the API server and choke on a missing one.
func (r recipe) stamps(kubernetes string) string {
	switch r.folder {
	case "kubernetes":
		const at = "-X k8s.io/component-base/version."
		var major, minor, patch int
		if _, err := fmt.Sscanf(kubernetes, "v%d.%d.%d", &major, &minor, &patch); err != nil {
			return at + "gitVersion=" + kubernetes
		}
		return fmt.Sprintf("%[1]sgitVersion=%[2]s %[1]sgitMajor=%[3]d %[1]sgitMinor=%[4]d %[1]sgitTreeState=clean", at, kubernetes, major, minor)
	case "istio":
		const at = "-X istio.io/istio/pkg/version."
		return fmt.Sprintf("%[1]sbuildVersion=%[2]s %[1]sbuildTag=%[2]s", at, istioVersion)
	}
	return ""
}
