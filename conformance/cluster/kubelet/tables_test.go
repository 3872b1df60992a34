package kubelet

import (
	"net/netip"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairway.dev/conformance/cluster/layout"
)

func TestTheFirstMatchingImageCounts(t *testing.T) {
	list, err := parseImages([]byte(`[{"match": "/pilot:", "cmd": ["a"]}, {"match": "pilot|curl(:|$)", "cmd": ["b"]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{"hub/pilot:1": "a", "pilot": "b", "docker.io/curl:8": "b", "nginx": ""} {
		got := ""
		if i := slices.IndexFunc(list, func(i Image) bool { return i.re.MatchString(image) }); i >= 0 {
			got = list[i].Cmd[0]
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
	if _, err := parseImages([]byte(`[{"match": "("}]`)); err == nil {
		t.Error("a broken expression was taken")
	}
}

func TestEveryPodGetsAnotherAddressUntilNoneIsLeft(t *testing.T) {
	k := &Kubelet{node: layout.Nodes[1], pods: map[types.UID]*pod{}}
	cidr := netip.MustParsePrefix(k.node.PodCIDR)
	give := func() (string, error) {
		a, err := k.nextIP()
		if err == nil {
			k.pods[types.UID(a)] = &pod{ip: a}
		}
		return a, err
	}
	for range podAddresses {
		before := len(k.pods)
		a, err := give()
		if err != nil || len(k.pods) == before || !cidr.Contains(netip.MustParseAddr(a)) {
			t.Fatalf("after %d: %q, %v", before, a, err)
		}
	}
	if a, err := give(); err == nil {
		t.Errorf("%s is the one too many", a)
	}
	delete(k.pods, "10.244.2.7")
	if a, err := give(); a != "10.244.2.7" {
		t.Errorf("got %q, %v; the free one is 10.244.2.7", a, err)
	}
}

func TestPhase(t *testing.T) {
	main := func(final bool, code int) *container { return &container{final: final, last: end{code: code}} }
	setup := func(final bool, code int) *container {
		return &container{init: true, final: final, last: end{code: code}}
	}
	for name, c := range map[string]struct {
		containers []*container
		initEnd    bool
		want       v1.PodPhase
	}{
		"nothing yet":           {nil, false, v1.PodPending},
		"init runs":             {[]*container{setup(false, 0), main(false, 0)}, false, v1.PodPending},
		"init failed for good":  {[]*container{setup(true, 1), main(false, 0)}, false, v1.PodFailed},
		"runs":                  {[]*container{setup(true, 0), main(false, 0)}, true, v1.PodRunning},
		"one of two failed":     {[]*container{main(true, 1), main(false, 0)}, true, v1.PodRunning},
		"all ended, one failed": {[]*container{main(true, 1), main(true, 0)}, true, v1.PodFailed},
		"all ended well":        {[]*container{main(true, 0), main(true, 0)}, true, v1.PodSucceeded},
	} {
		sum := tally{seen: len(c.containers) > 0, ready: true}
		for _, x := range c.containers {
			sum.count(x)
		}
		if got := sum.phase(c.initEnd); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
