package feed

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"fairway.dev/local/istiod/cluster"
)

// Outbox queues lines for the peer, in order, and never blocks who adds one: events are added under
// the cluster's lock.
type Outbox struct {
	mu      sync.Mutex
	changed *sync.Cond
	queue   []any
	closed  error
}

// NewOutbox returns an empty queue; nothing is sent before drain runs.
func NewOutbox() *Outbox {
	o := &Outbox{}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// Observe queues the event for one of istiod's writes. It is the cluster's observer.
func (o *Outbox) Observe(c cluster.Change) {
	if c.Object != nil {
		o.add(changedEvent{"changed", c.Object})
		return
	}
	r := c.Removed
	o.add(removedEvent{"removed", reference{r.GetAPIVersion(), r.GetKind(), r.GetNamespace(), r.GetName()}})
}

func (o *Outbox) add(line any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) >= maxQueued {
		o.closed = errors.New("the peer does not read: too many events are waiting for it")
	}
	if o.closed == nil {
		o.queue = append(o.queue, line)
	}
	o.changed.Signal()
}

// close makes drain return err once everything queued has been written.
func (o *Outbox) close(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed == nil {
		o.closed = err
	}
	o.changed.Signal()
}

// drain writes queued lines until the outbox is closed or w fails.
func (o *Outbox) drain(w io.Writer) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	for {
		batch, closed := o.take()
		for _, line := range batch {
			if err := lines.Encode(line); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if closed != nil {
			return closed
		}
	}
}

func (o *Outbox) take() ([]any, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && o.closed == nil {
		o.changed.Wait()
	}
	batch := o.queue
	o.queue = nil
	return batch, o.closed
}
