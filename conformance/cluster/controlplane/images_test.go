package controlplane

import (
	"regexp"
	"slices"
	"testing"

	"fairway.dev/conformance/cluster/kubelet"
)

func TestEveryImageOfTheManifestsHasItsProgram(t *testing.T) {
	at := map[string]string{}
	for _, name := range []string{"ztunnel", "waypoint", "bookinfo", "echo-server", "echo-client", "echo-basic", "istiod", "install-cni"} {
		at[name] = "/bin/" + name
	}
	list := table(at, "/pki")
	for image, want := range map[string][]string{
		"registry.k8s.io/gateway-api/echo-advanced:v1.5.1":                  {"/bin/echo-server"},
		"registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.3":               {"/bin/echo-basic"},
		"fairway/pilot:conformance":                                         {"/bin/istiod"},
		"fairway/install-cni:conformance":                                   {"/bin/install-cni"},
		"fairway/ztunnel:conformance":                                       {"/bin/ztunnel"},
		"fairway/proxyv2:conformance":                                       {"/bin/waypoint"},
		"registry.istio.io/release/examples-bookinfo-reviews-v2:1.20.3":     {"/bin/bookinfo", "reviews"},
		"registry.istio.io/release/examples-bookinfo-productpage-v1:1.20.3": {"/bin/bookinfo", "productpage"},
		"nginx": nil,
	} {
		var got []string
		if i := slices.IndexFunc(list, func(i kubelet.Image) bool { return regexp.MustCompile(i.Match).MatchString(image) }); i >= 0 {
			got = list[i].Cmd
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
}

func TestARelayedProxyIsShownToItsContainer(t *testing.T) {
	got := proxyImage([]string{"/tool", "relay", "none"}, "/waypoint")
	if !slices.Equal(got.Cmd, []string{"/tool", "relay", "none", behindRelay}) || got.Files[behindRelay] != "/waypoint" {
		t.Errorf("got %+v", got)
	}
}
