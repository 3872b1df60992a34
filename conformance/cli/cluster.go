package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/cluster/programs"
)

// proxyFlags name the programs under test.
func proxyFlags(c *cobra.Command) *controlplane.Proxies {
	p := &controlplane.Proxies{}
	c.Flags().StringVar(&p.Ztunnel, "ztunnel", "target/debug/ztunnel", "runs for ztunnel's image")
	c.Flags().StringVar(&p.Waypoint, "waypoint", "target/debug/waypoint", "runs for the image of waypoints and gateways")
	c.Flags().StringVar(&p.Bookinfo, "bookinfo", "target/debug/bookinfo", "runs for the images of Istio's Bookinfo sample")
	return p
}

func (s *settings) upCommand() *cobra.Command {
	var sample bool
	c := &cobra.Command{Use: "up", Short: "Start a cluster that stays", Args: cobra.NoArgs}
	proxies := proxyFlags(c)
	c.Flags().BoolVar(&sample, "sample", false, "deploy Istio's Bookinfo and curl samples, unmodified, into namespace bookinfo")
	c.RunE = func(*cobra.Command, []string) error {
		c, err := s.cluster()
		if err != nil {
			return err
		}
		if err := c.Up(*proxies); err != nil {
			return err
		}
		if sample {
			if err := c.DeploySample(); err != nil {
				return err
			}
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		fmt.Printf(`The cluster is up, and its Kubernetes and Istio are the real ones:
  %[1]s kubectl get pods -A
  %[1]s istioctl ztunnel-config workload
  %[1]s enter node2    # a shell in that node, with KUBECONFIG, kubectl and istioctl
  %[1]s down           # nothing stays
`, self)
		return nil
	}
	return c
}

func (s *settings) downCommand() *cobra.Command {
	return &cobra.Command{Use: "down", Short: "End the cluster; nothing of it stays", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.cluster()
			if err != nil {
				return err
			}
			return c.Down()
		}}
}

// clientCommand is one of the real clients, run inside the first node.
func (s *settings) clientCommand(name string, p programs.Program, first ...string) *cobra.Command {
	return &cobra.Command{Use: name, Short: "The real " + name + ", inside the first node", DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.cluster()
			if err != nil {
				return err
			}
			cmd, err := c.ClientCommand(p, append(first, args...)...)
			if err != nil {
				return err
			}
			return attached(cmd)
		}}
}

func (s *settings) enterCommand() *cobra.Command {
	return &cobra.Command{Use: "enter [node] [command...]", DisableFlagParsing: true,
		Short: "Run a shell or a command inside a node: its network, processes and DNS; without a name inside the first",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.cluster()
			if err != nil {
				return err
			}
			n := layout.First()
			if len(args) > 0 {
				if named, ok := layout.NodeNamed(args[0]); ok {
					n, args = named, args[1:]
				}
			}
			if len(args) == 0 {
				args = []string{"bash"}
			}
			cmd, err := c.Shell(n, args...)
			if err != nil {
				return err
			}
			return attached(cmd)
		}}
}

// attached runs a command as if the user had called it: its exit code is ours, and its words are enough.
func attached(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitCode(exit.ExitCode())
	}
	return err
}

func (s *settings) logsCommand() *cobra.Command {
	return &cobra.Command{Use: "logs [name]", Short: "The log of one of the nodes' own programs; without a name, which there are",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := s.layout()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				files, err := filepath.Glob(l.Log("*"))
				for _, f := range files {
					fmt.Println(strings.TrimSuffix(filepath.Base(f), ".log"))
				}
				return err
			}
			f, err := os.Open(l.Log(args[0]))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(os.Stdout, f)
			return err
		}}
}

// memory says what the nodes' processes hold.
func memory(c *controlplane.Cluster) {
	if rss, err := node.Memory(c.Layout); err == nil {
		fmt.Fprintf(c.Progress, "the whole cluster: %d MiB resident\n", rss>>20)
	}
}
