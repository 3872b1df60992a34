package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CgroupBase is where pods' control groups go. They limit nothing; istio-cni reads a process's pod from its path in there.
func CgroupBase(name string) string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return filepath.Join("/sys/fs/cgroup", name)
	}
	return filepath.Join("/sys/fs/cgroup/pids", name)
}

// KillAll kills every process in a tree of control groups, and returns when none is left.
func KillAll(base string) error {
	for end := time.Now().Add(stopPatience); ; time.Sleep(10 * time.Millisecond) {
		left := 0
		_ = filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				left += killIn(p)
			}
			return nil
		})
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d processes in %s do not end", left, base)
		}
	}
}

// killIn kills one control group's processes and returns how many there were.
func killIn(group string) int {
	b, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return 0 // it is gone
	}
	n := 0
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 { // 0: of another PID namespace
			n++
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return n
}

// removeCgroups removes a tree of control groups, leaves first. A group is in the way until the kernel has buried its last process, which
// may take a moment longer than the end of the node's init process.
func removeCgroups(name string) error {
	for end := time.Now().Add(stopPatience); ; time.Sleep(20 * time.Millisecond) {
		var dirs []string
		_ = filepath.WalkDir(CgroupBase(name), func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, p)
			}
			return nil
		})
		var left error
		for _, d := range slices.Backward(dirs) {
			left = errors.Join(left, os.Remove(d))
		}
		if left == nil || time.Now().After(end) {
			return left
		}
	}
}
