package node

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// CgroupBase is where pods' control groups go. They limit nothing; istio-cni reads a process's pod from its path in there.
func CgroupBase(name string) string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return filepath.Join("/sys/fs/cgroup", name)
	}
	return filepath.Join("/sys/fs/cgroup/pids", name)
}

// removeCgroups removes a tree of control groups, leaves first; one that still holds a process stays, and the next down gets it.
func removeCgroups(name string) {
	var dirs []string
	_ = filepath.WalkDir(CgroupBase(name), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		_ = os.Remove(d)
	}
}
