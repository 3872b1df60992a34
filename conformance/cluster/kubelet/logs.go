package kubelet

import (
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

// logFile is a container's output. The container writes straight into the file; when what was written is sampled from the side, so
// that sinceTime costs the container nothing. Its resolution is the sampling interval.
type logFile struct {
	path string
	f    *os.File
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
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, f: f}, nil
}

func (l *logFile) close() { l.f.Close() }

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

func (k *Kubelet) sampleLogs() {
	for now := range time.Tick(sampleEvery) {
		k.mu.Lock()
		var all []*logFile
		for _, p := range k.pods {
			p.mu.Lock()
			for _, c := range p.containers {
				all = append(all, c.log)
			}
			p.mu.Unlock()
		}
		k.mu.Unlock()
		for _, l := range all {
			l.sample(now)
		}
	}
}

// serve answers a log request as the kubelet does (without timestamps).
func (l *logFile) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := os.Open(l.path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer f.Close()
	from := l.start(q)
	b, err := io.ReadAll(io.NewSectionReader(f, from, 1<<40))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(cut(b, q))
	if q.Get("follow") == "true" {
		follower(ctx, w, r, f, from+int64(len(b)))
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

// cut keeps the last lines and the first bytes that were asked for.
func cut(b []byte, q url.Values) []byte {
	if n, err := strconv.Atoi(q.Get("tailLines")); err == nil && n >= 0 {
		if lines := strings.SplitAfter(string(b), "\n"); len(lines) > n+1 {
			b = []byte(strings.Join(lines[len(lines)-n-1:], ""))
		}
	}
	if n, err := strconv.Atoi(q.Get("limitBytes")); err == nil && n >= 0 && n < len(b) {
		b = b[:n]
	}
	return b
}

func follower(ctx context.Context, w http.ResponseWriter, r *http.Request, f *os.File, end int64) {
	flush := http.NewResponseController(w)
	for {
		_ = flush.Flush()
		select {
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		case <-time.After(sampleEvery):
		}
		n, err := io.Copy(w, io.NewSectionReader(f, end, 1<<40))
		if err != nil {
			return
		}
		end += n
	}
}
