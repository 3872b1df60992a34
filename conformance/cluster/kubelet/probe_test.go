package kubelet

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// answers plays a container: what each probe is told.
type answers map[*v1.Probe]bool

func (a answers) ask(b *v1.Probe) bool { return a[b] }

type probeStep struct {
	after     time.Duration
	says      answers
	up, ready bool
	fatal     *v1.Probe
}

type probeCase struct {
	of    v1.Container
	steps []probeStep
}

func probeCases() map[string]probeCase {
	startup, readiness, liveness := &v1.Probe{PeriodSeconds: 1, FailureThreshold: 2}, &v1.Probe{PeriodSeconds: 1, FailureThreshold: 2},
		&v1.Probe{PeriodSeconds: 1, FailureThreshold: 2}
	late := &v1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 1, FailureThreshold: 1}
	twice := &v1.Probe{PeriodSeconds: 1, SuccessThreshold: 2}
	good := answers{startup: true, readiness: true, liveness: true, late: true, twice: true}
	bad := answers{}
	return map[string]probeCase{
		"nothing counts before startup": {v1.Container{StartupProbe: startup, ReadinessProbe: readiness}, []probeStep{
			{0, answers{readiness: true}, false, false, nil},
			{time.Second, good, true, true, nil},
		}},
		"startup fails once a period, however often it is asked": {v1.Container{StartupProbe: startup}, []probeStep{
			{0, bad, false, false, nil},
			{eager, bad, false, false, nil},
			{2 * eager, bad, false, false, nil},
			{time.Second, bad, false, false, startup},
		}},
		"startup is seen at once": {v1.Container{StartupProbe: startup}, []probeStep{{0, bad, false, false, nil}, {eager, good, true, true, nil}}},
		"ready until two failures": {v1.Container{ReadinessProbe: readiness}, []probeStep{
			{0, good, true, true, nil},
			{2 * time.Second, bad, true, true, nil},
			{4 * time.Second, bad, true, false, nil},
			{4*time.Second + eager, good, true, true, nil}, // asked at once again: not ready is not left for a period
		}},
		"ready again keeps no old failures": {v1.Container{ReadinessProbe: readiness}, []probeStep{
			{0, good, true, true, nil},
			{2 * time.Second, bad, true, true, nil},
			{4 * time.Second, good, true, true, nil},
			{6 * time.Second, bad, true, true, nil},
		}},
		"two successes, a period apart": {v1.Container{ReadinessProbe: twice}, []probeStep{
			{0, good, true, false, nil},
			{eager, good, true, false, nil},
			{time.Second, good, true, true, nil},
		}},
		"not asked before the delay": {v1.Container{ReadinessProbe: late, LivenessProbe: late}, []probeStep{
			{0, good, true, false, nil},
			{4 * time.Second, bad, true, false, nil},
			{5 * time.Second, good, true, true, nil},
			{7 * time.Second, bad, true, false, late},
		}},
		"dead after two failures": {v1.Container{LivenessProbe: liveness}, []probeStep{
			{0, good, true, true, nil},
			{2 * time.Second, bad, true, true, nil},
			{2*time.Second + eager, bad, true, true, nil},
			{4 * time.Second, bad, true, true, liveness},
		}},
		"without probes": {v1.Container{}, []probeStep{{0, bad, true, true, nil}}},
	}
}

func TestProbes(t *testing.T) {
	for name, c := range probeCases() {
		b := probesOf(&c.of)
		begin := time.Now()
		for i, s := range c.steps {
			fatal := b.look(s.says.ask, begin.Add(s.after), s.after)
			if b.up != s.up || b.ready != s.ready || fatal != s.fatal {
				t.Errorf("%s, step %d: up %v, ready %v, fatal %v; want %+v", name, i, b.up, b.ready, fatal != nil, s)
			}
		}
	}
}
