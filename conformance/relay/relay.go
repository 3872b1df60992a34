// Package relay stands between one proxy and istiod and edits what istiod sends. It exists for negative controls: the product has no
// switch to be wrong, so a wrong proxy is made from a right one by lying to it.
//
// It runs in the proxy's container in the proxy's place, starts the proxy as its child, and shows it a loopback address as istiod's.
// The certificate authority is not relayed.
package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const (
	listenAt = "127.0.0.1:15099"
	rootCert = "/var/run/secrets/istio/root-cert.pem"
	// deltaMethod is the one stream whose responses are edited.
	deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	// maxMessage: istiod's responses have no bound of their own, and a whole mesh fits easily.
	maxMessage = 200 << 20
	// istiod's address where the pod's environment does not say.
	istiodAddress = "istiod.istio-system.svc:15012"
)

// Run relays until the proxy ends, and returns the proxy's exit code.
func Run(edit Edit, argv []string) (int, error) {
	environment, istiod, err := redirect(os.Environ())
	if err != nil {
		return 0, err
	}
	upstream, err := connect(istiod)
	if err != nil {
		return 0, err
	}
	defer upstream.Close()
	listener, err := net.Listen("tcp", listenAt)
	if err != nil {
		return 0, err
	}
	pipe := &pipe{edit: edit, upstream: upstream}
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(pipe.handle),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Print("relay: ", err)
		}
	}()
	defer server.Stop()
	log.Printf("relay: %s between %s and %s", edit, argv[0], istiod)
	return runProxy(argv, environment)
}

// redirect changes the discovery address in a pod's environment and returns the one that was there.
func redirect(environment []string) (changed []string, istiod string, err error) {
	const name = "PROXY_CONFIG="
	config := map[string]any{}
	for _, e := range environment {
		text, found := strings.CutPrefix(e, name)
		if !found {
			changed = append(changed, e)
			continue
		}
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			return nil, "", fmt.Errorf("PROXY_CONFIG: %w", err)
		}
	}
	istiod, _ = config["discoveryAddress"].(string)
	if istiod == "" {
		istiod = istiodAddress
	}
	config["discoveryAddress"] = "http://" + listenAt
	b, err := json.Marshal(config)
	if err != nil {
		return nil, "", err
	}
	return append(changed, name+string(b)), istiod, nil
}

func connect(istiod string) (*grpc.ClientConn, error) {
	pem, err := os.ReadFile(rootCert)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", rootCert)
	}
	return grpc.NewClient("passthrough:///"+istiod, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
}

// runProxy runs the proxy, hands on the signals that end it, and waits.
func runProxy(argv, environment []string) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
