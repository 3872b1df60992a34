package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"fairway.dev/conformance/cluster/layout"
)

// Segment is a TCP segment with data that passed the cable between the nodes.
type Segment struct {
	From, To netip.AddrPort
	Data     []byte
}

// Capture reads what passes a node's device to the other ones, both ways.
type Capture struct {
	fd   int
	mu   sync.Mutex
	seen []Segment
	size int
	err  error
	stop chan struct{}
	done chan struct{}
}

// Limits of a capture: what it keeps, the largest frame (the kernel joins segments up to 64 KiB), and how long it may not notice that
// it was stopped.
const (
	captureLimit  = 256 << 20
	frameLimit    = 1 << 17
	captureBuffer = 16 << 20
)

var stopNotice = unix.Timeval{Usec: 50_000}

// Listen begins a capture in a node.
func Listen(l layout.Layout, n layout.Node) (*Capture, error) {
	pid, running := PID(l, n)
	if !running {
		return nil, errors.New("the cluster is not up")
	}
	c := &Capture{stop: make(chan struct{}), done: make(chan struct{})}
	opened := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		c.fd, err = packetSocket(fmt.Sprintf("/proc/%d/ns/net", pid))
		opened <- err
	}()
	if err := <-opened; err != nil {
		return nil, fmt.Errorf("capturing: %w", err)
	}
	go c.read()
	return c, nil
}

// packetSocket is made in the network namespace; it works from anywhere then.
func packetSocket(netns string) (int, error) {
	ns, err := os.Open(netns)
	if err != nil {
		return -1, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return -1, err
	}
	device, err := net.InterfaceByName(layout.NodeDevice)
	if err != nil {
		return -1, err
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return -1, err
	}
	for _, set := range []func() error{
		func() error { return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index}) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer) },
		func() error { return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &stopNotice) },
	} {
		if err := set(); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

func (c *Capture) read() {
	defer close(c.done)
	defer unix.Close(c.fd)
	frame := make([]byte, frameLimit)
	for {
		n, _, err := unix.Recvfrom(c.fd, frame, 0)
		switch {
		case err == nil:
			c.keep(frame[:n])
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EAGAIN):
			c.fail(err)
			return
		}
		select { // only when nothing waits to be read
		case <-c.stop:
			return
		default:
		}
	}
}

func (c *Capture) keep(frame []byte) {
	s, ok := parseFrame(frame)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size += len(s.Data); c.size > captureLimit {
		c.err = errors.New("more passed than a capture can keep")
		return
	}
	c.seen = append(c.seen, s)
}

func (c *Capture) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// End returns what passed. What the kernel had to drop is an error: then nothing can be said about what did not pass.
func (c *Capture) End() ([]Segment, error) {
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	close(c.stop)
	<-c.done
	switch {
	case c.err != nil:
		return nil, c.err
	case err != nil:
		return nil, err
	case stats.Drops > 0:
		return nil, fmt.Errorf("the kernel dropped %d frames of the capture", stats.Drops)
	}
	return c.seen, nil
}

// Lengths and places of what parseFrame reads.
const (
	ethernetHeader = 14
	ethernetType   = 12
	ipHeader       = 20
	tcpHeader      = 20
)

// parseFrame finds a TCP segment's data in an Ethernet frame with IPv4.
func parseFrame(b []byte) (Segment, bool) {
	if len(b) < ethernetHeader+ipHeader || binary.BigEndian.Uint16(b[ethernetType:]) != unix.ETH_P_IP {
		return Segment{}, false
	}
	ip := b[ethernetHeader:]
	size, total := int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if total == 0 { // larger than the field: segments the kernel joined
		total = len(ip)
	}
	if ip[0]>>4 != 4 || ip[9] != unix.IPPROTO_TCP || size < ipHeader || total > len(ip) || total < size+tcpHeader {
		return Segment{}, false
	}
	tcp := ip[size:total]
	offset := int(tcp[12]>>4) * 4
	if offset < tcpHeader || offset >= len(tcp) {
		return Segment{}, false // nothing but a header
	}
	return Segment{
		From: netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(tcp)),
		To:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), binary.BigEndian.Uint16(tcp[2:])),
		Data: append([]byte(nil), tcp[offset:]...),
	}, true
}
