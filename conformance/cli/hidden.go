package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"fairway.dev/conformance/cluster/addons"
	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/kubelet"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/relay"
)

// hiddenCommands are the parts the executable plays inside a cluster.
func (s *settings) hiddenCommands() []*cobra.Command {
	part := func(use string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
		return &cobra.Command{Use: use, Hidden: true, Args: args, DisableFlagParsing: true, RunE: run}
	}
	return []*cobra.Command{
		part(node.InitCommand, cobra.ExactArgs(3), func(_ *cobra.Command, args []string) error {
			l, n, err := s.place(args[1], args[2]) // the first is for others to read
			if err != nil {
				return err
			}
			return node.Init(l, n)
		}),
		part(kubelet.ContainerCommand, cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error { return kubelet.Become(args[0]) }),
		part(controlplane.KubeletCommand, cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
			l, n, err := s.place(args[0], args[1])
			if err != nil {
				return err
			}
			return kubelet.Run(cmd.Context(), l, n)
		}),
		part(controlplane.AddonsCommand, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			l, _, err := s.place(args[0], layout.First().Name)
			if err != nil {
				return err
			}
			return addons.Run(cmd.Context(), l)
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

// place is where a part of a cluster runs.
func (s *settings) place(run, name string) (layout.Layout, layout.Node, error) {
	s.run = run
	n, ok := layout.NodeNamed(name)
	if !ok {
		return layout.Layout{}, n, fmt.Errorf("no node is called %s", name)
	}
	l, err := s.layout()
	return l, n, err
}

// relayCommand runs a proxy behind the xDS relay: the edit, the proxy, its arguments.
const relayCommand = "relay"
