package discovery

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// chart is the environment the istiod chart gives the container with the ambient profile, less what
// others do here: the gateway deployment controller (fairway makes waypoint pods) and the two
// webhooks (no sidecars; validation is asked directly).
var chart = map[string]string{
	"CA_TRUSTED_NODE_ACCOUNTS": "istio-system/ztunnel",
	"CLUSTER_ID":               ClusterID,
	"PILOT_CERT_PROVIDER":      "istiod",
	"PILOT_ENABLE_AMBIENT":     "true",
	"PILOT_ENABLE_ANALYSIS":    "false",
	"POD_NAME":                 podName,
	"POD_NAMESPACE":            Namespace,
	"REVISION":                 revision,
	"SERVICE_ACCOUNT":          "istiod",
	"PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
	"INJECT_ENABLED":                 "false",
	"VALIDATION_WEBHOOK_CONFIG_NAME": "",
	"INJECTION_WEBHOOK_CONFIG_NAME":  "",
}

const environmentMarker = "FAIRWAY_ISTIOD_ENVIRONMENT"

// EnterEnvironment makes sure this process runs in the chart's environment, changed by overrides.
// istiod reads its settings while Go packages initialise, long before main: so the program starts
// itself again, once. What the caller's environment already sets wins over the chart.
func EnterEnvironment(overrides map[string]string) error {
	if os.Getenv(environmentMarker) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, environment(os.Environ(), overrides))
}

func environment(current []string, overrides map[string]string) []string {
	set := map[string]string{environmentMarker: "1"}
	for k, v := range chart {
		set[k] = v
	}
	for _, kv := range current {
		k, v, _ := strings.Cut(kv, "=")
		set[k] = v
	}
	for k, v := range overrides {
		set[k] = v
	}
	list := make([]string, 0, len(set))
	for k, v := range set {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}
