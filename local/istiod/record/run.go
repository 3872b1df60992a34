// Package record runs a scenario through istiod and writes down what it sends to each proxy: golden
// streams, to develop and test a data plane without a cluster.
//
// A scenario is YAML (package scenario); a stream is the responses of one delta ADS connection, made
// comparable between runs. Invariant: the client asks as the real proxy does, so the answers are real.
package record

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"fairway.dev/local/istiod/cluster"
	"fairway.dev/local/istiod/discovery"
	"fairway.dev/local/istiod/scenario"
	"fairway.dev/local/istiod/tokens"
)

// limit is how long a step may take to come to rest.
const limit = 2 * time.Minute

// Options of one run.
type Options struct {
	Steps   []string      // YAML files
	Out     string        // directory
	Proxies []string      // as Proxy prints itself; empty: all
	Quiet   time.Duration // a step is over when nothing arrived for this long
	Compact bool
}

// run is the state of one recording.
type run struct {
	options   Options
	world     *scenario.World
	cluster   *cluster.Cluster
	server    *discovery.Server
	address   string
	issuer    tokens.Issuer
	recorders map[string]*Recorder
}

// Run records all steps. The environment must have been entered (discovery.EnterEnvironment).
func Run(ctx context.Context, o Options) error {
	r := &run{options: o, world: scenario.New(), recorders: map[string]*Recorder{}}
	if err := r.start(); err != nil {
		return err
	}
	for i := range o.Steps {
		step := fmt.Sprintf("step-%d", i+1)
		if i > 0 {
			for _, rec := range r.recorders {
				rec.Mark(step)
			}
			if err := r.apply(o.Steps[i]); err != nil {
				return err
			}
			if err := r.settle(); err != nil {
				return err
			}
		}
		if err := r.connect(ctx, step); err != nil {
			return err
		}
		if err := r.settle(); err != nil {
			return err
		}
	}
	return r.save()
}

// start boots istiod on the first step.
func (r *run) start() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	r.issuer = tokens.Issuer{Key: key, Now: time.Now, Lifetime: time.Hour}
	r.cluster, err = cluster.New(cluster.Options{Tokens: tokens.NewVerifier(&key.PublicKey, time.Now), Now: time.Now})
	if err != nil {
		return err
	}
	if err := r.apply(r.options.Steps[0]); err != nil {
		return err
	}
	if r.address, err = freeAddress(); err != nil {
		return err
	}
	r.server, err = discovery.Start(r.cluster.Client(), discovery.Addresses{Secure: r.address}, make(chan struct{}))
	if err != nil {
		return err
	}
	return r.server.Settle(r.options.Quiet, limit)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (r *run) apply(file string) error {
	docs, err := scenario.Read(file)
	if err != nil {
		return err
	}
	if err := r.world.Apply(docs); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	changed, gone := r.world.Difference()
	result := r.cluster.Apply(changed)
	for _, w := range result.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	if len(result.Rejected) > 0 {
		first := result.Rejected[0]
		return fmt.Errorf("%s: %s %s/%s: %s: %s", file, first.Kind, first.Namespace, first.Name, first.Field, first.Message)
	}
	for _, k := range gone {
		if err := r.cluster.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// connect starts recording the proxies that appeared.
func (r *run) connect(ctx context.Context, step string) error {
	for _, p := range Proxies(r.world.Objects()) {
		wanted := len(r.options.Proxies) == 0 || slices.Contains(r.options.Proxies, p.String())
		if !wanted || r.recorders[p.String()] != nil {
			continue
		}
		token, err := r.issuer.Token(p.Namespace, p.Account(), tokens.Pod{})
		if err != nil {
			return err
		}
		conn, err := Connect(r.address, r.server.RootCert(), token)
		if err != nil {
			return err
		}
		if r.recorders[p.String()], err = NewRecorder(ctx, conn, p, step); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until istiod and all streams are at rest.
func (r *run) settle() error {
	if err := r.server.Settle(r.options.Quiet, limit); err != nil {
		return err
	}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		busy := slices.ContainsFunc(slices.Collect(maps.Values(r.recorders)), func(rec *Recorder) bool {
			return rec.Idle() < r.options.Quiet
		})
		if !busy {
			return nil
		}
	}
	return fmt.Errorf("the streams did not come to rest within %s", limit)
}

func (r *run) save() error {
	for _, rec := range r.recorders {
		if err := rec.Save(filepath.Join(r.options.Out, rec.Proxy.Directory()), r.options.Compact); err != nil {
			return err
		}
	}
	if r.options.Compact {
		return nil
	}
	return r.saveObjects(filepath.Join(r.options.Out, "objects.yaml"))
}

// saveObjects stores the last step's objects for readers who want to see addresses: all that the
// user's own files do not show.
func (r *run) saveObjects(file string) error {
	objects := r.world.Objects()
	keys := slices.SortedFunc(maps.Keys(objects), func(a, b cluster.Key) int {
		return strings.Compare(a.Namespace+"\x00"+qualified(a)+"\x00"+a.Name, b.Namespace+"\x00"+qualified(b)+"\x00"+b.Name)
	})
	var buf bytes.Buffer
	buf.WriteString("# Generated by fairway-istiod record: what a cluster adds to the files beside this one, as of the last step.\n")
	for _, k := range keys {
		if r.world.Applied(k) && k.Kind != "Service" && k.Kind != "Pod" {
			continue
		}
		text, err := yaml.Marshal(objects[k])
		if err != nil {
			return err
		}
		buf.WriteString("---\n")
		buf.Write(text)
	}
	return os.WriteFile(file, buf.Bytes(), 0o644)
}

func qualified(k cluster.Key) string {
	if k.Group == "" {
		return k.Kind
	}
	return k.Group + "/" + k.Kind
}
