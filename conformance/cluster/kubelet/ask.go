package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ask runs one probe.
func (c *container) ask(b *v1.Probe) bool {
	ctx, cancel := context.WithTimeout(c.p.ctx, max(1, time.Duration(b.TimeoutSeconds))*time.Second)
	defer cancel()
	switch {
	case b.HTTPGet != nil:
		return c.askHTTP(ctx, b.HTTPGet) == nil
	case b.TCPSocket != nil:
		host := b.TCPSocket.Host
		if host == "" {
			host = c.p.ip
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, c.port(b.TCPSocket.Port)))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	case b.GRPC != nil:
		return askGRPC(ctx, net.JoinHostPort(c.p.ip, strconv.Itoa(int(b.GRPC.Port))), b.GRPC.Service)
	case b.Exec != nil:
		return c.runInside(ctx, b.Exec.Command) == nil
	}
	return false // the API server refuses a probe without a handler
}

// hook runs a lifecycle hook.
func (c *container) hook(ctx context.Context, h *v1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		return c.runInside(ctx, h.Exec.Command)
	case h.HTTPGet != nil:
		return c.askHTTP(ctx, h.HTTPGet)
	case h.Sleep != nil:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
			return nil
		}
	}
	return errors.New("this kind of hook does not exist any more") // tcpSocket; a kubelet says so, too
}

// runInside runs a command in the container, whose output nobody wants.
func (c *container) runInside(ctx context.Context, argv []string) error {
	cmd, err := c.command(ctx, argv)
	if err != nil {
		return err
	}
	return c.onPipes(cmd, nil, nil, nil)
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

// probeClient takes any certificate and follows no redirect, as a kubelet does.
var probeClient = http.Client{
	Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func (c *container) askHTTP(ctx context.Context, get *v1.HTTPGetAction) error {
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
		return err
	}
	r.Header.Set("User-Agent", "kube-probe/fairway")
	for _, h := range get.HTTPHeaders {
		if r.Header.Set(h.Name, h.Value); h.Name == "Host" {
			r.Host = h.Value
		}
	}
	a, err := probeClient.Do(r)
	if err != nil {
		return err
	}
	a.Body.Close()
	if a.StatusCode < http.StatusOK || a.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("answered %s", a.Status)
	}
	return nil
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
