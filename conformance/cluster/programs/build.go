package programs

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How often a running compiler is reported on.
const reportEvery = 30 * time.Second

// kubernetesNames are the programs the one Kubernetes executable is, by the name it is called.
var kubernetesNames = []string{"kube-apiserver", "kube-controller-manager", "kube-proxy", "kubectl"}

// Build makes every missing program. A compiler call that ctx ends is not lost: finished packages stay in Go's own cache.
func (s *Store) Build(ctx context.Context, progress io.Writer) error {
	missing, err := s.Missing()
	if err != nil {
		return err
	}
	for i, p := range missing {
		fmt.Fprintf(progress, "%s: compiling (%d of %d that are missing)\n", p, i+1, len(missing))
		if err := s.build(ctx, p, progress); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

func (s *Store) build(ctx context.Context, p Program, progress io.Writer) error {
	r, err := find(p)
	if err != nil {
		return err
	}
	at, err := s.Path(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	begin := time.Now()
	c := s.compiler(ctx, r, at+".new")
	c.Stderr = progress
	if err := c.Start(); err != nil {
		return err
	}
	stop := tell(progress, p, begin)
	err = c.Wait()
	stop()
	if err != nil {
		return err
	}
	if p == Kubernetes {
		for _, name := range kubernetesNames {
			link := filepath.Join(filepath.Dir(at), name)
			_ = os.Remove(link)
			if err := os.Symlink(string(p), link); err != nil {
				return err
			}
		}
	}
	if err := os.Rename(at+".new", at); err != nil {
		return err
	}
	cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	fmt.Fprintf(progress, "%s: built in %.0f s, %.0f s of CPU\n", p, time.Since(begin).Seconds(), cpu.Seconds())
	return nil
}

func (s *Store) compiler(ctx context.Context, r recipe, out string) *exec.Cmd {
	args := []string{"build"}
	if r.test {
		args = []string{"test", "-c"}
	}
	args = append(args, buildFlags...)
	if r.tags != "" {
		args = append(args, "-tags", r.tags)
	}
	args = append(args, "-p", strconv.Itoa(runtime.NumCPU()), "-ldflags", strings.TrimSpace("-s -w "+s.stampsOf(r)), "-o", out, r.pkg)
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = filepath.Join(s.pins, r.folder)
	c.Env = append(os.Environ(), buildEnv...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the compiler's children end with it
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	return c
}

// tell reports at intervals that a program is still being compiled, until stop is called.
func tell(progress io.Writer, p Program, begin time.Time) (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintf(progress, "%s: still compiling after %.0f s\n", p, time.Since(begin).Seconds())
			}
		}
	}()
	return func() { close(done); <-ended }
}
