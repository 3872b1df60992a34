// Package node makes the nodes: for each the network, mount, PID, UTS and IPC namespaces it lives in, the cable between them, and
// pods' networks within.
//
// One small init process holds a node. Everything the node starts is in its PID namespace and everything it mounts in its mount
// namespace, so ending the init processes ends and removes all of it.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairway.dev/conformance/cluster/layout"
)

// InitCommand is the hidden subcommand under which this executable becomes a node's init process (see Init).
const InitCommand = "node-init"

// How long a node's processes have to end before they are killed.
const stopPatience = 5 * time.Second

// Start makes all nodes and returns once the network between them stands.
func Start(l layout.Layout) error {
	for _, n := range layout.Nodes {
		if err := start(l, n); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return wire(l)
}

func start(l layout.Layout, n layout.Node) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, d := range []string{l.Programs(n), l.OfNode(n, "pods")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	log, err := appendTo(l.Log(n.Name))
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command("/proc/self/exe", InitCommand, l.PIDFile(n), l.Run, n.Name)
	c.Args[0] = initName
	c.Stdout, c.Stderr, c.ExtraFiles = log, log, []*os.File{w}
	c.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	err = c.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("its namespaces: %w", err)
	}
	if err := os.WriteFile(l.PIDFile(n), []byte(strconv.Itoa(c.Process.Pid)+"\n"), 0o644); err != nil {
		return err
	}
	if n, _ := r.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("its init process failed, see %s", log.Name())
	}
	return nil
}

func appendTo(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// initName is argv[0] of an init process; with the PID file's path it tells the node from a later process of that number.
const initName = "fairway-node"

// PID is the init process of a running node.
func PID(l layout.Layout, n layout.Node) (int, bool) {
	b, err := os.ReadFile(l.PIDFile(n))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return 0, false
	}
	return pid, strings.HasPrefix(string(cmdline), initName+"\x00"+InitCommand+"\x00"+l.PIDFile(n)+"\x00")
}

// Running is true if any node is.
func Running(l layout.Layout) bool {
	for _, n := range layout.Nodes {
		if _, running := PID(l, n); running {
			return true
		}
	}
	return false
}

// Stop ends all nodes and removes their control groups.
func Stop(l layout.Layout) error {
	for _, n := range layout.Nodes {
		if pid, running := PID(l, n); running {
			if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	for end := time.Now().Add(stopPatience); Running(l); time.Sleep(50 * time.Millisecond) {
		for _, n := range layout.Nodes {
			if pid, running := PID(l, n); running && time.Now().After(end) {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	return removeCgroups(l.Cgroup())
}

// Command prepares a program to run inside a node; the file system is this machine's, except /proc, /run and /etc/resolv.conf.
func Command(l layout.Layout, n layout.Node, argv ...string) (*exec.Cmd, error) {
	return command(context.Background(), l, n, argv)
}

// CommandContext is Command for programs that no one types into: with everything it starts it ends when ctx does.
func CommandContext(ctx context.Context, l layout.Layout, n layout.Node, argv ...string) (*exec.Cmd, error) {
	c, err := command(ctx, l, n, argv)
	if err != nil {
		return nil, err
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGTERM) }
	c.WaitDelay = stopPatience
	return c, nil
}

func command(ctx context.Context, l layout.Layout, n layout.Node, argv []string) (*exec.Cmd, error) {
	pid, running := PID(l, n)
	if !running {
		return nil, errors.New("the cluster is not up")
	}
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	args := []string{"-t", strconv.Itoa(pid), "-m", "-n", "-p", "-u", "-i", "--wd=" + wd, "--"}
	return exec.CommandContext(ctx, "nsenter", append(args, argv...)...), nil
}
