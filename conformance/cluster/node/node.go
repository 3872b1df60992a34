// Package node makes the network, mount, PID, UTS and IPC namespaces the cluster lives in, and pods' networks within.
//
// One small init process holds them. Everything the cluster starts is in its PID namespace and everything it mounts in its
// mount namespace, so ending that one process ends and removes all of it.
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

// InitCommand is the hidden subcommand under which this executable becomes the node's init process (see Init).
const InitCommand = "node-init"

// How long the node's processes have to end before they are killed.
const stopPatience = 5 * time.Second

// Start makes the node and returns once its network stands.
func Start(l layout.Layout) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	log, err := os.OpenFile(l.Log("node"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command("/proc/self/exe", InitCommand, l.PIDFile(), l.Below("resolv.conf"))
	c.Args[0] = initName
	c.Stdout, c.Stderr, c.ExtraFiles = log, log, []*os.File{w}
	c.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	err = c.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("the node's namespaces: %w", err)
	}
	if err := os.WriteFile(l.PIDFile(), []byte(strconv.Itoa(c.Process.Pid)+"\n"), 0o644); err != nil {
		return err
	}
	if n, _ := r.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("the node's init process failed, see %s", l.Log("node"))
	}
	return nil
}

// initName is argv[0] of the init process; with the PID file's path it tells the node from a later process of that number.
const initName = "fairway-node"

// PID is the init process of a running node.
func PID(l layout.Layout) (int, bool) {
	b, err := os.ReadFile(l.PIDFile())
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
	return pid, strings.HasPrefix(string(cmdline), initName+"\x00"+InitCommand+"\x00"+l.PIDFile()+"\x00")
}

// Stop ends the node and removes its control groups.
func Stop(l layout.Layout) error {
	pid, running := PID(l)
	if running {
		if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		for end := time.Now().Add(stopPatience); ; time.Sleep(50 * time.Millisecond) {
			if _, still := PID(l); !still {
				break
			}
			if time.Now().After(end) {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	removeCgroups(l.Cgroup())
	return nil
}

// Command prepares a program to run inside the node; the file system is this machine's, except /proc, /run and /etc/resolv.conf.
func Command(l layout.Layout, argv ...string) (*exec.Cmd, error) {
	return command(context.Background(), l, argv)
}

// CommandContext is Command for programs that no one types into: with everything it starts it ends when ctx does.
func CommandContext(ctx context.Context, l layout.Layout, argv ...string) (*exec.Cmd, error) {
	c, err := command(ctx, l, argv)
	if err != nil {
		return nil, err
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGTERM) }
	c.WaitDelay = stopPatience
	return c, nil
}

func command(ctx context.Context, l layout.Layout, argv []string) (*exec.Cmd, error) {
	pid, running := PID(l)
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

// Daemon starts a program of the node's own; its output goes to its log.
func Daemon(l layout.Layout, name string, argv ...string) error {
	log, err := os.OpenFile(l.Log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c, err := Command(l, append([]string{"setsid", "-f"}, argv...)...)
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
