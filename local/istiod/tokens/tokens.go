// Package tokens is the API server's TokenReview: it checks Kubernetes service account tokens, which
// are JWTs signed by whoever runs the cluster (fairway, with a key of its own).
//
// Invariant: no claim is looked at before the signature has been verified.
package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// issuer is what an API server with default settings calls itself.
const issuer = "https://kubernetes.default.svc"

// The keys under which a TokenReview names the pod a token is bound to.
const (
	podNameExtra = "authentication.kubernetes.io/pod-name"
	podUIDExtra  = "authentication.kubernetes.io/pod-uid"
)

// Verifier checks tokens against one key.
type Verifier struct {
	key *ecdsa.PublicKey
	now func() time.Time
}

// claims are those of a bound service account token.
type claims struct {
	jwt.Claims
	Kubernetes kubernetesClaims `json:"kubernetes.io"`
}

type kubernetesClaims struct {
	Namespace      string    `json:"namespace"`
	ServiceAccount reference `json:"serviceaccount"`
	Pod            reference `json:"pod,omitzero"`
}

type reference struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// NewVerifier checks ES256 signatures by key at the time now returns.
func NewVerifier(key *ecdsa.PublicKey, now func() time.Time) *Verifier { return &Verifier{key, now} }

// ReadKey reads a P-256 public key in PEM (SubjectPublicKeyInfo).
func ReadKey(file string) (*ecdsa.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", file)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s: not a P-256 key, which ES256 needs", file)
	}
	return key, nil
}

// Review answers a TokenReview. bound tells whether the pod a token is bound to still exists.
func (v *Verifier) Review(token string, audiences []string, bound func(namespace, pod, uid string) bool) authenticationv1.TokenReviewStatus {
	c, accepted, err := v.verify(token, audiences)
	if err == nil && c.Kubernetes.Pod.Name != "" && !bound(c.Kubernetes.Namespace, c.Kubernetes.Pod.Name, c.Kubernetes.Pod.UID) {
		err = fmt.Errorf("pod %s/%s with uid %s does not exist", c.Kubernetes.Namespace, c.Kubernetes.Pod.Name, c.Kubernetes.Pod.UID)
	}
	if err != nil {
		return authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, " + err.Error() + "]"}
	}
	k := c.Kubernetes
	user := authenticationv1.UserInfo{
		Username: c.Subject, UID: k.ServiceAccount.UID,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + k.Namespace, "system:authenticated"},
	}
	if k.Pod.Name != "" {
		user.Extra = map[string]authenticationv1.ExtraValue{podNameExtra: {k.Pod.Name}, podUIDExtra: {k.Pod.UID}}
	}
	return authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: accepted, User: user}
}

// verify returns the claims of a good token and which of the audiences asked for it is meant for.
func (v *Verifier) verify(token string, audiences []string) (*claims, []string, error) {
	parsed, err := jwt.ParseSigned(strings.TrimSpace(token), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, nil, err
	}
	var c claims
	if err := parsed.Claims(v.key, &c); err != nil {
		return nil, nil, err
	}
	if c.Expiry == nil {
		return nil, nil, errors.New("service account token never expires (exp)")
	}
	if err := c.ValidateWithLeeway(jwt.Expected{Issuer: issuer, Time: v.now()}, 0); err != nil {
		return nil, nil, err
	}
	var accepted []string
	for _, a := range audiences {
		if slices.Contains(c.Audience, a) {
			accepted = append(accepted, a)
		}
	}
	if len(accepted) == 0 {
		return nil, nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", c.Audience, audiences)
	}
	if want := "system:serviceaccount:" + c.Kubernetes.Namespace + ":" + c.Kubernetes.ServiceAccount.Name; c.Subject != want {
		return nil, nil, fmt.Errorf("subject %q is not the service account of its claims, %q", c.Subject, want)
	}
	return &c, accepted, nil
}
