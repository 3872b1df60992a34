package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// command prepares a program to run inside the container.
func (c *container) command(ctx context.Context, argv []string) (*exec.Cmd, error) {
	c.p.mu.Lock()
	pid, entered := c.pid, c.entered
	c.p.mu.Unlock()
	if pid == 0 {
		return nil, fmt.Errorf("container %s is not running", c.c.Name)
	}
	select {
	case <-entered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	k := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-n", "-m", "-u", "-r", "-w", "--"}, argv...)...)
	k.Env = c.spec.Env
	return k, nil
}

// streams carries exec and port-forward for one pod.
type streams struct{ p *pod }

// ExecInContainer is remotecommand's interface.
func (s streams) ExecInContainer(ctx context.Context, _, _, container string, argv []string, in io.Reader, out, errs io.WriteCloser,
	tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	c := s.p.container(container)
	if c == nil {
		return fmt.Errorf("no container %s", container)
	}
	k, err := c.command(ctx, argv)
	if err != nil {
		return err
	}
	if tty {
		err = c.onTerminal(k, in, out, resize)
	} else {
		err = c.onPipes(k, in, out, errs)
	}
	var x *exec.ExitError
	if errors.As(err, &x) {
		return utilexec.CodeExitError{Err: err, Code: x.ExitCode()}
	}
	return err
}

// adopt puts a program that was started inside among the container's processes, so that it ends with them.
func (c *container) adopt(k *exec.Cmd) {
	_ = os.WriteFile(c.spec.Cgroup+"/cgroup.procs", []byte(strconv.Itoa(k.Process.Pid)), 0o644) // it may have ended
}

// onPipes runs k. Its input is a pipe of our own: Wait must not wait for the client to close its end.
func (c *container) onPipes(k *exec.Cmd, in io.Reader, out, errs io.Writer) error {
	k.Stdout, k.Stderr = out, errs
	if in != nil {
		w, err := k.StdinPipe()
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(w, in); w.Close() }()
	}
	if err := k.Start(); err != nil {
		return err
	}
	c.adopt(k)
	return k.Wait()
}

// onTerminal runs k on a new pseudo-terminal.
func (c *container) onTerminal(k *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	master, slave, err := openTerminal()
	if err != nil {
		return err
	}
	defer master.Close()
	k.Stdin, k.Stdout, k.Stderr = slave, slave, slave
	k.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	k.Env = append(k.Env, "TERM=xterm")
	err = k.Start()
	slave.Close()
	if err != nil {
		return err
	}
	c.adopt(k)
	go func() {
		for z := range resize {
			_ = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: z.Height, Col: z.Width})
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(master, in) }()
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(out, master) }) // ends with an error when the last user of the terminal is gone
	err = k.Wait()
	wg.Wait()
	return err
}

func openTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// PortForward is portforward's interface: to the pod's own loopback.
func (s streams) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	c, err := s.p.dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
	if err != nil {
		return err
	}
	defer c.Close()
	go func() {
		_, _ = io.Copy(c, stream)
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, c)
	return err
}

// dial connects from inside the pod's network namespace: the socket is made there and used from here.
func (p *pod) dial(to netip.AddrPort) (conn net.Conn, err error) {
	p.mu.Lock()
	pn := p.net
	p.mu.Unlock()
	if pn == nil {
		return net.Dial("tcp", to.String())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		conn, err = dialFrom(pn.Path(), to)
	}()
	<-done
	return conn, err
}

func dialFrom(netns string, to netip.AddrPort) (net.Conn, error) {
	ns, err := os.Open(netns)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "forward")
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}
