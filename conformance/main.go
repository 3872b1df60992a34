// fairway-conformance: the official Gateway API suite on a real API server, a real istiod, istio-cni and our two proxies, on one
// machine without containers. See README.md.
package main

import (
	"os"

	"fairway.dev/conformance/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:]))
}
