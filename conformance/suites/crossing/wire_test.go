package crossing

import (
	"net/netip"
	"testing"
)

func TestWire(t *testing.T) {
	a, b := netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("10.244.2.3")
	at := func(from netip.Addr, to netip.Addr, port uint16, data string) (s wire) {
		s = make(wire, 1)
		s[0].From, s[0].To, s[0].Data = netip.AddrPortFrom(from, 40000), netip.AddrPortFrom(to, port), []byte(data)
		return s
	}
	const hello, hidden, serverHello = "\x16\x03\x01\x00\x01\x01...", "\x17\x03\x03\x00\x04....", "\x16\x03\x03\x00\x01\x02..."
	for name, c := range map[string]struct {
		wire                         wire
		clear, handshakes, encrypted int
	}{
		"a session":         {append(at(a, b, hbonePort, hello), at(a, b, hbonePort, hidden)...), 0, 1, 1},
		"the way back":      {at(b, a, hbonePort, hello), 0, 0, 0},
		"another port":      {at(a, b, 443, hello), 0, 0, 0},
		"a server's":        {at(a, b, hbonePort, serverHello), 0, 0, 0},
		"plain text":        {at(a, b, 3000, "GET / HTTP/1.1\r\nx: marker"), 1, 0, 0},
		"plain at 15008":    {at(a, b, hbonePort, "the marker"), 1, 0, 0},
		"a cut-off hello":   {at(a, b, hbonePort, hello[:5]), 0, 0, 0},
		"nothing of theirs": {nil, 0, 0, 0},
	} {
		if n := len(c.wire.inTheClear("marker")); n != c.clear {
			t.Errorf("%s: %d in the clear, not %d", name, n, c.clear)
		}
		if n := c.wire.handshakes(a, b); n != c.handshakes {
			t.Errorf("%s: %d handshakes, not %d", name, n, c.handshakes)
		}
		if n := c.wire.encrypted(a, b); n != c.encrypted {
			t.Errorf("%s: %d encrypted, not %d", name, n, c.encrypted)
		}
	}
}
