package kubelet

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// hostPath keeps what pods write to the "host" in the node's own folder, and shows them the node's kernel file systems and
// namespaces as they are.
func (k *Kubelet) hostPath(p string) string {
	p = filepath.Clean(p)
	for _, real := range []string{"/proc", "/sys", "/dev", "/run/netns", "/var/run/netns"} {
		if p == real || strings.HasPrefix(p, real+"/") {
			return strings.Replace(p, "/var/run/", "/run/", 1)
		}
	}
	return k.l.OfNode(k.node, "host", p)
}

// volumeDir is where a volume that is not a hostPath lies.
func (p *pod) volumeDir(name string) string { return filepath.Join(p.dir, "volumes", name) }

// fillVolumes makes every volume.
func (p *pod) fillVolumes() error {
	paths := map[string]string{}
	for _, v := range p.api.Spec.Volumes {
		at := p.volumeDir(v.Name)
		if v.HostPath != nil {
			at = p.k.hostPath(v.HostPath.Path)
		}
		paths[v.Name] = at
		if _, err := os.Stat(at); err == nil && v.HostPath != nil {
			continue
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if v.HostPath != nil {
			continue
		}
		if err := os.Chmod(at, 0o777); err != nil { // whatever the umask
			return err
		}
		if err := p.fillVolume(v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	p.mu.Lock()
	p.volumes = paths
	p.mu.Unlock()
	return nil
}

// fillVolume writes a volume's files and its tokens.
func (p *pod) fillVolume(v v1.Volume) error {
	if err := p.syncVolume(v); err != nil {
		return err
	}
	for _, t := range tokensOf(v) {
		if err := p.fillToken(p.volumeDir(v.Name), t); err != nil {
			return err
		}
	}
	return nil
}

// syncVolume brings a volume's files up to date. Its tokens stay: renew keeps them.
func (p *pod) syncVolume(v v1.Volume) error {
	if v.EmptyDir != nil {
		return nil
	}
	files, err := p.contents(v)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, t := range tokensOf(v) {
		keep[filepath.Clean(t.Path)] = true
	}
	p.volumeMu.Lock()
	defer p.volumeMu.Unlock()
	return syncFolder(p.volumeDir(v.Name), files, keep)
}

// tokensOf lists the service account tokens in a volume.
func tokensOf(v v1.Volume) (out []*v1.ServiceAccountTokenProjection) {
	if v.Projected == nil {
		return nil
	}
	for _, s := range v.Projected.Sources {
		if s.ServiceAccountToken != nil {
			out = append(out, s.ServiceAccountToken)
		}
	}
	return out
}

// contents is what a volume's files must hold, by path; without tokens.
func (p *pod) contents(v v1.Volume) (map[string][]byte, error) {
	switch {
	case v.ConfigMap != nil:
		return p.configMapFiles(v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		return p.secretFiles(v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		return p.downwardFiles(v.DownwardAPI.Items), nil
	case v.Projected == nil:
		return nil, fmt.Errorf("this kind of volume is not supported")
	}
	files := map[string][]byte{}
	for _, s := range v.Projected.Sources {
		some, err := p.projection(s)
		if err != nil {
			return nil, err
		}
		maps.Copy(files, some)
	}
	return files, nil
}

func (p *pod) projection(s v1.VolumeProjection) (map[string][]byte, error) {
	switch {
	case s.ServiceAccountToken != nil:
		return nil, nil
	case s.ConfigMap != nil:
		return p.configMapFiles(s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.Secret != nil:
		return p.secretFiles(s.Secret.Name, s.Secret.Items, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return p.downwardFiles(s.DownwardAPI.Items), nil
	}
	return nil, fmt.Errorf("this kind of projection is not supported")
}

func (p *pod) configMapFiles(name string, items []v1.KeyToPath, optional *bool) (map[string][]byte, error) {
	data, err := p.configMapData(name, optional)
	if err != nil {
		return nil, err
	}
	return pick(items, data, optional)
}

func (p *pod) secretFiles(name string, items []v1.KeyToPath, optional *bool) (map[string][]byte, error) {
	data, err := p.secretData(name, optional)
	if err != nil {
		return nil, err
	}
	return pick(items, data, optional)
}

// pick chooses the wanted keys, or all of them.
func pick(items []v1.KeyToPath, data map[string][]byte, optional *bool) (map[string][]byte, error) {
	if len(items) == 0 {
		return data, nil
	}
	files := map[string][]byte{}
	for _, i := range items {
		d, ok := data[i.Key]
		switch {
		case ok:
			files[filepath.Clean(i.Path)] = d
		case optional == nil || !*optional:
			return nil, fmt.Errorf("there is no key %s", i.Key)
		}
	}
	return files, nil
}

func (p *pod) downwardFiles(items []v1.DownwardAPIVolumeFile) map[string][]byte {
	files := map[string][]byte{}
	for _, i := range items {
		var text string
		switch {
		case i.FieldRef != nil:
			text = p.field(i.FieldRef.FieldPath)
		case i.ResourceFieldRef != nil:
			for _, c := range p.api.Spec.Containers {
				if c.Name == i.ResourceFieldRef.ContainerName {
					text = resourceOf(&c, i.ResourceFieldRef)
				}
			}
		}
		files[filepath.Clean(i.Path)] = []byte(text)
	}
	return files
}

// syncFolder makes a folder hold these files, and of others only those to keep.
func syncFolder(dir string, files map[string][]byte, keep map[string]bool) error {
	for name, data := range files {
		if err := put(dir, name, data); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		if _, wanted := files[name]; wanted || keep[name] || keep[strings.Replace(name, hidden, "", 1)] {
			return nil
		}
		return os.Remove(at)
	})
}

// hidden begins the name of a file that is being written.
const hidden = ".."

// put replaces a file in one step, so that readers never see half of it.
func put(dir, name string, data []byte) error {
	f := filepath.Join(dir, name)
	if old, err := os.ReadFile(f); err == nil && string(old) == string(data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(f), hidden+filepath.Base(f))
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, f)
}
