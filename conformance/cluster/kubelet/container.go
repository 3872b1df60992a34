package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairway.dev/conformance/cluster/node"
)

// Waits between restarts: short, because a suite waits for the result.
const (
	firstRestart = time.Second
	lastRestart  = 10 * time.Second
	longEnough   = time.Minute // a container that ran this long starts over with the short wait
)

// container is one container of a pod; pod.mu guards its changing fields.
type container struct {
	p     *pod
	c     v1.Container
	im    *Image
	init  bool
	spec  processSpec
	log   *logFile // of the last life that began; nil before the first
	older *logFile // of the one before
	pid   int      // 0: not running
	since metav1.Time
	lives int // how often it began
	exits int // how often it ended
	last  end
	final bool // will not run again
	up    bool // startup probe
	ready bool // readiness probe

	entered  chan struct{} // closed when the program runs in its namespaces, or has ended before
	started  bool          // it does, and the postStart hook is through
	stopping bool          // somebody ends this life
}

// end is how a life of a container ended.
type end struct {
	began, ended metav1.Time
	code         int
}

func (c *container) sidecar() bool {
	return c.init && c.c.RestartPolicy != nil && *c.c.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// start runs the container's process once and returns it.
func (c *container) start() (*exec.Cmd, error) {
	b, err := json.Marshal(c.spec)
	if err != nil {
		return nil, err
	}
	file := c.p.dir + "/spec-" + c.c.Name + ".json"
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	entered, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd := exec.Command("/proc/self/exe", ContainerCommand, file)
	cmd.ExtraFiles = []*os.File{w} // see Become
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.fork(cmd); err != nil {
		entered.Close()
		return nil, err
	}
	go c.afterStart(entered)
	return cmd, nil
}

func (c *container) fork(cmd *exec.Cmd) error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.p.ending {
		return context.Canceled
	}
	if err := c.nextLog(); err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = c.log.f, c.log.f
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pid, c.since, c.entered, c.started, c.stopping = cmd.Process.Pid, metav1.Now(), make(chan struct{}), false, false
	return nil
}

// nextLog opens the file of the life that begins; the one before stays for those who ask for it. pod.mu is held.
func (c *container) nextLog() error {
	name := func(life int) string { return fmt.Sprintf("%s/%s-%d.log", c.p.dir, c.c.Name, life) }
	l, err := openLog(name(c.lives))
	if err != nil {
		return err
	}
	if c.older != nil {
		c.older.f.Close()
		_ = os.Remove(name(c.lives - 2))
	}
	c.log, c.older = l, c.log
	c.lives++
	return nil
}

func (c *container) closeLogs() {
	for _, l := range []*logFile{c.log, c.older} {
		if l != nil {
			l.f.Close()
		}
	}
}

// afterStart waits until the program runs and calls the postStart hook; a container is not up before, and ends if it fails.
func (c *container) afterStart(entered *os.File) {
	_, _ = io.Copy(io.Discard, entered) // nothing but the end of it comes
	entered.Close()
	c.p.mu.Lock()
	close(c.entered)
	c.p.mu.Unlock()
	if l := c.c.Lifecycle; l != nil && l.PostStart != nil {
		if err := c.hook(c.p.ctx, l.PostStart); err != nil {
			log.Printf("%s/%s: postStart: %v", c.p, c.c.Name, err)
			ctx, cancel := context.WithTimeout(context.Background(), c.p.graceOfSpec())
			defer cancel()
			c.stop(ctx)
			return
		}
	}
	c.p.mu.Lock()
	c.started = true
	c.p.mu.Unlock()
}

// restarts is the policy of this container: an init container of a pod that always restarts is only retried until it succeeds.
func (c *container) restarts() v1.RestartPolicy {
	policy := c.p.api.Spec.RestartPolicy
	switch {
	case c.sidecar():
		return v1.RestartPolicyAlways
	case c.init && policy == v1.RestartPolicyAlways:
		return v1.RestartPolicyOnFailure
	}
	return policy
}

// supervise keeps the container running as its restart policy says.
func (c *container) supervise() {
	runtime.LockOSThread() // the death signal is tied to the thread that forked
	defer runtime.UnlockOSThread()
	for wait := firstRestart; ; wait = min(2*wait, lastRestart) {
		code := c.runOnce()
		final, ran := c.over(code)
		c.p.changed()
		if final {
			return
		}
		log.Printf("%s/%s ended with %d, starting it again", c.p, c.c.Name, code)
		if ran > longEnough {
			wait = firstRestart
		}
		if !c.p.sleep(wait) {
			c.p.mu.Lock()
			c.final = true
			c.p.mu.Unlock()
			return
		}
	}
}

// Exit codes as a shell gives them: a signal's number above 128, and 128 for what could not start.
const signalBase = 128

func (c *container) runOnce() int {
	cmd, err := c.start()
	if err != nil {
		log.Printf("%s/%s: %v", c.p, c.c.Name, err)
		return signalBase
	}
	c.p.changed()
	_ = cmd.Wait()
	// What it left behind; a container's own process numbers would do that.
	if err := node.KillAll(c.spec.Cgroup); err != nil {
		log.Printf("%s/%s: %v", c.p, c.c.Name, err)
	}
	code := cmd.ProcessState.ExitCode()
	if code < 0 {
		code = signalBase + int(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	}
	return code
}

// over records an end; final: the container does not run again.
func (c *container) over(code int) (final bool, ran time.Duration) {
	policy := c.restarts()
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.last = end{c.since, metav1.Now(), code}
	c.pid, c.up, c.ready = 0, false, false
	if c.log != nil {
		c.log.ended()
	}
	c.exits++
	c.final = c.p.ending || policy == v1.RestartPolicyNever || policy == v1.RestartPolicyOnFailure && code == 0
	return c.final, time.Since(c.since.Time)
}
