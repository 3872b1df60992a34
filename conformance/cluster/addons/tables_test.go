package addons

import (
	"slices"
	"testing"
)

func TestFreeAddress(t *testing.T) {
	used := map[string]bool{"172.18.77.101": true}
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

func TestLabelsBelow(t *testing.T) {
	for name, want := range map[string][]string{
		"echo.ns.svc.cluster.local": {"echo", "ns"}, "p.echo.ns.svc.cluster.local": {"p", "echo", "ns"}, "example.org": nil, "svc.cluster.local": nil,
	} {
		if got := labelsBelow(name, "svc."+zone); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
