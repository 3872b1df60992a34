package kubelet

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/pki"
)

// Limits of one exec or port-forward: idle for an hour, and half a minute to open its streams. A kubelet's are 4 h and 30 s.
const (
	streamIdle   = time.Hour
	streamCreate = 30 * time.Second
)

// serve is the part of the kubelet's HTTP interface the API server uses.
func (k *Kubelet) serve() error {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{ns}/{pod}/{container}", k.with(serveExec))
	mux.HandleFunc("/exec/{ns}/{pod}/{uid}/{container}", k.with(serveExec))
	mux.HandleFunc("/portForward/{ns}/{pod}", k.with(servePortForward))
	mux.HandleFunc("/portForward/{ns}/{pod}/{uid}", k.with(servePortForward))
	mux.HandleFunc("/containerLogs/{ns}/{pod}/{container}", k.with(serveLog))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	at := func(kind string) string { return filepath.Join(k.l.PKI(), pki.KubeletOf(k.node)+kind) }
	srv := &http.Server{
		Addr: net.JoinHostPort(k.node.IP, strconv.Itoa(layout.KubeletPort)), Handler: mux,
		// An SPDY upgrade cannot happen on an HTTP/2 connection.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return srv.ListenAndServeTLS(at(".crt"), at(".key"))
}

func (k *Kubelet) with(f func(*pod, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := k.byName(r.PathValue("ns"), r.PathValue("pod"))
		if p == nil {
			http.Error(w, "no such pod", http.StatusNotFound)
			return
		}
		f(p, w, r)
	}
}

func serveExec(p *pod, w http.ResponseWriter, r *http.Request) {
	o, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, streams{p}, p.api.Name, string(p.api.UID), r.PathValue("container"), r.URL.Query()["command"],
		o, streamIdle, streamCreate, remotecommand.SupportedStreamingProtocols)
}

func servePortForward(p *pod, w http.ResponseWriter, r *http.Request) {
	o, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, streams{p}, p.api.Name, string(p.api.UID), o, streamIdle, streamCreate, portforward.SupportedProtocols)
}

func serveLog(p *pod, w http.ResponseWriter, r *http.Request) {
	c := p.container(r.PathValue("container"))
	if c == nil {
		http.Error(w, "no such container", http.StatusNotFound)
		return
	}
	p.mu.Lock()
	l, missing := c.log, "container %s has not started"
	if r.URL.Query().Get("previous") == "true" {
		l, missing = c.older, "previous terminated container %s not found"
	}
	p.mu.Unlock()
	if l == nil {
		http.Error(w, fmt.Sprintf(missing, c.c.Name), http.StatusBadRequest)
		return
	}
	l.serve(p.ctx, w, r)
}

// container finds one by name; without a name the first that is not an init container.
func (p *pod) container(name string) *container {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.containers {
		if c.c.Name == name || name == "" && !c.init {
			return c
		}
	}
	return nil
}
