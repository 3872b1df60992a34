package discovery

import (
	"slices"
	"testing"
)

func TestEnvironment(t *testing.T) {
	env := environment(
		[]string{"HOME=/home/me", "PILOT_ENABLE_AMBIENT=false", "POD_NAME=mine"},
		map[string]string{"POD_NAME": "override", "EMPTY": ""},
	)
	for setting, want := range map[string]bool{
		"HOME=/home/me":                                 true, // the caller's
		"PILOT_ENABLE_AMBIENT=false":                    true, // the caller's wins over the chart's
		"PILOT_ENABLE_AMBIENT=true":                     false,
		"CA_TRUSTED_NODE_ACCOUNTS=istio-system/ztunnel": true, // the chart's
		"POD_NAME=override":                             true, // an override wins over the caller's
		"POD_NAME=mine":                                 false,
		"EMPTY=":                                        true,
		environmentMarker + "=1":                        true,
		"PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false": true,
	} {
		if slices.Contains(env, setting) != want {
			t.Errorf("%s: got %v, want %v", setting, !want, want)
		}
	}
	if !slices.IsSorted(env) {
		t.Error("not sorted: two starts would differ")
	}
}
