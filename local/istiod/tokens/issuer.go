package tokens

import (
	"crypto/ecdsa"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Audience is the one istiod asks for and proxies request their tokens with.
const Audience = "istio-ca"

// Pod identifies the pod a token is bound to.
type Pod struct{ Name, UID string }

// Issuer signs tokens as an API server's TokenRequest does. `serve` never uses it: there fairway holds
// the private key.
type Issuer struct {
	Key      *ecdsa.PrivateKey
	Now      func() time.Time
	Lifetime time.Duration
}

// Token is a token of a service account, bound to pod unless that is zero.
func (i Issuer) Token(namespace, account string, pod Pod) (string, error) {
	now := i.Now()
	return i.sign(claims{
		Claims: jwt.Claims{
			Issuer: issuer, Subject: "system:serviceaccount:" + namespace + ":" + account, Audience: jwt.Audience{Audience},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(i.Lifetime)),
		},
		Kubernetes: kubernetesClaims{
			Namespace: namespace, ServiceAccount: reference{Name: account}, Pod: reference{pod.Name, pod.UID},
		},
	})
}

func (i Issuer) sign(c claims) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.Key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(c).Serialize()
}
