// One executable for the four Kubernetes programs the cluster needs. They share
// most of their code, so one link instead of four saves minutes and about
// 250 MB; the program is chosen by the name it is called by, or by the first
// argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

// Building a command registers flags and feature gates in process-wide tables,
// so only the wanted one may be constructed.
var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
}

func main() {
	make, ok := programs[filepath.Base(os.Args[0])]
	if !ok && len(os.Args) > 1 {
		if make, ok = programs[os.Args[1]]; ok {
			os.Args = os.Args[1:]
		}
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "call me as kube-apiserver, kube-controller-manager, kube-proxy or kubectl")
		os.Exit(2)
	}
	os.Exit(cli.Run(make()))
}
