package kubelet

import (
	"net/url"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

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

func TestFreeAddress(t *testing.T) {
	used := map[string]bool{layout.NodeIP: true, "172.18.77.101": true}
	for wanted, want := range map[string]string{"": "172.18.77.102", "172.18.77.200": "172.18.77.200", "not an address": "172.18.77.102"} {
		if got, err := freeAddress(wanted, used); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", wanted, got, err, want)
		}
	}
	for i := 101; i < 255; i++ {
		a, err := freeAddress("", used)
		if err != nil {
			return
		}
		used[a] = true
	}
	t.Error("it never runs out")
}

func TestPodAddressesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; n <= podAddresses; n++ {
		a := podAddress(n)
		if seen[a] {
			t.Fatalf("%s comes twice", a)
		}
		seen[a] = true
	}
}

func TestPhase(t *testing.T) {
	main := func(final bool, code int) *container { return &container{final: final, code: code} }
	setup := func(final bool, code int) *container { return &container{init: true, final: final, code: code} }
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

func TestLogCut(t *testing.T) {
	for query, want := range map[string]string{"": "a\nb\nc\n", "tailLines=1": "c\n", "tailLines=9": "a\nb\nc\n", "limitBytes=3": "a\nb", "tailLines=2&limitBytes=1": "b"} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(cut([]byte("a\nb\nc\n"), q)); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestLogSinceNeverLosesALine(t *testing.T) {
	begin := time.Now()
	l := &logFile{at: []mark{{begin, 10}, {begin.Add(time.Second), 20}}}
	for offset, want := range map[time.Duration]int64{-time.Second: 0, 0: 0, 500 * time.Millisecond: 10, 2 * time.Second: 20} {
		if got := l.since(begin.Add(offset)); got != want {
			t.Errorf("%s: got %d, want %d", offset, got, want)
		}
	}
}

func TestLabelsBelow(t *testing.T) {
	for name, want := range map[string][]string{
		"echo.ns.svc.cluster.local": {"echo", "ns"}, "p.echo.ns.svc.cluster.local": {"p", "echo", "ns"}, "example.org": nil, "svc.cluster.local": nil,
	} {
		if got := labelsBelow(name, "svc."+zone); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
