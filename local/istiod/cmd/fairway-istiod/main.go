// Command fairway-istiod is istiod with its Kubernetes kept in memory. See ../../README.md.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "fairway-istiod",
		Short:         "istiod with its Kubernetes kept in memory",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), recordCommand())
	if err := root.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "fairway-istiod:", err)
		os.Exit(1)
	}
}
