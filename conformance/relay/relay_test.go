package relay

import (
	"slices"
	"strings"
	"testing"
)

func TestRedirectPutsItselfInIstiodsPlace(t *testing.T) {
	changed, istiod, err := redirect([]string{"A=b", `PROXY_CONFIG={"discoveryAddress":"istiod.test:15012","concurrency":2}`})
	if err != nil || istiod != "istiod.test:15012" {
		t.Fatalf("got %q, %v", istiod, err)
	}
	if !slices.Contains(changed, "A=b") {
		t.Errorf("the rest is gone: %q", changed)
	}
	i := slices.IndexFunc(changed, func(e string) bool { return strings.HasPrefix(e, "PROXY_CONFIG=") })
	if i < 0 || !strings.Contains(changed[i], `"discoveryAddress":"http://`+listenAt+`"`) || !strings.Contains(changed[i], `"concurrency":2`) {
		t.Errorf("got %q", changed)
	}
}

func TestRedirectKnowsWhereIstiodUsuallyIs(t *testing.T) {
	for name, environment := range map[string][]string{"none": nil, "empty": {"PROXY_CONFIG={}"}} {
		if _, istiod, err := redirect(environment); err != nil || istiod != istiodAddress {
			t.Errorf("%s: got %q, %v", name, istiod, err)
		}
	}
	if _, _, err := redirect([]string{"PROXY_CONFIG=yaml: no"}); err == nil {
		t.Error("a broken PROXY_CONFIG was taken")
	}
}
