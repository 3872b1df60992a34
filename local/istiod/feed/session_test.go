package feed

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
)

// notebook is a cluster that writes down what it is asked, and rejects objects called "bad".
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, s)
}

func (n *notebook) noted() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.lines...)
}

func (n *notebook) Apply(objects []*unstructured.Unstructured) cluster.Result {
	var r cluster.Result
	for _, o := range objects {
		n.note("apply " + o.GetKind() + " " + o.GetName())
		if o.GetName() == "bad" {
			r.Rejected = append(r.Rejected, cluster.Rejection{Kind: o.GetKind(), Name: "bad", Field: "spec.x", Message: "unknown field"})
		}
	}
	return r
}

func (n *notebook) Delete(k cluster.Key) error {
	n.note("delete " + k.Group + " " + k.Kind + " " + k.Namespace + "/" + k.Name)
	return nil
}

// peer is the other end of a running session.
type peer struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
	done  chan error
}

func converse(t *testing.T, s *Session) *peer {
	t.Helper()
	here, there := net.Pipe()
	p := &peer{t: t, conn: there, lines: bufio.NewScanner(there), done: make(chan error, 1)}
	go func() { p.done <- s.Run(here) }()
	t.Cleanup(func() { there.Close() })
	if err := there.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) send(line string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(line + "\n")); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) receive() map[string]any {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("no more lines: %v", p.lines.Err())
	}
	var m map[string]any
	if err := json.Unmarshal(p.lines.Bytes(), &m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *peer) expect(want map[string]any) {
	p.t.Helper()
	if got := p.receive(); !reflect.DeepEqual(got, want) {
		p.t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestConversation(t *testing.T) {
	book := &notebook{}
	s := &Session{Cluster: book, Outbox: NewOutbox(), Boot: func() (string, error) {
		book.note("boot")
		return "PEM", nil
	}}
	p := converse(t, s)
	p.send(`{"id":1,"apply":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}},{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bad"}}]}`)
	p.expect(map[string]any{"id": 1.0, "warnings": []any{}, "rejected": []any{map[string]any{
		"apiVersion": "", "kind": "Pod", "namespace": "", "name": "bad", "field": "spec.x", "message": "unknown field",
	}}})
	p.expect(map[string]any{"event": "ready", "rootCert": "PEM"})

	gw := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"namespace": "n", "name": "g"},
	}}
	s.Outbox.Observe(cluster.Change{Object: gw})
	s.Outbox.Observe(cluster.Change{Removed: gw})
	p.expect(map[string]any{"event": "changed", "object": gw.Object})
	p.expect(map[string]any{"event": "removed", "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "namespace": "n", "name": "g"})

	p.send(`{"id":2,"delete":[{"apiVersion":"apps/v1","kind":"Deployment","namespace":"n","name":"d"},{"apiVersion":"v1","kind":"Namespace","name":"a"}]}`)
	p.expect(map[string]any{"id": 2.0, "rejected": []any{}, "warnings": []any{}})
	want := []string{"apply Namespace a", "apply Pod bad", "boot", "delete apps Deployment n/d", "delete  Namespace /a"}
	if got := book.noted(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.conn.Close()
	if err := <-p.done; err != nil {
		t.Errorf("the peer's end is no error, got %v", err)
	}
}

func TestUnusableLines(t *testing.T) {
	book := &notebook{}
	p := converse(t, &Session{Cluster: book, Outbox: NewOutbox(), Boot: func() (string, error) { return "PEM", nil }})
	ns := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`
	many := strings.Repeat(ns+",", cluster.MaxObjects) + ns
	for i, c := range []struct {
		line  string
		id    float64
		error string
	}{
		{"nonsense", 0, "line 1: invalid character"},
		{"", 0, "line 2: EOF"},
		{`{"id":3,"aply":[]}`, 3, `line 3: json: unknown field "aply"`},
		{`{"id":4,"apply":[{"metadata":{}}]}`, 4, "line 4: Object 'Kind' is missing"},
		{`{"id":5,"apply":[null]}`, 5, "line 5: apply[0] is null"},
		{`{"id":6} {"id":7}`, 6, "line 6: more than one JSON value"},
		{`{"id":7,"apply":[` + many + `]}`, 7, "line 7: 8193 objects on one line, at most 8192 are taken"},
		{`{"id":8,"delete":[{"kind":"Pod","name":"a"}]}`, 8, "line 8: delete: apiVersion, kind and name are required"},
		{`{"id":9,"delete":[{"apiVersion":"a/b/c","kind":"Pod","name":"a"}]}`, 9, "line 9: unexpected GroupVersion string"},
		{`{"id":10,"apply":"` + strings.Repeat("x", maxLine) + `"}`, 0, "line 10: 67108885 bytes long, at most 67108864 are read"},
	} {
		p.send(c.line)
		got := p.receive()
		if text, _ := got["error"].(string); got["id"] != c.id || !strings.HasPrefix(text, c.error) {
			t.Errorf("line %d: got %v, want id %v and %q", i+1, got, c.id, c.error)
		}
	}
	if got := book.noted(); len(got) != 0 {
		t.Errorf("an unusable line had an effect: %q", got)
	}
	// None of them started istiod; the first good line does.
	p.send(`{"id":11,"apply":[` + ns + `]}`)
	p.expect(map[string]any{"id": 11.0, "rejected": []any{}, "warnings": []any{}})
	p.expect(map[string]any{"event": "ready", "rootCert": "PEM"})
}

func TestBootFailureEndsTheSession(t *testing.T) {
	p := converse(t, &Session{Cluster: &notebook{}, Outbox: NewOutbox(), Boot: func() (string, error) {
		return "", errors.New("port taken")
	}})
	p.send(`{"id":1}`)
	p.expect(map[string]any{"id": 1.0, "rejected": []any{}, "warnings": []any{}})
	if err := <-p.done; err == nil || !strings.Contains(err.Error(), "port taken") {
		t.Errorf("got %v", err)
	}
}

// A peer that stops reading cannot make the queue grow for ever, nor block who writes to it.
func TestOutboxIsBounded(t *testing.T) {
	o := NewOutbox()
	for range maxQueued + 10 {
		o.add(reply{})
	}
	if len(o.queue) != maxQueued {
		t.Errorf("%d lines are waiting", len(o.queue))
	}
	if err := o.drain(discard{}); err == nil || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("got %v", err)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
