//go:build tools

// Package tools holds the suite, its echo server and the resource definitions to one version; it is never built itself.
package tools

import (
	_ "sigs.k8s.io/gateway-api/conformance"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic"
	_ "sigs.k8s.io/gateway-api/pkg/consts"
)
