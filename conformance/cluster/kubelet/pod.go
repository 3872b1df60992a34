package kubelet

import (
	"context"
	"log"
	"maps"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairway.dev/conformance/cluster/node"
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
	grace      *int64            // seconds, of a deleted pod
	killer     *time.Timer       // runs out with the grace
	labels     map[string]string // as of now
	notes      map[string]string // annotations, as of now
	last       v1.PodStatus

	volumeMu sync.Mutex // one volume is brought up to date at a time
}

func newPod(k *Kubelet, a *v1.Pod) *pod {
	p := &pod{k: k, api: a.DeepCopy(), dir: k.l.OfNode(k.node, "pods", string(a.UID)), begin: metav1.Now(), kick: make(chan struct{}, 1),
		labels: a.Labels, notes: a.Annotations}
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
	if s := a.DeletionGracePeriodSeconds; s != nil {
		p.shorten(*s)
	}
	p.mu.Lock()
	same := maps.Equal(p.labels, a.Labels) && maps.Equal(p.notes, a.Annotations)
	p.labels, p.notes = a.Labels, a.Annotations
	p.mu.Unlock()
	if same {
		return
	}
	for _, v := range p.api.Spec.Volumes {
		if showsFields(v) {
			go p.refresh(v)
		}
	}
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
		return p.locked(func() bool { return c.last.code == 0 })
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
