package node

import (
	"encoding/binary"
	"testing"
)

// frame is an Ethernet frame with a TCP segment; options lengthen both headers.
func frame(data string, ipOptions, tcpOptions int) []byte {
	b := make([]byte, ethernetHeader)
	b[12], b[13] = 0x08, 0x00
	ip := make([]byte, ipHeader+ipOptions)
	ip[0], ip[9] = 0x40|byte(len(ip)/4), 6
	copy(ip[12:], []byte{10, 244, 1, 2, 10, 244, 2, 3})
	tcp := make([]byte, tcpHeader+tcpOptions)
	binary.BigEndian.PutUint16(tcp, 40000)
	binary.BigEndian.PutUint16(tcp[2:], 15008)
	tcp[12] = byte(len(tcp)/4) << 4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(tcp)+len(data)))
	return append(append(append(b, ip...), tcp...), data...)
}

func TestParseFrame(t *testing.T) {
	with := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	for name, c := range map[string]struct {
		frame []byte
		want  string // "": no segment
	}{
		"plain":                    {frame("data", 0, 0), "data"},
		"options":                  {frame("data", 8, 12), "data"},
		"Ethernet's padding":       {append(frame("d", 0, 0), 0, 0, 0), "d"},
		"joined segments":          {with(with(frame("data", 0, 0), 16, 0), 17, 0), "data"},
		"no data":                  {frame("", 0, 0), ""},
		"ARP":                      {with(frame("data", 0, 0), 13, 0x06), ""},
		"UDP":                      {with(frame("data", 0, 0), 23, 17), ""},
		"an offset beyond the end": {with(frame("data", 0, 0), 14+20+12, 0xf0), ""},
		"cut off":                  {frame("data", 0, 0)[:50], ""},
		"nothing":                  {nil, ""},
	} {
		s, ok := parseFrame(c.frame)
		if ok != (c.want != "") || string(s.Data) != c.want {
			t.Errorf("%s: got %q, %v", name, s.Data, ok)
		}
		if ok && (s.From.String() != "10.244.1.2:40000" || s.To.String() != "10.244.2.3:15008") {
			t.Errorf("%s: from %s to %s", name, s.From, s.To)
		}
	}
}
