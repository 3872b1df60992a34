package controlplane

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"

	"fairway.dev/conformance/cluster/kubelet"
	"fairway.dev/conformance/cluster/programs"
)

// writeImages copies the proxies under test aside and writes the table of what stands in for which image.
func (c *Cluster) writeImages(p Proxies) error {
	at := map[string]string{}
	for name, from := range map[string]string{"ztunnel": p.Ztunnel, "waypoint": p.Waypoint, "bookinfo": p.Bookinfo} {
		to := filepath.Join(c.Layout.Proxies(), name)
		if err := copyProgram(from, to); err != nil {
			return err
		}
		at[name] = to
	}
	for _, program := range []programs.Program{programs.EchoServer, programs.EchoClient, programs.EchoBasic, programs.Istiod, programs.InstallCNI} {
		path, err := c.Store.Path(program)
		if err != nil {
			return err
		}
		at[string(program)] = path
	}
	return c.putImages(table(at, c.Layout.PKI()))
}

// table lists images in the order they are tried.
func table(at map[string]string, pki string) []kubelet.Image {
	bookinfo := func(verb string) []string { return []string{at["bookinfo"], verb} }
	return []kubelet.Image{
		// echo-advanced is nothing but Istio's own echo server and client.
		{Match: "gateway-api/echo-advanced", Cmd: []string{at["echo-server"]}, Files: map[string]string{
			"/usr/local/bin/client": at["echo-client"],
			"/cert.crt":             filepath.Join(pki, "echo.crt"),
			"/cert.key":             filepath.Join(pki, "echo.key"),
		}},
		{Match: "gateway-api/echo-basic", Cmd: []string{at["echo-basic"]}},
		// The UDP backend: its pod must be ready, nothing asks it as long as UDPRoute is not claimed.
		{Match: "coredns/coredns", Cmd: []string{"/bin/sh", "-c", "exec sleep infinity", "coredns"}, Stub: true},
		{Match: "/pilot:", Cmd: []string{at["istiod"]}},
		{Match: "/install-cni:", Cmd: []string{at["install-cni"]}, Files: map[string]string{"/opt/cni/bin/istio-cni": at["install-cni"]}},
		{Match: "/ztunnel:", Cmd: []string{at["ztunnel"]}},
		proxyImage(nil, at["waypoint"]),
		{Match: "examples-bookinfo-productpage-v", Cmd: bookinfo("productpage")},
		{Match: "examples-bookinfo-details-v", Cmd: bookinfo("details")},
		{Match: "examples-bookinfo-ratings-v", Cmd: bookinfo("ratings")},
		{Match: "examples-bookinfo-reviews-v1", Cmd: bookinfo("reviews"), Env: map[string]string{"SERVICE_VERSION": "v1"}},
		{Match: "examples-bookinfo-reviews-v2", Cmd: bookinfo("reviews"), Env: map[string]string{"SERVICE_VERSION": "v2"}},
		{Match: "examples-bookinfo-reviews-v3", Cmd: bookinfo("reviews"), Env: map[string]string{"SERVICE_VERSION": "v3"}},
		{Match: "curlimages/curl|^curl(:|$)", Entry: []string{"/usr/bin/curl"}},
		{Match: "busybox|alpine|debian|ubuntu", Entry: []string{"/bin/sh"}},
	}
}

// SetProxy changes what runs for waypoints from now on; running pods stay as they are. Words before the program run it: a relay.
func (c *Cluster) SetProxy(before []string, program string) error {
	b, err := os.ReadFile(c.Layout.Below("images.json"))
	if err != nil {
		return err
	}
	var list []kubelet.Image
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	for i := range list {
		if list[i].Match == proxyEntry {
			list[i] = proxyImage(before, program)
		}
	}
	return c.putImages(list)
}

// proxyEntry is the table's key for waypoints: istiod's proxy image.
const proxyEntry = "/proxyv2:"

// behindRelay is where a proxy lies that another program starts; the kubelet shows only the first word's file by itself.
const behindRelay = "/.fairway/proxy"

func proxyImage(before []string, program string) kubelet.Image {
	if len(before) == 0 {
		return kubelet.Image{Match: proxyEntry, Cmd: []string{program}}
	}
	return kubelet.Image{Match: proxyEntry, Cmd: append(slices.Clone(before), behindRelay), Files: map[string]string{behindRelay: program}}
}

// WaypointProgram is the copy of the waypoint under test.
func (c *Cluster) WaypointProgram() string { return filepath.Join(c.Layout.Proxies(), "waypoint") }

func (c *Cluster) putImages(list []kubelet.Image) error {
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.Layout.Below("images.json"), b, 0o644)
}

func copyProgram(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
