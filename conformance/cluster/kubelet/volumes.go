package kubelet

import (
	"fmt"
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
		if err := p.fillVolume(at, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	p.mu.Lock()
	p.volumes = paths
	p.mu.Unlock()
	return nil
}

// fillVolume writes a volume's files, or brings them up to date.
func (p *pod) fillVolume(dir string, v v1.Volume) error {
	switch {
	case v.ConfigMap != nil:
		return p.fillConfigMap(dir, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		return p.fillSecret(dir, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		return p.fillDownward(dir, v.DownwardAPI.Items)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if err := p.fillProjection(dir, s); err != nil {
				return err
			}
		}
		return nil
	case v.EmptyDir != nil:
		return nil
	}
	return fmt.Errorf("this kind of volume is not supported")
}

func (p *pod) fillProjection(dir string, s v1.VolumeProjection) error {
	switch {
	case s.ServiceAccountToken != nil:
		return p.fillToken(dir, s.ServiceAccountToken)
	case s.ConfigMap != nil:
		return p.fillConfigMap(dir, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.Secret != nil:
		return p.fillSecret(dir, s.Secret.Name, s.Secret.Items, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return p.fillDownward(dir, s.DownwardAPI.Items)
	}
	return fmt.Errorf("this kind of projection is not supported")
}

func (p *pod) fillConfigMap(dir, name string, items []v1.KeyToPath, optional *bool) error {
	data, err := p.configMapData(name, optional)
	if err != nil {
		return err
	}
	return putKeys(dir, items, data)
}

func (p *pod) fillSecret(dir, name string, items []v1.KeyToPath, optional *bool) error {
	data, err := p.secretData(name, optional)
	if err != nil {
		return err
	}
	return putKeys(dir, items, data)
}

func (p *pod) fillDownward(dir string, items []v1.DownwardAPIVolumeFile) error {
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
		if err := put(dir, i.Path, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// put replaces a file in one step, so that readers never see half of it.
func put(dir, name string, data []byte) error {
	f := filepath.Join(dir, name)
	if old, err := os.ReadFile(f); err == nil && string(old) == string(data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(f), ".."+filepath.Base(f))
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, f)
}

// putKeys writes the wanted keys, or all of them. A key that is gone takes its file along.
func putKeys(dir string, items []v1.KeyToPath, data map[string][]byte) error {
	if len(items) == 0 {
		for k := range data {
			items = append(items, v1.KeyToPath{Key: k, Path: k})
		}
	}
	for _, i := range items {
		d, ok := data[i.Key]
		if !ok {
			_ = os.Remove(filepath.Join(dir, i.Path))
			continue
		}
		if err := put(dir, i.Path, d); err != nil {
			return err
		}
	}
	return nil
}
