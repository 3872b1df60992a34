package feed

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairway.dev/local/istiod/cluster"
)

// Cluster is what a session writes to.
type Cluster interface {
	Apply([]*unstructured.Unstructured) cluster.Result
	Delete(cluster.Key) error
}

// Session is one conversation.
type Session struct {
	Cluster Cluster
	Outbox  *Outbox
	// Boot starts istiod and returns its CA's root. It is called once, after the first good line has
	// been stored, beside the conversation.
	Boot func() (rootCert string, err error)
}

// Run converses until the peer closes its side (nil), or something fails for good.
func (s *Session) Run(conn io.ReadWriter) error {
	sent := make(chan error, 1)
	go func() { sent <- s.Outbox.drain(conn) }()
	received := make(chan error, 1)
	go func() { received <- s.receive(conn) }()
	select {
	case err := <-sent:
		return err
	case err := <-received:
		return err
	}
}

func (s *Session) receive(conn io.Reader) error {
	lines := bufio.NewReaderSize(conn, 1<<16)
	started := false
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var long tooLong
		if err != nil && !errors.As(err, &long) {
			return err
		}
		var r request
		if err == nil {
			r, err = parse(line)
		}
		if err == nil {
			err = s.handle(r)
		}
		if err != nil {
			s.Outbox.add(failure{r.ID, fmt.Sprintf("line %d: %v", number, err)})
			continue
		}
		if !started {
			started = true
			go s.boot()
		}
	}
}

func (s *Session) handle(r request) error {
	keys := make([]cluster.Key, len(r.Delete))
	for i, d := range r.Delete {
		var err error
		if keys[i], err = d.key(); err != nil {
			return err
		}
	}
	result := s.Cluster.Apply(r.Apply)
	for _, k := range keys {
		if err := s.Cluster.Delete(k); err != nil {
			return err
		}
	}
	s.Outbox.add(reply{r.ID, orEmpty(result.Rejected), orEmpty(result.Warnings)})
	return nil
}

func (s *Session) boot() {
	root, err := s.Boot()
	if err != nil {
		s.Outbox.close(fmt.Errorf("istiod did not start: %w", err))
		return
	}
	s.Outbox.add(readyEvent{"ready", root})
}

// orEmpty prints as [] what would print as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

type tooLong struct{ size int }

func (t tooLong) Error() string {
	return fmt.Sprintf("%d bytes long, at most %d are read", t.size, maxLine)
}

// readLine reads up to the next newline. Of a line over the limit it keeps nothing.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	size := 0
	for {
		part, err := r.ReadSlice('\n')
		size += len(part)
		if size <= maxLine {
			line = append(line, part...)
		} else {
			line = nil
		}
		switch {
		case err == nil && size > maxLine:
			return nil, tooLong{size}
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		default:
			return nil, err
		}
	}
}
