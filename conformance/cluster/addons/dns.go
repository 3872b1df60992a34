package addons

import (
	"net"
	"strings"

	"github.com/miekg/dns"
	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fairway.dev/conformance/cluster/layout"
)

const zone = layout.Zone

// serveDNS answers for the cluster's zone and for nothing else: the cluster has no way out.
func (a *Addons) serveDNS() error {
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(q)
		r.Authoritative, r.RecursionAvailable = true, true
		if len(q.Question) == 1 {
			a.answer(r, q.Question[0])
		}
		_ = w.WriteMsg(r)
	})
	failed := make(chan error, 2)
	for _, proto := range []string{"udp", "tcp"} {
		go func() {
			failed <- (&dns.Server{Addr: net.JoinHostPort(layout.First().IP, "53"), Net: proto, Handler: h}).ListenAndServe()
		}()
	}
	return <-failed
}

// labelsBelow is what stands before the zone, or nil.
func labelsBelow(name, zone string) []string {
	rest, ok := strings.CutSuffix(name, "."+zone)
	if !ok {
		return nil
	}
	return strings.Split(rest, ".")
}

func (a *Addons) answer(r *dns.Msg, q dns.Question) {
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	r.Rcode = dns.RcodeNameError
	if l := labelsBelow(name, "pod."+zone); len(l) == 2 {
		if ip := net.ParseIP(strings.ReplaceAll(l[0], "-", ".")); ip != nil {
			r.Rcode = dns.RcodeSuccess
			addA(r, q, ip)
		}
		return
	}
	l := labelsBelow(name, "svc."+zone)
	if len(l) < 2 {
		return
	}
	s, err := a.services.Services(l[len(l)-1]).Get(l[len(l)-2])
	if err != nil {
		return
	}
	r.Rcode = dns.RcodeSuccess
	switch {
	case s.Spec.Type == v1.ServiceTypeExternalName:
		target := dns.Fqdn(s.Spec.ExternalName)
		r.Answer = append(r.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ttl}, Target: target})
		if labelsBelow(strings.TrimSuffix(target, "."), "svc."+zone) != nil {
			a.answer(r, dns.Question{Name: target, Qtype: q.Qtype, Qclass: q.Qclass})
		}
	case s.Spec.ClusterIP == v1.ClusterIPNone:
		a.answerHeadless(r, q, s, l[:len(l)-2])
	case len(l) == 2:
		addA(r, q, net.ParseIP(s.Spec.ClusterIP))
	}
}

// ttl of every answer, in seconds: addresses change while a suite runs. Kubernetes' default is 30.
const ttl = 5

func addA(r *dns.Msg, q dns.Question, a net.IP) {
	if q.Qtype == dns.TypeA && a.To4() != nil {
		r.Answer = append(r.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: a})
	}
}

// answerHeadless gives the endpoints' addresses, or those of the one endpoint that `host` names.
func (a *Addons) answerHeadless(r *dns.Msg, q dns.Question, s *v1.Service, host []string) {
	slices, err := a.slices.EndpointSlices(s.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: s.Name}))
	if err != nil {
		return
	}
	found := false
	for _, slice := range slices {
		for _, e := range slice.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready || s.Spec.PublishNotReadyAddresses
			named := len(host) == 0 || e.Hostname != nil && *e.Hostname == host[len(host)-1]
			if !ready || !named {
				continue
			}
			found = true
			for _, ip := range e.Addresses {
				addA(r, q, net.ParseIP(ip))
			}
		}
	}
	if len(host) > 0 && !found {
		r.Rcode = dns.RcodeNameError
	}
}
