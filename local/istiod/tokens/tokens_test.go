package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

var now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestReview(t *testing.T) {
	key := newKey(t)
	issue := Issuer{Key: key, Now: func() time.Time { return now }, Lifetime: time.Hour}
	verifier := NewVerifier(&key.PublicKey, func() time.Time { return now })
	bound := func(namespace, pod, uid string) bool { return namespace == "shop" && pod == "cart-1" && uid == "u1" }
	good := claims{
		Claims: jwt.Claims{
			Issuer: issuer, Subject: "system:serviceaccount:shop:cart", Audience: jwt.Audience{Audience},
			NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
		},
		Kubernetes: kubernetesClaims{Namespace: "shop", ServiceAccount: reference{Name: "cart"}, Pod: reference{"cart-1", "u1"}},
	}
	for _, c := range []struct {
		name   string
		change func(*claims)
		refuse string
	}{
		{"good", func(*claims) {}, ""},
		{"not bound to a pod", func(c *claims) { c.Kubernetes.Pod = reference{} }, ""},
		{"one audience of several", func(c *claims) { c.Audience = jwt.Audience{"vault", Audience} }, ""},
		{"expired", func(c *claims) { c.Expiry = jwt.NewNumericDate(now.Add(-time.Second)) }, "expired"},
		{"never expires", func(c *claims) { c.Expiry = nil }, "never expires"},
		{"not yet valid", func(c *claims) { c.NotBefore = jwt.NewNumericDate(now.Add(time.Minute)) }, "not valid yet"},
		{"other audience", func(c *claims) { c.Audience = jwt.Audience{"vault"} }, "audiences"},
		{"no audience", func(c *claims) { c.Audience = nil }, "audiences"},
		{"other issuer", func(c *claims) { c.Issuer = "https://example.com" }, "issuer"},
		{"subject of another account", func(c *claims) { c.Subject = "system:serviceaccount:shop:admin" }, "subject"},
		{"pod replaced", func(c *claims) { c.Kubernetes.Pod.UID = "u0" }, "does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := good
			c.change(&cl)
			token, err := issue.sign(cl)
			if err != nil {
				t.Fatal(err)
			}
			check(t, verifier, token, bound, c.refuse)
		})
	}
	stranger := Issuer{Key: newKey(t), Now: issue.Now, Lifetime: time.Hour}
	forged, err := stranger.Token("shop", "cart", Pod{"cart-1", "u1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"wrong key": forged,
		// {"alg":"none"} and the claims of a good token, unsigned
		"unsigned": "eyJhbGciOiJub25lIn0." + strings.Split(forged, ".")[1] + ".",
		"no JWT":   "shop/cart/cart-1",
		"empty":    "",
	} {
		t.Run(name, func(t *testing.T) { check(t, verifier, token, bound, "invalid bearer token") })
	}
}

func check(t *testing.T, v *Verifier, token string, bound func(namespace, pod, uid string) bool, refuse string) {
	t.Helper()
	status := v.Review(token, []string{Audience}, bound)
	if refuse != "" {
		if status.Authenticated || !strings.Contains(status.Error, refuse) {
			t.Errorf("got %+v, want an error with %q", status, refuse)
		}
		return
	}
	if !status.Authenticated || status.User.Username != "system:serviceaccount:shop:cart" || len(status.Audiences) != 1 {
		t.Errorf("got %+v, want shop/cart authenticated for one audience", status)
	}
}

// What Token makes, Review takes; the pod travels along for istiod's node authorizer.
func TestTokenIsAccepted(t *testing.T) {
	key := newKey(t)
	token, err := Issuer{Key: key, Now: time.Now, Lifetime: time.Hour}.Token("shop", "cart", Pod{"cart-1", "u1"})
	if err != nil {
		t.Fatal(err)
	}
	status := NewVerifier(&key.PublicKey, time.Now).Review(token, []string{Audience}, func(_, _, _ string) bool { return true })
	if !status.Authenticated {
		t.Fatal(status.Error)
	}
	if pod, uid := status.User.Extra[podNameExtra], status.User.Extra[podUIDExtra]; pod[0] != "cart-1" || uid[0] != "u1" {
		t.Errorf("pod %v uid %v", pod, uid)
	}
}

func TestReadKey(t *testing.T) {
	write := func(block *pem.Block) string {
		file := filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	spki := func(curve elliptic.Curve) []byte {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	if _, err := ReadKey(write(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(elliptic.P256())})); err != nil {
		t.Error(err)
	}
	for name, file := range map[string]string{
		"P-384":      write(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(elliptic.P384())}),
		"no key":     write(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
		"no PEM":     os.DevNull,
		"not a file": filepath.Join(t.TempDir(), "absent"),
	} {
		if _, err := ReadKey(file); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
