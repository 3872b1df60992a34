package kubelet

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"fairway.dev/conformance/cluster/layout"
)

var reference = regexp.MustCompile(`\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\)`)

// expand replaces $(NAME) as the API promises: unknown names stay, $$ is $.
func expand(s string, env map[string]string) string {
	return reference.ReplaceAllStringFunc(s, func(m string) string {
		if m == "$$" {
			return "$"
		}
		if v, ok := env[m[2:len(m)-1]]; ok {
			return v
		}
		return m
	})
}

func expandAll(words []string, env map[string]string) []string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		out = append(out, expand(w, env))
	}
	return out
}

// environment is everything a container's process sees: the API server's address, the table's, the pod's.
func (p *pod) environment(c *v1.Container, im *Image) (map[string]string, error) {
	env := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "HOSTNAME": p.api.Name,
		"KUBERNETES_SERVICE_HOST": layout.APIService, "KUBERNETES_SERVICE_PORT": "443", "KUBERNETES_SERVICE_PORT_HTTPS": "443",
	}
	maps.Copy(env, im.Env)
	for _, f := range c.EnvFrom {
		if err := p.addAll(env, f); err != nil {
			return nil, err
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			env[e.Name] = expand(e.Value, env)
			continue
		}
		v, found, err := p.valueFrom(c, e.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", e.Name, err)
		}
		if found {
			env[e.Name] = v
		}
	}
	return env, nil
}

// addAll adds a whole ConfigMap or Secret to env.
func (p *pod) addAll(env map[string]string, f v1.EnvFromSource) error {
	if r := f.ConfigMapRef; r != nil {
		data, err := p.configMapData(r.Name, r.Optional)
		if err != nil {
			return err
		}
		for k, v := range data {
			env[f.Prefix+k] = string(v)
		}
	}
	if r := f.SecretRef; r != nil {
		data, err := p.secretData(r.Name, r.Optional)
		if err != nil {
			return err
		}
		for k, v := range data {
			env[f.Prefix+k] = string(v)
		}
	}
	return nil
}

func (p *pod) valueFrom(c *v1.Container, f *v1.EnvVarSource) (value string, found bool, err error) {
	var data map[string][]byte
	var key string
	switch {
	case f.FieldRef != nil:
		return p.field(f.FieldRef.FieldPath), true, nil
	case f.ResourceFieldRef != nil:
		return resourceOf(c, f.ResourceFieldRef), true, nil
	case f.ConfigMapKeyRef != nil:
		key = f.ConfigMapKeyRef.Key
		data, err = p.configMapData(f.ConfigMapKeyRef.Name, f.ConfigMapKeyRef.Optional)
	case f.SecretKeyRef != nil:
		key = f.SecretKeyRef.Key
		data, err = p.secretData(f.SecretKeyRef.Name, f.SecretKeyRef.Optional)
	}
	v, found := data[key]
	return string(v), found, err
}

// field is the downward API.
func (p *pod) field(path string) string {
	a := p.api
	p.mu.Lock()
	labels, notes := p.labels, p.notes
	p.mu.Unlock()
	switch path {
	case "metadata.name":
		return a.Name
	case "metadata.namespace":
		return a.Namespace
	case "metadata.uid":
		return string(a.UID)
	case "spec.nodeName":
		return p.k.node.Name
	case "spec.serviceAccountName":
		return a.Spec.ServiceAccountName
	case "status.podIP", "status.podIPs":
		return p.ip
	case "status.hostIP", "status.hostIPs":
		return p.k.node.IP
	case "metadata.labels":
		return quoted(labels)
	case "metadata.annotations":
		return quoted(notes)
	}
	if what, key, ok := strings.Cut(path, "['"); ok {
		key = strings.TrimSuffix(key, "']")
		switch what {
		case "metadata.labels":
			return labels[key]
		case "metadata.annotations":
			return notes[key]
		}
	}
	return ""
}

func quoted(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%q\n", k, m[k])
	}
	return b.String()
}

// resourceOf is a container's limit or request in the wanted unit, rounded up; without a limit the node's size.
func resourceOf(c *v1.Container, r *v1.ResourceFieldSelector) string {
	kind, name, _ := strings.Cut(r.Resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = c.Resources.Requests
	}
	q, ok := list[v1.ResourceName(name)]
	if !ok && kind == "limits" {
		q = capacity(v1.ResourceName(name))
	}
	unit := r.Divisor
	if unit.IsZero() {
		unit = resource.MustParse("1")
	}
	have, per := q.MilliValue(), unit.MilliValue()
	if have > 1<<53 || per == 0 { // memory in thousandths does not fit
		have, per = q.Value(), max(1, unit.Value())
	}
	return strconv.FormatInt((have+per-1)/per, 10)
}
