package kubelet

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Times of an end: what is left after a preStop hook that used up the grace (a kubelet's, too), how often an end is looked for, and
// how long ztunnel has to let go of a namespace before it is removed.
const (
	afterHook  = 2 * time.Second
	lookForEnd = 20 * time.Millisecond
	letGoGrace = 200 * time.Millisecond
)

// defaultGrace is terminationGracePeriodSeconds of a pod that does not say; the API server fills it in.
const defaultGrace = 30 * time.Second

// graceOfSpec is how long the pod's containers may take to end.
func (p *pod) graceOfSpec() time.Duration {
	if s := p.api.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return defaultGrace
}

// end stops and removes the pod.
func (p *pod) end() {
	p.mu.Lock()
	if p.ending {
		p.mu.Unlock()
		return
	}
	p.ending = true
	grace := p.graceOfSpec()
	if p.grace != nil {
		grace = time.Duration(*p.grace) * time.Second
	}
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	p.killer = time.AfterFunc(grace, cut)
	containers, pn := p.containers, p.net
	p.mu.Unlock()
	p.cancel()
	stopAll(ctx, containers)
	p.k.forget(context.Background(), p.api)
	if pn != nil {
		time.Sleep(letGoGrace)
		pn.Down()
	}
	for _, c := range containers {
		c.closeLogs()
		_ = os.Remove(c.spec.Cgroup)
		_ = os.Remove(filepath.Dir(c.spec.Cgroup))
	}
	_ = os.RemoveAll(p.dir)
	p.k.mu.Lock()
	delete(p.k.pods, p.api.UID)
	p.k.mu.Unlock()
}

// shorten cuts the grace of a pod that ends: it was deleted again with less.
func (p *pod) shorten(seconds int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.grace != nil && *p.grace <= seconds {
		return
	}
	p.grace = &seconds
	if p.killer != nil {
		p.killer.Reset(time.Duration(seconds) * time.Second)
	}
}

// stopAll ends containers together, and sidecars after those, the last one first.
func stopAll(ctx context.Context, containers []*container) {
	var wg sync.WaitGroup
	for _, c := range containers {
		if !c.sidecar() {
			wg.Go(func() { c.stop(ctx) })
		}
	}
	wg.Wait()
	for _, c := range slices.Backward(containers) {
		if c.sidecar() {
			c.stop(ctx)
		}
	}
}

// stop ends the container's process: preStop, SIGTERM, and SIGKILL when ctx ends. It returns when the process has ended.
func (c *container) stop(ctx context.Context) {
	c.p.mu.Lock()
	pid, first := c.pid, !c.stopping
	c.stopping = true
	c.p.mu.Unlock()
	if pid == 0 {
		return
	}
	if first {
		if l := c.c.Lifecycle; l != nil && l.PreStop != nil && ctx.Err() == nil {
			if err := c.hook(ctx, l.PreStop); err != nil {
				log.Printf("%s/%s: preStop: %v", c.p, c.c.Name, err)
			}
			if ctx.Err() != nil {
				more, cancel := context.WithTimeout(context.Background(), afterHook)
				defer cancel()
				ctx = more
			}
		}
		c.signal(syscall.SIGTERM)
	}
	for c.runs(pid) {
		select {
		case <-ctx.Done():
			c.signal(syscall.SIGKILL)
			time.Sleep(lookForEnd)
		case <-time.After(lookForEnd):
		}
	}
}

func (c *container) runs(pid int) bool { return c.p.locked(func() bool { return c.pid == pid }) }

func (c *container) signal(s syscall.Signal) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.pid > 0 {
		_ = unix.Kill(-c.pid, s)
	}
}
