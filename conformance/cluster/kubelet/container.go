package kubelet

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	log   *logFile
	spec  processSpec
	pid   int // 0: not running
	since metav1.Time
	ended metav1.Time
	exits int // how often it ended
	code  int
	final bool // will not run again
	up    bool // startup probe
	ready bool // readiness probe
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
	cmd := exec.Command("/proc/self/exe", ContainerCommand, file)
	cmd.Stdout, cmd.Stderr = c.log.f, c.log.f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.p.ending {
		return nil, context.Canceled
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c.pid, c.since = cmd.Process.Pid, metav1.Now()
	return cmd, nil
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
	c.pid, c.up, c.ready, c.code, c.ended = 0, false, false, code, metav1.Now()
	c.exits++
	c.final = c.p.ending || policy == v1.RestartPolicyNever || policy == v1.RestartPolicyOnFailure && code == 0
	return c.final, time.Since(c.since.Time)
}

func (c *container) signal(s syscall.Signal) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.pid > 0 {
		_ = unix.Kill(-c.pid, s)
	}
}
