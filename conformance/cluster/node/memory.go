package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fairway.dev/conformance/cluster/layout"
)

// Memory sums what the nodes' processes hold resident, in bytes. Pages they share are counted each time.
func Memory(l layout.Layout) (uint64, error) {
	of := map[string]bool{}
	for _, n := range layout.Nodes {
		pid, running := PID(l, n)
		if !running {
			return 0, errors.New("the cluster is not up")
		}
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		if err != nil {
			return 0, err
		}
		of[ns] = true
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	var pages uint64
	for _, p := range processes {
		if ns, err := os.Readlink(p + "/ns/pid"); err != nil || !of[ns] {
			continue
		}
		b, err := os.ReadFile(p + "/statm")
		if err != nil {
			continue // it ended meanwhile
		}
		if f := strings.Fields(string(b)); len(f) > 1 {
			n, err := strconv.ParseUint(f[1], 10, 64)
			if err != nil {
				return 0, err
			}
			pages += n
		}
	}
	return pages * uint64(os.Getpagesize()), nil
}
