// Package pki writes one certificate authority and everything that hangs from it: the API server's and the kubelet's
// certificates, service account keys, and a kubeconfig per user. The keys guard a cluster nobody can reach from outside its
// network namespace; they are made anew for each cluster.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"fairway.dev/conformance/cluster/layout"
)

// Life of every certificate: longer than any cluster, short enough to be harmless.
const life = 30 * 24 * time.Hour

// authority signs into one folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// KubeletOf names the certificate a node's kubelet serves with.
func KubeletOf(n layout.Node) string { return "kubelet-" + n.Name }

// Write fills the folder of keys, certificates and kubeconfigs.
func Write(l layout.Layout) error {
	a := &authority{dir: l.PKI()}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	if err := a.makeRoot(); err != nil {
		return err
	}
	admins := []string{"system:masters"}
	for _, leaf := range []struct {
		name, cn string
		orgs     []string
		hosts    []string // a leaf with hosts may serve
	}{
		{"apiserver", "kube-apiserver", nil, []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1", layout.First().IP, layout.APIService}},
		{"apiclient", "apiserver-kubelet-client", admins, nil},
		{"echo", "echo", nil, []string{"*.svc.cluster.local", "localhost"}}, // the suite's TLS echo ports
		{"admin", "admin", admins, nil},
		{"controllers", "controllers", admins, nil},
		{"proxy", "proxy", admins, nil},
		{"node", "node", admins, nil},
	} {
		if err := a.issue(leaf.name, leaf.cn, leaf.orgs, leaf.hosts); err != nil {
			return err
		}
	}
	for _, n := range layout.Nodes {
		if err := a.issue(KubeletOf(n), n.Name, nil, []string{n.Name, n.IP}); err != nil {
			return err
		}
	}
	for _, user := range []string{"admin", "controllers", "proxy", "node"} {
		if err := a.kubeconfig(user); err != nil {
			return err
		}
	}
	return a.serviceAccountKey()
}

func (a *authority) makeRoot() (err error) {
	if a.key, err = a.newKey("ca"); err != nil {
		return err
	}
	t, err := template("fairway-conformance", nil)
	if err != nil {
		return err
	}
	t.IsCA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, a.key.Public(), a.key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return a.put("ca.crt", "CERTIFICATE", der)
}

func (a *authority) issue(name, cn string, orgs, hosts []string) error {
	key, err := a.newKey(name)
	if err != nil {
		return err
	}
	t, err := template(cn, orgs)
	if err != nil {
		return err
	}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(hosts) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	return a.put(name+".crt", "CERTIFICATE", der)
}

func (a *authority) serviceAccountKey() error {
	key, err := a.newKey("sa")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return a.put("sa.pub", "PUBLIC KEY", der)
}

func (a *authority) kubeconfig(user string) error {
	at := func(name string) string { return filepath.Join(a.dir, name) }
	return os.WriteFile(at(user+".kubeconfig"), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: fairway, cluster: {server: "https://%s:%d", certificate-authority: %q}}]
users: [{name: %s, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: fairway, context: {cluster: fairway, user: %s}}]
current-context: fairway
`, layout.First().IP, layout.APIPort, at("ca.crt"), user, at(user+".crt"), at(user+".key"), user), 0o600)
}

func (a *authority) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, a.put(name+".key", "EC PRIVATE KEY", der)
}

func (a *authority) put(name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func template(cn string, orgs []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: cn, Organization: orgs},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
	}, nil
}
