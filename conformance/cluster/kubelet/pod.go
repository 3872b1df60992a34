package kubelet

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairway.dev/conformance/cluster/node"
)

// How long pods have to end, whatever they ask for, and how long ztunnel has to let go of a namespace before it is removed.
const (
	maxGrace   = 30 * time.Second
	letGoGrace = 200 * time.Millisecond
)

// pod is one running pod.
type pod struct {
	k     *Kubelet
	api   *v1.Pod // as first seen
	dir   string
	ip    string
	begin metav1.Time

	ctx    context.Context // ends when the pod does
	cancel context.CancelFunc
	kick   chan struct{} // the status changed

	mu         sync.Mutex
	net        *node.PodNet // nil with hostNetwork, and before it stands
	ending     bool
	trouble    string            // why it does not start
	volumes    map[string]string // name -> path
	containers []*container      // init containers first
	initEnd    bool              // init containers are through
	grace      *int64
	last       v1.PodStatus
}

func newPod(k *Kubelet, a *v1.Pod) *pod {
	p := &pod{k: k, api: a.DeepCopy(), dir: k.l.OfNode(k.node, "pods", string(a.UID)), begin: metav1.Now(), kick: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *pod) String() string { return p.api.Namespace + "/" + p.api.Name }

func (p *pod) locked(f func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return f()
}

func (p *pod) isEnding() bool { return p.locked(func() bool { return p.ending }) }

func (p *pod) changed() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// updated takes over what may change in a running pod.
func (p *pod) updated(a *v1.Pod) {
	p.mu.Lock()
	p.grace = a.DeletionGracePeriodSeconds
	p.mu.Unlock()
}

func (p *pod) setTrouble(err error) {
	s := ""
	if err != nil {
		s = err.Error()
		log.Printf("%s: %s", p, s)
	}
	p.mu.Lock()
	p.trouble = s
	p.mu.Unlock()
	p.changed()
}

// sleep is false when the pod ended meanwhile.
func (p *pod) sleep(d time.Duration) bool {
	select {
	case <-p.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// run brings the pod up, step by step, each repeated until it succeeds.
func (p *pod) run() {
	go p.reportStatus()
	for _, step := range []func() error{p.address, p.fillVolumes, p.connect, p.prepare} {
		for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			err := step()
			if err == nil {
				break
			}
			p.setTrouble(err)
			if !p.sleep(wait) {
				return
			}
		}
	}
	p.setTrouble(nil)
	p.renewTokens()
	for _, c := range p.containers {
		if p.ctx.Err() != nil || !p.startContainer(c) {
			return
		}
	}
}

// startContainer starts the next container in order. An init container is waited for: until it has ended, or as a sidecar until
// it is up. False: the pod ends or has failed.
func (p *pod) startContainer(c *container) bool {
	if !c.init {
		p.mu.Lock()
		p.initEnd = true
		p.mu.Unlock()
	}
	ended := make(chan struct{})
	go func() { c.supervise(); close(ended) }()
	go c.probe()
	switch {
	case c.sidecar():
		for !p.locked(func() bool { return c.up }) {
			if !p.sleep(50 * time.Millisecond) {
				return false
			}
		}
	case c.init:
		select {
		case <-ended:
		case <-p.ctx.Done():
			return false
		}
		return p.locked(func() bool { return c.code == 0 })
	}
	return true
}

// address gives the pod its address.
func (p *pod) address() (err error) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.api.Spec.HostNetwork {
		p.ip = p.k.node.IP
	} else {
		p.ip, err = p.k.nextIP()
	}
	return err
}

// connect makes the pod's network and tells the mesh of it.
func (p *pod) connect() error {
	if p.api.Spec.HostNetwork {
		return nil
	}
	n := node.NewPodNet(string(p.api.UID), p.ip)
	if err := n.Up(); err != nil {
		return err
	}
	if err := p.k.enrol(p, n.Path()); err != nil {
		n.Down()
		return err
	}
	p.mu.Lock()
	p.net = &n
	ending := p.ending
	p.mu.Unlock()
	if ending {
		n.Down()
	}
	return nil
}

// end stops and removes the pod.
func (p *pod) end() {
	p.mu.Lock()
	if p.ending {
		p.mu.Unlock()
		return
	}
	p.ending = true
	grace := maxGrace
	if p.grace != nil {
		grace = min(grace, time.Duration(*p.grace)*time.Second)
	}
	containers, pn := p.containers, p.net
	p.mu.Unlock()
	p.cancel()
	stopAll(p, containers, grace)
	p.k.forget(context.Background(), p.api)
	if pn != nil {
		time.Sleep(letGoGrace)
		pn.Down()
	}
	for _, c := range containers {
		c.log.close()
		_ = os.Remove(c.spec.Cgroup)
		_ = os.Remove(filepath.Dir(c.spec.Cgroup))
	}
	_ = os.RemoveAll(p.dir)
	p.k.mu.Lock()
	delete(p.k.pods, p.api.UID)
	p.k.mu.Unlock()
}

func stopAll(p *pod, containers []*container, grace time.Duration) {
	alive := func() bool {
		return p.locked(func() bool {
			for _, c := range containers {
				if c.pid > 0 {
					return true
				}
			}
			return false
		})
	}
	for _, c := range containers {
		c.signal(syscall.SIGTERM)
	}
	for t := time.Now(); alive() && time.Since(t) < grace; {
		time.Sleep(20 * time.Millisecond)
	}
	for alive() {
		for _, c := range containers {
			c.signal(syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
