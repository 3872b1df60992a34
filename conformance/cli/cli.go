// Package cli is the command line: what a user calls, and hidden commands under which the executable calls itself.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/programs"
)

// settings are the flags of every command.
type settings struct {
	source string
	run    string
}

// Main runs one command line and returns the exit code.
func Main(args []string) int {
	s := &settings{}
	root := &cobra.Command{
		Use: "fairway-conformance", Short: "A Kubernetes and Istio cluster without containers, and the suites that run on it",
		SilenceUsage: true, SilenceErrors: true,
		TraverseChildren: true, // else --run before kubectl would be kubectl's
	}
	root.PersistentFlags().StringVar(&s.source, "source", "conformance", "the project's conformance folder")
	root.PersistentFlags().StringVar(&s.run, "run", "", "the cluster's folder (default below FAIRWAY_CACHE); another folder is another cluster")
	root.AddCommand(s.buildCommand(), s.upCommand(), s.downCommand(), s.runCommand(),
		s.clientCommand("kubectl", programs.Kubernetes, "kubectl"), s.clientCommand("istioctl", programs.Istioctl),
		s.enterCommand(), s.logsCommand())
	root.AddCommand(s.hiddenCommands()...)
	root.SetArgs(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "fairway-conformance:", err)
	return 1
}

// exitCode ends the program without a word.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (s *settings) layout() (layout.Layout, error) {
	l, err := layout.Default()
	if err == nil && s.run != "" {
		l.Run, err = filepath.Abs(s.run)
	}
	return l, err
}

// cluster is the one the flags mean, running or not.
func (s *settings) cluster() (*controlplane.Cluster, error) {
	l, err := s.layout()
	if err != nil {
		return nil, err
	}
	store, err := programs.Open(l.Cache, s.source)
	if err != nil {
		return nil, err
	}
	return &controlplane.Cluster{Layout: l, Store: store, Progress: os.Stdout}, nil
}

func (s *settings) buildCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{Use: "build", Short: "Build the foreign programs that are missing (minutes, once)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.cluster()
			if err != nil {
				return err
			}
			if !check {
				return c.Store.Build(cmd.Context(), os.Stdout)
			}
			missing, err := c.Store.Missing()
			if err == nil && len(missing) > 0 {
				err = fmt.Errorf("missing: %v", missing)
			}
			return err
		}}
	c.Flags().BoolVar(&check, "check", false, "only say what is missing, and fail if anything is")
	return c
}
