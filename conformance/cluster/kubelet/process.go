package kubelet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ContainerCommand is the hidden subcommand under which this executable becomes a container's program (see Become).
const ContainerCommand = "container"

// programDir is where a container sees the program that stands in for its image, whatever volumes are mounted over the rest of
// its root.
const programDir = "/.fairway"

// bind shows a file or folder of the machine in the container.
type bind struct{ From, To string }

// processSpec is what the kubelet hands to a container's process.
type processSpec struct {
	Netns, Root, Hostname, Cgroup, Cwd string
	Binds                              []bind
	Argv, Env                          []string
}

// enteredFile is a pipe the kubelet reads: it ends when the program is executed, so nothing enters the container's namespaces before
// they are made.
const enteredFile = 3

// Become turns this process into the container that the file describes; it returns only on failure.
func Become(file string) error {
	runtime.LockOSThread() // namespaces are a thread's; exec keeps this one's
	unix.CloseOnExec(enteredFile)
	// The kubelet asked for this already, but of the first thread; this may be another.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s processSpec
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	root, err := s.enter()
	if err != nil {
		return err
	}
	for _, b := range s.Binds {
		if err := b.mount(root); err != nil {
			return fmt.Errorf("%s: %w", b.To, err)
		}
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if s.Cwd == "" {
		s.Cwd = "/"
	}
	if err := os.Chdir(s.Cwd); err != nil {
		return err
	}
	return unix.Exec(s.Argv[0], s.Argv, s.Env)
}

// enter joins the pod's namespaces and builds the container's root.
func (s *processSpec) enter() (root string, err error) {
	if os.MkdirAll(s.Cgroup, 0o755) == nil { // istio-cni reads it; without, only late enrolment suffers
		_ = os.WriteFile(s.Cgroup+"/cgroup.procs", []byte("0"), 0o644)
	}
	if s.Netns != "" {
		f, err := os.Open(s.Netns)
		if err != nil {
			return "", err
		}
		err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.Netns, err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return "", fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("slave mounts: %w", err)
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return "", err
	}
	return overlay(s.Root)
}

// overlay mounts a root whose changes no one else sees: the machine's, below a tmpfs.
func overlay(at string) (root string, err error) {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		return "", err
	}
	upper, work, root := at+"/upper", at+"/work", at+"/root"
	for _, d := range []string{upper, work, root} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", err
		}
	}
	if err := unix.Mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work); err != nil {
		return "", fmt.Errorf("overlay: %w", err)
	}
	for _, d := range []string{"/proc", "/dev", "/sys"} {
		if err := unix.Mount(d, root+d, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return "", fmt.Errorf("%s: %w", d, err)
		}
	}
	if err := unix.Mount("tmpfs", root+"/run", "tmpfs", 0, ""); err != nil {
		return "", err
	}
	if err := os.RemoveAll(root + "/var/run"); err != nil {
		return "", err
	}
	return root, os.Symlink("/run", root+"/var/run")
}

// mount shows b below root. /var/run is a link to /run, and a link in the path would lead out of root.
func (b bind) mount(root string) error {
	st, err := os.Stat(b.From)
	if err != nil {
		return err
	}
	to := root + b.To
	if rest, ok := strings.CutPrefix(b.To, "/var/run/"); ok {
		to = root + "/run/" + rest
	}
	if st.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		if _, absent := os.Stat(to); absent != nil {
			err = os.WriteFile(to, nil, 0o644)
		}
	}
	if err != nil {
		return err
	}
	return unix.Mount(b.From, to, "", unix.MS_BIND|unix.MS_REC, "")
}
