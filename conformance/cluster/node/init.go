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

// Init is the node's PID 1: it mounts, brings the network up, tells its parent through file 3, and then reaps. It ends on SIGTERM.
func Init(resolv string) error {
	for _, step := range []func() error{mounts, func() error { return showResolver(resolv) },
		func() error { return unix.Sethostname([]byte(layout.NodeName)) }, network} {
		if err := step(); err != nil {
			return err
		}
	}
	ready := os.NewFile(3, "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return fmt.Errorf("telling the parent: %w", err)
	}
	ready.Close()
	reap()
	return nil
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

// network gives the node its address. A bridge without ports holds it (some kernels lack the dummy device). The default route
// only makes look-ups of load balancer addresses succeed; kube-proxy rewrites them before they leave.
func network() error {
	if err := ip("", "link set lo up",
		"link add node0 type bridge",
		"addr add "+layout.NodeIP+"/24 dev node0",
		"link set node0 up",
		"route add default dev node0"); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"ip_forward": "1", "conf/all/rp_filter": "0", "conf/default/rp_filter": "0", "conf/all/route_localnet": "1",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// reap waits for whatever is orphaned in the node. The tick makes up for signals that were merged.
func reap() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM, unix.SIGINT)
	child := make(chan os.Signal, 16)
	signal.Notify(child, unix.SIGCHLD)
	tick := time.NewTicker(5 * time.Second)
	for {
		select {
		case <-end:
			return
		case <-child:
		case <-tick.C:
		}
		for {
			var ws unix.WaitStatus
			if pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
