package node

import (
	"testing"
	"time"
)

func TestAProgramThatKeepsEndingWaitsLonger(t *testing.T) {
	now := time.Now()
	p := &program{name: "p"}
	if !p.due(now) {
		t.Fatal("a new program is due at once")
	}
	for i, c := range []struct{ ran, want time.Duration }{
		{0, time.Second}, {time.Second, 2 * time.Second}, {0, 4 * time.Second}, {0, 8 * time.Second}, {0, 10 * time.Second}, {0, 10 * time.Second},
		{2 * time.Minute, time.Second}, {0, 2 * time.Second},
	} {
		p.pid, p.began = 7, now
		now = now.Add(c.ran)
		if p.due(now) {
			t.Fatalf("%d: due while it runs", i)
		}
		if got := p.ended(now); got != c.want {
			t.Errorf("%d: waits %s, not %s", i, got, c.want)
		}
		if p.due(now.Add(c.want - time.Millisecond)) {
			t.Errorf("%d: due too early", i)
		}
		if now = now.Add(c.want); !p.due(now) {
			t.Errorf("%d: not due after the wait", i)
		}
	}
}
