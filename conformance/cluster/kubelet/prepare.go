package kubelet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"

	"fairway.dev/conformance/cluster/layout"
)

// prepare works out every container's program, environment and mounts.
func (p *pod) prepare() error {
	host, err := p.writeEtc()
	if err != nil {
		return err
	}
	spec := p.api.Spec
	var all []*container
	for i, c := range append(spec.InitContainers[:len(spec.InitContainers):len(spec.InitContainers)], spec.Containers...) {
		made, err := p.prepareContainer(c, i, host)
		if err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
		all = append(all, made)
	}
	p.mu.Lock()
	p.containers = all
	p.mu.Unlock()
	return nil
}

// writeEtc writes the files of /etc a kubelet writes, and returns the pod's host name.
func (p *pod) writeEtc() (host string, err error) {
	host = p.api.Name
	switch {
	case p.api.Spec.HostNetwork:
		host = p.k.node.Name
	case p.api.Spec.Hostname != "":
		host = p.api.Spec.Hostname
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", p.ip, host)
	for _, h := range p.api.Spec.HostAliases {
		hosts += h.IP + " " + strings.Join(h.Hostnames, " ") + "\n"
	}
	resolv := fmt.Sprintf("nameserver %s\nsearch %s.svc.%[3]s svc.%[3]s %[3]s\noptions ndots:5\n", layout.First().IP, p.api.Namespace, layout.Zone)
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(p.dir+"/hosts", []byte(hosts), 0o644); err != nil {
		return "", err
	}
	return host, os.WriteFile(p.dir+"/resolv.conf", []byte(resolv), 0o644)
}

func (p *pod) prepareContainer(c v1.Container, index int, host string) (*container, error) {
	im, err := p.k.images.of(c.Image)
	if err != nil {
		return nil, err
	}
	env, err := p.environment(&c, im)
	if err != nil {
		return nil, err
	}
	argv := argvOf(&c, im, env)
	if len(argv) == 0 {
		return nil, fmt.Errorf("nothing to run")
	}
	// istio-cni finds pods by paths of this form, and a container's id has 64 hexadecimal digits.
	id := fmt.Sprintf("%064x", string(p.api.UID)[:28]+fmt.Sprintf("%04d", index))
	s := processSpec{Root: p.dir + "/root-" + c.Name, Hostname: host, Cwd: c.WorkingDir,
		Cgroup: fmt.Sprintf("%s/besteffort/pod%s/%s", p.k.podsCgroup(), p.api.UID, id)}
	if p.net != nil {
		s.Netns = p.net.Path()
	}
	s.Binds = []bind{{p.dir + "/hosts", "/etc/hosts"}, {p.dir + "/resolv.conf", "/etc/resolv.conf"}}
	if len(im.Cmd) > 0 && !strings.HasPrefix(argv[0], "/bin/") && !strings.HasPrefix(argv[0], "/usr/") {
		at := programDir + "/" + filepath.Base(argv[0])
		s.Binds = append(s.Binds, bind{argv[0], at})
		argv[0] = at
	}
	for to, from := range im.Files {
		s.Binds = append(s.Binds, bind{from, to})
	}
	s.Binds = append(s.Binds, p.mountsOf(&c, env)...)
	s.Argv = argv
	for name, value := range env {
		s.Env = append(s.Env, name+"="+value)
	}
	return &container{p: p, c: c, im: im, init: index < len(p.api.Spec.InitContainers), spec: s}, nil
}

// argvOf joins what the table, the image and the pod say.
func argvOf(c *v1.Container, im *Image, env map[string]string) []string {
	words := im.Cmd
	if len(words) == 0 {
		words = im.Entry
		if len(c.Command) > 0 {
			words = expandAll(c.Command, env)
		}
	}
	argv := append(append([]string{}, words...), expandAll(c.Args, env)...)
	if len(argv) > 0 && !strings.Contains(argv[0], "/") {
		if full, err := exec.LookPath(argv[0]); err == nil {
			argv[0] = full
		}
	}
	return argv
}

func (p *pod) mountsOf(c *v1.Container, env map[string]string) (out []bind) {
	for _, m := range c.VolumeMounts {
		from := p.volumes[m.Name]
		if sub := expand(m.SubPathExpr, env); sub != "" || m.SubPath != "" {
			from = filepath.Join(from, m.SubPath, sub)
			if _, err := os.Stat(from); err != nil {
				_ = os.MkdirAll(from, 0o777)
			}
		}
		out = append(out, bind{from, m.MountPath})
	}
	return out
}
