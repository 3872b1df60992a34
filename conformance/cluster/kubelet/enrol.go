package kubelet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// modeLabel on a pod or its namespace puts the pod into the mesh.
const modeLabel = "istio.io/dataplane-mode"

// cniSocket is where istio-cni's node agent listens, as a hostPath.
const cniSocket = "/var/run/istio-cni/pluginevent.sock"

// enrol tells istio-cni's node agent of a new pod, as its CNI plugin would. While no agent listens, pods start outside the mesh;
// the agent finds them when it comes.
func (k *Kubelet) enrol(p *pod, netns string) error {
	mode, ok := p.api.Labels[modeLabel]
	if !ok {
		if n, err := k.namespaces.Get(p.api.Namespace); err == nil {
			mode = n.Labels[modeLabel]
		}
	}
	socket := k.hostPath(cniSocket)
	if _, err := os.Stat(socket); mode != "ambient" || err != nil {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"Netns": "/var" + netns, "PodName": p.api.Name, "PodNamespace": p.api.Namespace,
		"IPs": []any{map[string]any{"Address": net.IPNet{IP: net.ParseIP(p.ip), Mask: net.CIDRMask(32, 32)}}},
	})
	if err != nil {
		return err
	}
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
	r, err := c.Post("http://istio-cni/cmdadd", "application/json", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("istio-cni: %w", err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("istio-cni refused the pod: %s", r.Status)
	}
	return nil
}
