// Package discovery boots istiod's own server (the code behind `pilot-discovery discovery`) on a
// Kubernetes client it is given. Nothing of istiod is copied or changed.
//
// Invariant: the environment was entered (EnterEnvironment) before this process initialised; see there.
package discovery

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"istio.io/istio/pilot/pkg/bootstrap"
	kubecontroller "istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pkg/config/constants"
	kubelib "istio.io/istio/pkg/kube"
	istiolog "istio.io/istio/pkg/log"
)

const (
	// Namespace is where the control plane lives.
	Namespace = "istio-system"
	// ClusterID is the chart's default; proxies send it with every request.
	ClusterID = "Kubernetes"

	podName  = "istiod-0"
	revision = "default"
	noFile   = "/nonexistent" // mesh configuration comes from the ConfigMap, as without mounts
)

// Addresses to listen on. An empty Secure or Monitoring address is not served.
type Addresses struct{ Secure, Monitoring string }

// Server is a running istiod.
type Server struct{ istiod *bootstrap.Server }

// Start boots istiod and returns when it serves. What the client holds by now is in its first push.
func Start(client kubelib.Client, listen Addresses, stop <-chan struct{}) (*Server, error) {
	s, err := bootstrap.NewServer(arguments(listen), func(s *bootstrap.Server) { useClient(s, client) })
	if err != nil {
		return nil, err
	}
	if s.CA == nil {
		return nil, fmt.Errorf("istiod made no CA: is ENABLE_CA_SERVER off?")
	}
	if err := s.Start(stop); err != nil {
		return nil, err
	}
	return &Server{s}, nil
}

func arguments(listen Addresses) *bootstrap.PilotArgs {
	return bootstrap.NewPilotArgs(func(p *bootstrap.PilotArgs) {
		p.Namespace = Namespace
		p.PodName = podName
		p.Revision = revision
		p.ServerOptions = bootstrap.DiscoveryServerOptions{
			// istiod also wants its plain port (health, debug, unauthenticated xDS): nobody is told of it.
			HTTPAddr:       "127.0.0.1:0",
			MonitoringAddr: listen.Monitoring,
			SecureGRPCAddr: listen.Secure,
		}
		p.RegistryOptions = bootstrap.RegistryOptions{
			Registries: []string{"Kubernetes"},
			KubeOptions: kubecontroller.Options{
				DomainSuffix: constants.DefaultClusterLocalDomain, ClusterID: ClusterID, Revision: revision,
			},
			ClusterRegistriesNamespace: Namespace,
		}
		p.MeshConfigFile, p.NetworksConfigFile = noFile, noFile
		p.ShutdownDuration = time.Second
	})
}

// useClient sets a private field. istiod's own tests do the same from inside the package; from
// outside there is no other way to give it a client that is not made from a kubeconfig.
func useClient(s *bootstrap.Server, client kubelib.Client) {
	f := reflect.ValueOf(s).Elem().FieldByName("kubeClient")
	reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(client))
}

// RootCert is the root certificate of istiod's CA, in PEM.
func (s *Server) RootCert() string {
	return string(s.istiod.CA.GetCAKeyCertBundle().GetRootCertPem())
}

// Settle waits until istiod has committed everything it received and nothing new came for quiet.
func (s *Server) Settle(quiet, limit time.Duration) error {
	last, since := int64(-1), time.Now()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		in, done := s.istiod.XDSServer.InboundUpdates.Load(), s.istiod.XDSServer.CommittedUpdates.Load()
		if in != last {
			last, since = in, time.Now()
		}
		if done >= in && time.Since(since) >= quiet {
			return nil
		}
	}
	return fmt.Errorf("istiod did not settle within %s", limit)
}

// Log sends istiod's log to stderr, from level (none, error, warn, info, debug) upwards.
func Log(level string) error {
	levels := map[string]istiolog.Level{
		"none": istiolog.NoneLevel, "error": istiolog.ErrorLevel, "warn": istiolog.WarnLevel,
		"info": istiolog.InfoLevel, "debug": istiolog.DebugLevel,
	}
	l, ok := levels[level]
	if !ok {
		return fmt.Errorf("log level %q: want none, error, warn, info or debug", level)
	}
	o := istiolog.DefaultOptions()
	o.OutputPaths, o.ErrorOutputPaths = []string{"stderr"}, []string{"stderr"}
	o.SetDefaultOutputLevel(istiolog.OverrideScopeName, l)
	return istiolog.Configure(o)
}
