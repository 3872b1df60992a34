// A single-member etcd: no durability, loopback only.
package main

import (
	"flag"
	"log"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	dir := flag.String("data", "", "data directory")
	client := flag.String("client", "http://127.0.0.1:2379", "client URL")
	peer := flag.String("peer", "http://127.0.0.1:2380", "peer URL")
	flag.Parse()
	if *dir == "" {
		log.Fatal("-data is required")
	}
	urls := func(s string) []url.URL {
		u, err := url.Parse(s)
		if err != nil {
			log.Fatal(err)
		}
		return []url.URL{*u}
	}
	cfg := embed.NewConfig()
	cfg.Dir = *dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = urls(*client), urls(*client)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = urls(*peer), urls(*peer)
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.LogLevel = "warn"
	cfg.UnsafeNoFsync = true // the cluster is thrown away; speed matters
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-e.Server.ReadyNotify():
		log.Print("etcd ready")
	case <-time.After(time.Minute):
		log.Fatal("etcd did not become ready within a minute")
	}
	log.Fatal(<-e.Err())
}
