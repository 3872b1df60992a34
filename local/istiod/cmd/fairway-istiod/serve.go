package main

import (
	"net"
	"time"

	"github.com/spf13/cobra"

	"fairway.dev/local/istiod/cluster"
	"fairway.dev/local/istiod/discovery"
	"fairway.dev/local/istiod/feed"
	"fairway.dev/local/istiod/installation"
	"fairway.dev/local/istiod/tokens"
)

type serveFlags struct {
	socket, tokenKey, logLevel string
	listen                     discovery.Addresses
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve xDS and the CA for a cluster fed over a unix socket",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := discovery.EnterEnvironment(nil); err != nil {
				return err
			}
			return serve(f)
		},
	}
	c.Flags().StringVar(&f.socket, "socket", "", "unix socket on which the feeder listens (see package feed); its end ends this process")
	c.Flags().StringVar(&f.listen.Secure, "secure-addr", "127.0.0.1:15012", "xDS and CA over TLS")
	c.Flags().StringVar(&f.listen.Monitoring, "monitoring-addr", "127.0.0.1:15014", "/metrics and /debug")
	c.Flags().StringVar(&f.tokenKey, "token-key", "", "public key (PEM, P-256) of the service account tokens")
	c.Flags().StringVar(&f.logLevel, "log-level", "warn", "istiod's log on stderr: none, error, warn, info, debug")
	require(c, "socket", "token-key")
	return c
}

func serve(f serveFlags) error {
	if err := discovery.Log(f.logLevel); err != nil {
		return err
	}
	key, err := tokens.ReadKey(f.tokenKey)
	if err != nil {
		return err
	}
	outbox := feed.NewOutbox()
	c, err := cluster.New(cluster.Options{
		Tokens: tokens.NewVerifier(key, time.Now), Observe: outbox.Observe, Now: time.Now,
	})
	if err != nil {
		return err
	}
	installed, err := installation.On(c)
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", f.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	session := feed.Session{Cluster: installed, Outbox: outbox, Boot: func() (string, error) {
		s, err := discovery.Start(c.Client(), f.listen, make(chan struct{}))
		if err != nil {
			return "", err
		}
		go forget(c)
		return s.RootCert(), nil
	}}
	return session.Run(conn)
}

// forget drops the record of calls that test fakes keep; see Cluster.Forget.
func forget(c *cluster.Cluster) {
	for range time.Tick(time.Minute) {
		c.Forget()
	}
}
