package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"google.golang.org/grpc"

	"fairway.dev/local/istiod/record"
	"fairway.dev/local/istiod/tokens"
)

// deadline is how long anything may take; what is waited for normally comes within a second.
const deadline = 90 * time.Second

// mesh is a running `serve`, fed as fairway feeds it.
type mesh struct {
	t          *testing.T
	process    *exec.Cmd
	conn       net.Conn
	root       string // set by ready
	secure     string
	monitoring string
	issuer     tokens.Issuer

	mu    sync.Mutex
	lines []map[string]any
	next  int64
}

func startMesh(t *testing.T) *mesh {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "istiod") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	keyFile, socket := filepath.Join(dir, "key.pem"), filepath.Join(dir, "socket")
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	m := &mesh{
		t: t, secure: freeAddress(t), monitoring: freeAddress(t),
		issuer: tokens.Issuer{Key: key, Now: time.Now, Lifetime: time.Hour},
	}
	m.process = program(t, "serve", "--socket", socket, "--secure-addr", m.secure, "--monitoring-addr", m.monitoring, "--token-key", keyFile)
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.process.Process.Kill() })
	if err := listener.(*net.UnixListener).SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	if m.conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	go m.listen()
	return m
}

// program is this test binary as fairway-istiod.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (m *mesh) listen() {
	lines := bufio.NewScanner(m.conn)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			line = map[string]any{"event": "unreadable", "text": lines.Text()}
		}
		m.mu.Lock()
		m.lines = append(m.lines, line)
		m.mu.Unlock()
	}
}

// feed sends one line and returns the reply.
func (m *mesh) feed(apply []map[string]any, remove []map[string]any) map[string]any {
	m.t.Helper()
	m.next++
	id := m.next
	line, err := json.Marshal(map[string]any{"id": id, "apply": apply, "delete": remove})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.conn.Write(append(line, '\n')); err != nil {
		m.t.Fatal(err)
	}
	return m.await(fmt.Sprintf("reply %d", id), func(l map[string]any) bool { return l["id"] == float64(id) })
}

// apply feeds YAML that must be accepted.
func (m *mesh) apply(text string) {
	m.t.Helper()
	if r := m.feed(documents(m.t, text), nil); fmt.Sprint(r["rejected"]) != "[]" {
		m.t.Fatalf("rejected: %v", r)
	}
}

// await returns the first line that is wanted, also among those received before.
func (m *mesh) await(what string, wanted func(map[string]any) bool) map[string]any {
	m.t.Helper()
	var found map[string]any
	eventually(m.t, what, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, l := range m.lines {
			if wanted(l) {
				found = l
				return nil
			}
		}
		return fmt.Errorf("not among %d lines", len(m.lines))
	})
	return found
}

// condition waits until istiod has written a condition into an object's status.
func (m *mesh) condition(kind, name, condition, status string) {
	m.t.Helper()
	m.await(fmt.Sprintf("%s %s: %s=%s", kind, name, condition, status), func(l map[string]any) bool {
		o, _ := l["object"].(map[string]any)
		metadata, _ := o["metadata"].(map[string]any)
		if o["kind"] != kind || metadata["name"] != name {
			return false
		}
		return hasCondition(o["status"], condition, status)
	})
}

// hasCondition looks anywhere below a status: routes keep conditions per parent.
func hasCondition(v any, condition, status string) bool {
	switch x := v.(type) {
	case map[string]any:
		if x["type"] == condition && x["status"] == status {
			return true
		}
		for _, e := range x {
			if hasCondition(e, condition, status) {
				return true
			}
		}
	case []any:
		for _, e := range x {
			if hasCondition(e, condition, status) {
				return true
			}
		}
	}
	return false
}

func (m *mesh) ready() {
	m.t.Helper()
	m.root, _ = m.await("ready", func(l map[string]any) bool { return l["event"] == "ready" })["rootCert"].(string)
}

// connect opens a channel as the given pod's process would.
func (m *mesh) connect(namespace, account string, pod tokens.Pod) *grpc.ClientConn {
	m.t.Helper()
	token, err := m.issuer.Token(namespace, account, pod)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.connectWith(token)
}

func (m *mesh) connectWith(token string) *grpc.ClientConn {
	m.t.Helper()
	conn, err := record.Connect(m.secure, m.root, token)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

// eventually polls until f succeeds.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	start := time.Now()
	var err error
	for time.Since(start) < deadline {
		if err = f(); err == nil {
			t.Logf("%s after %s", what, time.Since(start).Round(time.Millisecond))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: %v", what, err)
}

// documents reads a YAML list of objects.
func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var docs []map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &docs); err != nil {
		t.Fatal(err)
	}
	return docs
}
