package kubelet

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// answers plays a container: what each probe is told.
type answers map[*v1.Probe]bool

func (a answers) ask(b *v1.Probe) bool { return a[b] }

func TestProbes(t *testing.T) {
	startup, readiness, liveness := &v1.Probe{}, &v1.Probe{PeriodSeconds: 1, FailureThreshold: 2}, &v1.Probe{PeriodSeconds: 1, FailureThreshold: 2}
	type step struct {
		after            time.Duration
		says             answers
		up, ready, alive bool
	}
	good := answers{startup: true, readiness: true, liveness: true}
	for name, steps := range map[string][]step{
		"nothing counts before startup": {
			{0, answers{readiness: true}, false, false, true},
			{time.Second, good, true, true, true},
		},
		"ready until two failures": {
			{0, good, true, true, true},
			{2 * time.Second, answers{startup: true, liveness: true}, true, true, true},
			{4 * time.Second, answers{startup: true, liveness: true}, true, false, true},
			{4 * time.Second, good, true, true, true}, // asked at once again: not ready is not left for a period
		},
		"dead after two failures": {
			{0, good, true, true, true},
			{2 * time.Second, answers{startup: true, readiness: true}, true, true, true},
			{4 * time.Second, answers{startup: true, readiness: true}, true, true, false},
		},
	} {
		b := probes{startup: startup, readiness: readiness, liveness: liveness}
		begin := time.Now()
		for i, s := range steps {
			alive := b.look(s.says.ask, begin.Add(s.after), time.Minute)
			if b.up != s.up || b.ready != s.ready || alive != s.alive {
				t.Errorf("%s, step %d: up %v, ready %v, alive %v; want %+v", name, i, b.up, b.ready, alive, s)
			}
		}
	}
}

func TestWithoutProbesAContainerIsReady(t *testing.T) {
	b := probes{}
	if !b.look(answers{}.ask, time.Now(), time.Minute) || !b.up || !b.ready {
		t.Errorf("got %+v", b)
	}
}
