package node

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"fairway.dev/conformance/cluster/layout"
)

// Init is a node's PID 1: it mounts, tells its parent through file 3, and then keeps the node's programs running and reaps. It
// ends on SIGTERM.
func Init(l layout.Layout, n layout.Node) error {
	end, child, look := make(chan os.Signal, 1), make(chan os.Signal, 16), make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM, unix.SIGINT)
	signal.Notify(child, unix.SIGCHLD)
	signal.Notify(look, lookSignal)
	for _, step := range []func() error{mounts, func() error { return showResolver(l.Below("resolv.conf")) },
		func() error { return unix.Sethostname([]byte(n.Name)) }, forward} {
		if err := step(); err != nil {
			return err
		}
	}
	ready := os.NewFile(3, "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return fmt.Errorf("telling the parent: %w", err)
	}
	ready.Close()
	k := &keeper{l: l, n: n, programs: map[string]*program{}}
	tick := time.NewTicker(500 * time.Millisecond) // for restarts, and for signals that were merged
	for {
		select {
		case <-end:
			return nil
		case <-look:
		case <-child:
		case <-tick.C:
		}
		reap(k)
		k.look()
		k.start(time.Now())
	}
}

// reap waits for whatever ended in the node.
func reap(k *keeper) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
		k.gone(pid, status, time.Now())
	}
}

func mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	for _, d := range []string{"/run/netns", "/run/lock"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// `ip netns` wants its folder to be a shared mount point; istio-cni's view of it (a hostPath volume) receives new
	// namespaces through the sharing.
	if err := unix.Mount("/run/netns", "/run/netns", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("/run/netns: %w", err)
	}
	return unix.Mount("", "/run/netns", "", unix.MS_SHARED, "")
}

// showResolver binds the cluster's resolv.conf over this machine's, which is often a link into /run, now empty.
func showResolver(file string) error {
	at := "/etc/resolv.conf"
	if to, err := os.Readlink(at); err == nil {
		if !filepath.IsAbs(to) {
			to = filepath.Join("/etc", to)
		}
		at = to
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		f.Close()
	}
	if err := unix.Mount(file, at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// forward makes the node a router, before it has a device: devices take over the defaults.
func forward() error {
	for name, value := range map[string]string{
		"ip_forward": "1", "conf/all/rp_filter": "0", "conf/default/rp_filter": "0", "conf/all/route_localnet": "1",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}
