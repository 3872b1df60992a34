package kubelet

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// lived is a log of which the first line was seen a minute before the second.
func lived(t *testing.T, begin time.Time) *logFile {
	t.Helper()
	l, err := openLog(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range []string{"first\n", "second\nthird\n"} {
		if _, err := l.f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		l.sample(begin.Add(time.Duration(i) * time.Minute))
	}
	return l
}

func TestLogRequests(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := lived(t, begin)
	l.ended()
	for query, want := range map[string]string{
		"":                               "first\nsecond\nthird\n",
		"tailLines=1":                    "third\n",
		"tailLines=0":                    "",
		"tailLines=9":                    "first\nsecond\nthird\n",
		"limitBytes=3":                   "fir",
		"limitBytes=8":                   "first\nse",
		"tailLines=2&limitBytes=1":       "s",
		"sinceTime=2026-01-02T03:05:00Z": "second\nthird\n",
		"follow=true&tailLines=1":        "third\n",
		"timestamps=true&tailLines=2":    "2026-01-02T03:05:05Z second\n2026-01-02T03:05:05Z third\n",
		"timestamps=true&limitBytes=26":  "2026-01-02T03:04:05Z first",
	} {
		w := httptest.NewRecorder()
		l.serve(context.Background(), w, httptest.NewRequest("GET", "/?"+query, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestFollowingALogEndsWithTheContainersLife(t *testing.T) {
	l := lived(t, time.Now())
	go func() {
		time.Sleep(2 * sampleEvery)
		_, _ = l.f.WriteString("last")
		l.ended()
		l.ended()
	}()
	w := httptest.NewRecorder()
	l.serve(context.Background(), w, httptest.NewRequest("GET", "/?follow=true&tailLines=0", nil))
	if got := w.Body.String(); got != "last" {
		t.Errorf("got %q", got)
	}
}

func TestLogSinceNeverLosesALine(t *testing.T) {
	begin := time.Now()
	l := &logFile{at: []mark{{begin, 10}, {begin.Add(time.Second), 20}}}
	for offset, want := range map[time.Duration]int64{-time.Second: 0, 0: 0, 500 * time.Millisecond: 10, 2 * time.Second: 20} {
		if got := l.since(begin.Add(offset)); got != want {
			t.Errorf("%s: got %d, want %d", offset, got, want)
		}
	}
}

func TestOnlyTheLastTwoLogsOfAContainerStay(t *testing.T) {
	c := &container{p: &pod{dir: t.TempDir()}}
	c.c.Name = "c"
	for range 4 {
		if err := c.nextLog(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(c.p.dir)
	if err != nil || len(files) != 2 || files[0].Name() != "c-2.log" || c.older.f.Name() != c.p.dir+"/c-2.log" {
		t.Errorf("got %v, %v", files, err)
	}
}
