package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/kubelet"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/relay"
)

// hiddenCommands are the parts the executable plays inside a cluster.
func (s *settings) hiddenCommands() []*cobra.Command {
	part := func(use string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
		return &cobra.Command{Use: use, Hidden: true, Args: args, DisableFlagParsing: true, RunE: run}
	}
	return []*cobra.Command{
		part(node.InitCommand, cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error { return node.Init(args[1]) }),
		part(kubelet.ContainerCommand, cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error { return kubelet.Become(args[0]) }),
		part(controlplane.KubeletCommand, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			s.run = args[0]
			l, err := s.layout()
			if err != nil {
				return err
			}
			return kubelet.Run(cmd.Context(), l)
		}),
		part(relayCommand, cobra.MinimumNArgs(2), func(_ *cobra.Command, args []string) error {
			edit := relay.Edit(args[0])
			if !slices.Contains(relay.Edits, edit) {
				return fmt.Errorf("no edit called %s", edit)
			}
			code, err := relay.Run(edit, args[1:])
			if err == nil && code != 0 {
				err = exitCode(code)
			}
			return err
		}),
	}
}

// relayCommand runs a proxy behind the xDS relay: the edit, the proxy, its arguments.
const relayCommand = "relay"
