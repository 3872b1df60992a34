package kubelet

import (
	"context"
	"log"
	"time"

	v1 "k8s.io/api/core/v1"
)

// How often a container that is not up or not ready yet is asked. A kubelet waits for the pod's own period; a suite that waits is
// impatient. Failures still count once a period only.
const eager = 150 * time.Millisecond

// series is one probe's answers through one life of the container's process.
type series struct {
	probe     *v1.Probe
	next      time.Time // when an answer counts again
	good, bad int32     // in a row
}

func (s *series) hear(good bool, now time.Time) {
	counts := !now.Before(s.next)
	if counts {
		s.next = now.Add(max(1, time.Duration(s.probe.PeriodSeconds)) * time.Second)
	}
	switch {
	case !good && counts:
		s.good, s.bad = 0, s.bad+1
	case !good:
		s.good = 0
	case counts || s.good == 0:
		s.good, s.bad = s.good+1, 0
	}
}

func (s *series) passed() bool { return s.good >= max(1, s.probe.SuccessThreshold) }
func (s *series) failed() bool { return s.bad >= max(1, s.probe.FailureThreshold) }

// begun is false during the probe's initial delay.
func (s *series) begun(age time.Duration) bool {
	return age >= time.Duration(s.probe.InitialDelaySeconds)*time.Second
}

// probes are a container's startup, readiness and liveness probes through one life of its process.
type probes struct {
	startup, readiness, liveness series
	up, ready                    bool
}

func probesOf(c *v1.Container) probes {
	return probes{startup: series{probe: c.StartupProbe}, readiness: series{probe: c.ReadinessProbe}, liveness: series{probe: c.LivenessProbe}}
}

// look asks whatever is due of a process that has run for `age`. Not nil: the probe that has failed for good.
func (b *probes) look(ask func(*v1.Probe) bool, now time.Time, age time.Duration) (fatal *v1.Probe) {
	if !b.up {
		if fatal = b.lookUp(ask, now, age); !b.up {
			return fatal
		}
	}
	b.lookReady(ask, now, age)
	live := &b.liveness
	if live.probe == nil || !live.begun(age) || now.Before(live.next) {
		return nil
	}
	if live.hear(ask(live.probe), now); live.failed() {
		return live.probe
	}
	return nil
}

func (b *probes) lookUp(ask func(*v1.Probe) bool, now time.Time, age time.Duration) (fatal *v1.Probe) {
	s := &b.startup
	if s.probe == nil {
		b.up = true
		return nil
	}
	if !s.begun(age) {
		return nil
	}
	s.hear(ask(s.probe), now)
	if b.up = s.passed(); s.failed() {
		return s.probe
	}
	return nil
}

func (b *probes) lookReady(ask func(*v1.Probe) bool, now time.Time, age time.Duration) {
	s := &b.readiness
	if s.probe == nil {
		b.ready = true
		return
	}
	if !s.begun(age) || b.ready && now.Before(s.next) {
		return
	}
	s.hear(ask(s.probe), now)
	b.ready = b.ready && !s.failed() || s.passed()
}

// probe runs as long as the pod does.
func (c *container) probe() {
	if c.init && !c.sidecar() {
		return
	}
	fresh := probesOf(&c.c)
	if c.im.Stub {
		fresh = probes{}
	}
	now, of := fresh, 0
	for c.p.sleep(eager) {
		c.p.mu.Lock()
		pid, age, started := c.pid, time.Since(c.since.Time), c.started
		c.p.mu.Unlock()
		if pid != of {
			now, of = fresh, pid
		}
		if pid == 0 || !started {
			continue
		}
		before := now
		if fatal := now.look(c.ask, time.Now(), age); fatal != nil {
			c.failProbe(fatal)
			continue
		}
		if now.up == before.up && now.ready == before.ready {
			continue
		}
		c.p.mu.Lock()
		if c.pid == pid {
			c.up, c.ready = now.up, now.ready
		}
		c.p.mu.Unlock()
		c.p.changed()
	}
}

// failProbe ends the process, which its supervisor starts again.
func (c *container) failProbe(b *v1.Probe) {
	log.Printf("%s/%s: a probe has failed %d times, ending it", c.p, c.c.Name, b.FailureThreshold)
	grace := c.p.graceOfSpec()
	if b.TerminationGracePeriodSeconds != nil {
		grace = time.Duration(*b.TerminationGracePeriodSeconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	c.stop(ctx)
}
