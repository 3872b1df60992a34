package kubelet

import (
	"log"
	"slices"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// source is a ConfigMap or a Secret that a volume shows.
type source struct{ kind, name string }

const (
	configMapSource = "configmap"
	secretSource    = "secret"
)

// tokenLife is how long a token lives whose volume does not say: a kubelet's default.
const tokenLife = 3600

// configMapData is a ConfigMap's content; an absent optional one has none.
func (p *pod) configMapData(name string, optional *bool) (map[string][]byte, error) {
	c, err := p.k.configMaps.ConfigMaps(p.api.Namespace).Get(name)
	if err != nil { // the cache may lag behind
		c, err = p.k.client.CoreV1().ConfigMaps(p.api.Namespace).Get(p.ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, unlessMissing(err, optional)
	}
	data := map[string][]byte{}
	for k, v := range c.Data {
		data[k] = []byte(v)
	}
	for k, v := range c.BinaryData {
		data[k] = v
	}
	return data, nil
}

// secretData is a Secret's content; an absent optional one has none.
func (p *pod) secretData(name string, optional *bool) (map[string][]byte, error) {
	s, err := p.k.secrets.Secrets(p.api.Namespace).Get(name)
	if err != nil {
		s, err = p.k.client.CoreV1().Secrets(p.api.Namespace).Get(p.ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, unlessMissing(err, optional)
	}
	return s.Data, nil
}

func unlessMissing(err error, optional *bool) error {
	if errors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// sourcesOf lists what a volume shows.
func sourcesOf(v v1.Volume) (out []source) {
	if v.ConfigMap != nil {
		out = append(out, source{configMapSource, v.ConfigMap.Name})
	}
	if v.Secret != nil {
		out = append(out, source{secretSource, v.Secret.SecretName})
	}
	if v.Projected == nil {
		return out
	}
	for _, s := range v.Projected.Sources {
		if s.ConfigMap != nil {
			out = append(out, source{configMapSource, s.ConfigMap.Name})
		}
		if s.Secret != nil {
			out = append(out, source{secretSource, s.Secret.Name})
		}
	}
	return out
}

// sourceChanged refreshes the volumes that show a changed object.
func (k *Kubelet) sourceChanged(kind string, o metav1.Object) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pods {
		if p.api.Namespace != o.GetNamespace() {
			continue
		}
		for _, v := range p.api.Spec.Volumes {
			for _, s := range sourcesOf(v) {
				if s == (source{kind, o.GetName()}) {
					go p.refresh(v)
					break
				}
			}
		}
	}
}

// showsFields is true if a volume shows fields of the pod itself.
func showsFields(v v1.Volume) bool {
	if v.DownwardAPI != nil {
		return true
	}
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s v1.VolumeProjection) bool { return s.DownwardAPI != nil })
}

// refresh brings a running pod's volume up to date.
func (p *pod) refresh(v v1.Volume) {
	if p.locked(func() bool { return p.volumes == nil || p.ending }) {
		return
	}
	if err := p.syncVolume(v); err != nil {
		log.Printf("%s: volume %s: %v", p, v.Name, err)
	}
}

// fillToken writes a token bound to this pod.
func (p *pod) fillToken(dir string, t *v1.ServiceAccountTokenProjection) error {
	spec := authv1.TokenRequestSpec{ExpirationSeconds: t.ExpirationSeconds,
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.api.Name, UID: p.api.UID}}
	if t.Audience != "" {
		spec.Audiences = []string{t.Audience}
	}
	r, err := p.k.client.CoreV1().ServiceAccounts(p.api.Namespace).CreateToken(p.ctx, p.api.Spec.ServiceAccountName,
		&authv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return put(dir, t.Path, []byte(r.Status.Token))
}

// renewTokens replaces service account tokens at four fifths of their life, as a kubelet does.
func (p *pod) renewTokens() {
	for _, v := range p.api.Spec.Volumes {
		for _, t := range tokensOf(v) {
			go p.renew(p.volumeDir(v.Name), t)
		}
	}
}

func (p *pod) renew(dir string, t *v1.ServiceAccountTokenProjection) {
	life := int64(tokenLife)
	if t.ExpirationSeconds != nil {
		life = *t.ExpirationSeconds
	}
	for p.sleep(time.Duration(life) * time.Second * 4 / 5) {
		for p.fillToken(dir, t) != nil && p.sleep(5*time.Second) {
		}
	}
}
