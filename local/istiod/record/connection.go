package record

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// ServerName is the name proxies expect in istiod's certificate.
const ServerName = "istiod.istio-system.svc"

// maxMessage is what one response may take; the largest mesh seen sends some ten MiB of clusters.
const maxMessage = 1 << 30

// Connect opens a channel to istiod's secure port, as every proxy does: its root is trusted, its name
// checked, and the token sent along with each call.
func Connect(address, rootCert, token string) (*grpc.ClientConn, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(rootCert)) {
		return nil, errors.New("istiod's root certificate is no PEM")
	}
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: ServerName, MinVersion: tls.VersionTLS12})),
		grpc.WithPerRPCCredentials(bearer(token)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
}

type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b), "clusterid": "Kubernetes"}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return true }

var _ credentials.PerRPCCredentials = bearer("")
