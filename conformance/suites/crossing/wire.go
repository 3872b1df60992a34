package crossing

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"fairway.dev/conformance/cluster/node"
)

// hbonePort is where the proxies take HBONE.
const hbonePort = 15008

// TLS records as they begin: their type, and the first byte of a handshake's message.
const (
	recordHandshake   = 22
	recordApplication = 23
	clientHello       = 1
)

// wire is what passed between the nodes.
type wire []node.Segment

// inTheClear names the ways on which one of the markers could be read.
func (w wire) inTheClear(markers ...string) (ways []string) {
	for _, s := range w {
		if slices.ContainsFunc(markers, func(m string) bool { return bytes.Contains(s.Data, []byte(m)) }) {
			ways = append(ways, fmt.Sprintf("%s -> %s", s.From, s.To))
		}
	}
	return ways
}

// handshakes counts the TLS sessions that one address began with another's HBONE port.
func (w wire) handshakes(from, to netip.Addr) (n int) {
	for _, s := range w.hbone(from, to) {
		if len(s.Data) > 5 && s.Data[0] == recordHandshake && s.Data[5] == clientHello {
			n++
		}
	}
	return n
}

// encrypted counts the segments with application data on the way to an HBONE port.
func (w wire) encrypted(from, to netip.Addr) (n int) {
	for _, s := range w.hbone(from, to) {
		if s.Data[0] == recordApplication {
			n++
		}
	}
	return n
}

func (w wire) hbone(from, to netip.Addr) (out wire) {
	for _, s := range w {
		if s.From.Addr() == from && s.To == netip.AddrPortFrom(to, hbonePort) {
			out = append(out, s)
		}
	}
	return out
}
