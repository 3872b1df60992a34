package kubelet

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// How often a container that is not ready yet is asked. A kubelet waits for the pod's own period; a suite that waits is impatient.
const eager = 150 * time.Millisecond

// probes follow a container's startup, readiness and liveness probes through one life of its process.
type probes struct {
	startup, readiness, liveness *v1.Probe
	up, ready                    bool
	notReady, notAlive           int32 // failures in a row
	nextReady, nextLive          time.Time
}

// probe runs as long as the pod does.
func (c *container) probe() {
	if c.init && !c.sidecar() {
		return
	}
	fresh := probes{startup: c.c.StartupProbe, readiness: c.c.ReadinessProbe, liveness: c.c.LivenessProbe}
	if c.im.Stub {
		fresh = probes{}
	}
	now, of := fresh, 0
	for c.p.sleep(eager) {
		c.p.mu.Lock()
		pid, age := c.pid, time.Since(c.since.Time)
		c.p.mu.Unlock()
		if pid != of {
			now, of = fresh, pid
		}
		if pid == 0 || age < eager {
			continue
		}
		before := now
		if !now.look(c.ask, time.Now(), age) {
			c.signal(syscall.SIGKILL)
		}
		if now.up == before.up && now.ready == before.ready {
			continue
		}
		c.p.mu.Lock()
		if c.pid == pid {
			c.up, c.ready = now.up, now.ready
		}
		c.p.mu.Unlock()
		c.p.changed()
	}
}

// look asks whatever is due; false: the liveness probe has failed for good.
func (b *probes) look(ask func(*v1.Probe) bool, now time.Time, age time.Duration) (alive bool) {
	if !b.up {
		b.up = b.startup == nil || ask(b.startup)
	}
	if !b.up {
		return true
	}
	if !b.ready || now.After(b.nextReady) {
		if b.readiness == nil || ask(b.readiness) {
			b.ready, b.notReady = true, 0
		} else if b.notReady++; b.notReady >= max(1, b.readiness.FailureThreshold) {
			b.ready = false
		}
		b.nextReady = now.Add(period(b.readiness))
	}
	if b.liveness == nil || !now.After(b.nextLive) || age <= time.Duration(b.liveness.InitialDelaySeconds)*time.Second {
		return true
	}
	b.nextLive = now.Add(period(b.liveness))
	if ask(b.liveness) {
		b.notAlive = 0
		return true
	}
	b.notAlive++
	return b.notAlive < max(1, b.liveness.FailureThreshold)
}

func period(b *v1.Probe) time.Duration {
	if b == nil {
		return time.Hour
	}
	return max(1, time.Duration(b.PeriodSeconds)) * time.Second
}

// port resolves a probe's port, which may be the name of one of the container's.
func (c *container) port(v intstr.IntOrString) string {
	if v.Type == intstr.Int {
		return strconv.Itoa(v.IntValue())
	}
	for _, q := range c.c.Ports {
		if q.Name == v.StrVal {
			return strconv.Itoa(int(q.ContainerPort))
		}
	}
	return v.StrVal
}

// ask runs one probe.
func (c *container) ask(b *v1.Probe) bool {
	ctx, cancel := context.WithTimeout(c.p.ctx, max(1, time.Duration(b.TimeoutSeconds))*time.Second)
	defer cancel()
	switch {
	case b.HTTPGet != nil:
		return c.askHTTP(ctx, b.HTTPGet)
	case b.TCPSocket != nil:
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(c.p.ip, c.port(b.TCPSocket.Port)))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	case b.GRPC != nil:
		return askGRPC(ctx, net.JoinHostPort(c.p.ip, strconv.Itoa(int(b.GRPC.Port))), b.GRPC.Service)
	case b.Exec != nil:
		cmd, err := c.command(ctx, b.Exec.Command)
		return err == nil && cmd.Run() == nil
	}
	return true
}

// probeClient takes any certificate and follows no redirect, as a kubelet does.
var probeClient = http.Client{
	Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func (c *container) askHTTP(ctx context.Context, get *v1.HTTPGetAction) bool {
	scheme, host, path := "http", c.p.ip, get.Path
	if get.Scheme == v1.URISchemeHTTPS {
		scheme = "https"
	}
	if get.Host != "" {
		host = get.Host
	}
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, c.port(get.Port))+path, nil)
	if err != nil {
		return false
	}
	r.Header.Set("User-Agent", "kube-probe/fairway")
	for _, h := range get.HTTPHeaders {
		if r.Header.Set(h.Name, h.Value); h.Name == "Host" {
			r.Host = h.Value
		}
	}
	a, err := probeClient.Do(r)
	if err != nil {
		return false
	}
	a.Body.Close()
	return a.StatusCode >= 200 && a.StatusCode < 400
}

// askGRPC asks the health service of the gRPC health checking protocol.
func askGRPC(ctx context.Context, address string, service *string) bool {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer conn.Close()
	q := &grpc_health_v1.HealthCheckRequest{}
	if service != nil {
		q.Service = *service
	}
	a, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, q)
	return err == nil && a.Status == grpc_health_v1.HealthCheckResponse_SERVING
}
