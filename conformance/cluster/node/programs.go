package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairway.dev/conformance/cluster/layout"
)

// Daemon has a node keep a program of its own running; its output goes to the log of that name. What to run is a file, and a
// signal tells the node's init process to look: so there is no limit on its length, and one can see what should run.
func Daemon(l layout.Layout, n layout.Node, name string, argv ...string) error {
	pid, running := PID(l, n)
	if !running {
		return errors.New("the cluster is not up")
	}
	if _, err := os.Stat(argv[0]); err != nil {
		return err
	}
	b, err := json.Marshal(argv)
	if err != nil {
		return err
	}
	file := filepath.Join(l.Programs(n), name+programSuffix)
	if err := os.WriteFile(file+".new", b, 0o644); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	return unix.Kill(pid, lookSignal)
}

const (
	programSuffix = ".json"
	lookSignal    = unix.SIGHUP
)

// Waits before a program that ended is started again: short, because somebody is waiting.
const (
	firstRestart = time.Second
	lastRestart  = 10 * time.Second
	longEnough   = time.Minute // one that ran this long starts over with the short wait
)

// program is one that the node keeps running.
type program struct {
	name  string
	argv  []string
	pid   int // 0: not running
	began time.Time
	next  time.Time     // when to start it
	wait  time.Duration // before the next restart
}

// due is true when the program should be started.
func (p *program) due(now time.Time) bool { return p.pid == 0 && !now.Before(p.next) }

// ended decides when it runs again, and returns how long that is.
func (p *program) ended(now time.Time) time.Duration {
	p.pid = 0
	if p.wait == 0 || now.Sub(p.began) > longEnough {
		p.wait = firstRestart
	}
	wait := p.wait
	p.next, p.wait = now.Add(wait), min(2*wait, lastRestart)
	return wait
}

// keeper runs a node's programs. Only the init process's one loop uses it.
type keeper struct {
	l        layout.Layout
	n        layout.Node
	programs map[string]*program
}

// look takes up programs that are new.
func (k *keeper) look() {
	files, err := filepath.Glob(filepath.Join(k.l.Programs(k.n), "*"+programSuffix))
	if err != nil {
		k.say("%v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), programSuffix)
		if k.programs[name] != nil {
			continue
		}
		p := &program{name: name}
		b, err := os.ReadFile(f)
		if err == nil {
			err = json.Unmarshal(b, &p.argv)
		}
		if err != nil {
			k.say("%s: %v", f, err)
			continue
		}
		k.programs[name] = p
	}
}

// start starts what is due.
func (k *keeper) start(now time.Time) {
	for _, p := range k.programs {
		if !p.due(now) {
			continue
		}
		p.began = now
		if err := k.launch(p); err != nil {
			k.say("%s did not start: %v", p.name, err)
			p.ended(now)
		}
	}
}

// launch forks by hand: os/exec would wait for its child, and in an init process one loop waits for all of them.
func (k *keeper) launch(p *program) error {
	log, err := appendTo(k.l.Log(p.name))
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	p.pid, err = syscall.ForkExec(p.argv[0], p.argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{null.Fd(), log.Fd(), log.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true}})
	return err
}

// gone hears of every process that ended in the node; most are orphans of pods.
func (k *keeper) gone(pid int, status unix.WaitStatus, now time.Time) {
	for _, p := range k.programs {
		if p.pid == pid {
			wait := p.ended(now)
			k.say("%s ended (%s), starting it again in %s", p.name, manner(status), wait)
			return
		}
	}
}

func manner(s unix.WaitStatus) string {
	if s.Signaled() {
		return s.Signal().String()
	}
	return fmt.Sprint("exit status ", s.ExitStatus())
}

// say tells what must not happen: in the node's log and in the one that a run looks at when it judges.
func (k *keeper) say(format string, args ...any) {
	line := fmt.Sprintf("%s %s: %s\n", time.Now().Format(time.RFC3339), k.n.Name, fmt.Sprintf(format, args...))
	fmt.Fprint(os.Stderr, line)
	if f, err := appendTo(k.l.Died()); err == nil {
		_, _ = f.WriteString(line)
		f.Close()
	}
}
