package kubelet

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// logFile is the output of one life of a container. The container writes straight into the file; when what was written is sampled from
// the side, so that times cost the container nothing. Their resolution is the sampling interval.
type logFile struct {
	f    *os.File
	over chan struct{} // closed when nobody writes any more
	end  sync.Once
	mu   sync.Mutex
	at   []mark
}

// mark says how long the file was at a time.
type mark struct {
	t time.Time
	n int64
}

const sampleEvery = 100 * time.Millisecond

func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	return &logFile{f: f, over: make(chan struct{})}, nil
}

// ended says that nobody writes any more.
func (l *logFile) ended() { l.end.Do(func() { close(l.over) }) }

func (l *logFile) sample(now time.Time) {
	st, err := l.f.Stat()
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.at); n == 0 || l.at[n-1].n != st.Size() {
		l.at = append(l.at, mark{now, st.Size()})
	}
}

// since is the size the file surely had before t.
func (l *logFile) since(t time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.at), func(i int) bool { return !l.at[i].t.Before(t) })
	if i == 0 {
		return 0
	}
	return l.at[i-1].n
}

// written is when the byte at an offset was seen first; what no sample has seen yet was written since the last one.
func (l *logFile) written(offset int64, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.at), func(i int) bool { return l.at[i].n > offset })
	if i == len(l.at) {
		return now
	}
	return l.at[i].t
}

func (k *Kubelet) sampleLogs() {
	for now := range time.Tick(sampleEvery) {
		k.mu.Lock()
		var all []*logFile
		for _, p := range k.pods {
			p.mu.Lock()
			for _, c := range p.containers {
				if c.log != nil {
					all = append(all, c.log)
				}
			}
			p.mu.Unlock()
		}
		k.mu.Unlock()
		for _, l := range all {
			l.sample(now)
		}
	}
}

// serve answers a log request as the kubelet does.
func (l *logFile) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from := l.start(q)
	b, err := io.ReadAll(io.NewSectionReader(l.f, from, 1<<40))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	end := from + int64(len(b))
	b = tail(b, q)
	out := &lineWriter{w: w, log: l, at: end - int64(len(b)), stamps: q.Get("timestamps") == "true", left: limit(q)}
	if _, err := out.Write(b); err != nil {
		return
	}
	if q.Get("follow") == "true" {
		l.follow(ctx, out, r.Context(), end)
	}
}

func (l *logFile) start(q url.Values) (from int64) {
	if t, err := time.Parse(time.RFC3339Nano, q.Get("sinceTime")); err == nil {
		from = l.since(t)
	}
	if s, err := strconv.Atoi(q.Get("sinceSeconds")); err == nil {
		from = l.since(time.Now().Add(-time.Duration(s) * time.Second))
	}
	return from
}

// tail keeps the last lines that were asked for.
func tail(b []byte, q url.Values) []byte {
	n, err := strconv.Atoi(q.Get("tailLines"))
	if err != nil || n < 0 {
		return b
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 { // after a line's end there is no line
		lines = lines[:len(lines)-1]
	}
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}

// limit is how many bytes were asked for; -1: all.
func limit(q url.Values) int {
	n, err := strconv.Atoi(q.Get("limitBytes"))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// follow writes what comes, until the container's life, the pod or the request ends.
func (l *logFile) follow(ctx context.Context, out *lineWriter, request context.Context, end int64) {
	flush := http.NewResponseController(out.w)
	for last := false; ; {
		n, err := io.Copy(out, io.NewSectionReader(l.f, end, 1<<40))
		if err != nil || last || flush.Flush() != nil {
			return
		}
		end += n
		select {
		case <-ctx.Done():
			return
		case <-request.Done():
			return
		case <-l.over:
			last = true
		case <-time.After(sampleEvery):
		}
	}
}

// lineWriter writes a log's bytes, up to a limit, and before each line when it was written, if wanted.
type lineWriter struct {
	w      http.ResponseWriter
	log    *logFile
	at     int64 // offset of the next byte in the file
	inside bool  // within a line
	stamps bool
	left   int // bytes that may be written; -1: any number
}

func (o *lineWriter) Write(b []byte) (int, error) {
	now := time.Now()
	for line := range strings.Lines(string(b)) {
		stamp := ""
		if o.stamps && !o.inside {
			stamp = o.log.written(o.at, now).UTC().Format(time.RFC3339Nano) + " "
		}
		o.at, o.inside = o.at+int64(len(line)), !strings.HasSuffix(line, "\n")
		text := stamp + line
		if o.left >= 0 {
			text = text[:min(len(text), o.left)]
			o.left -= len(text)
		}
		if _, err := io.WriteString(o.w, text); err != nil {
			return 0, err
		}
	}
	if o.left == 0 {
		return len(b), io.ErrShortWrite
	}
	return len(b), nil
}
