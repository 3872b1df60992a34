"""A recorded delta-ADS stream: length-delimited DeltaDiscoveryResponse messages with step markers, and who asked for it."""
import ipaddress
import json
import os

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.service.discovery.v3 import discovery_pb2
from xds.type.matcher.v3 import ip_pb2, matcher_pb2

T = "type.googleapis.com/"
CDS = T + "envoy.config.cluster.v3.Cluster"
EDS = T + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = T + "envoy.config.listener.v3.Listener"
RDS = T + "envoy.config.route.v3.RouteConfiguration"
SDS = T + "envoy.extensions.transport_sockets.tls.v3.Secret"
ECDS = T + "envoy.config.core.v3.TypedExtensionConfig"
WDS = T + "istio.workload.Workload"
ADDRESS = T + "istio.workload.Address"
MARKER = T + "render.StepMarker"
SHORT = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS", SDS: "SDS", ECDS: "ECDS", WDS: "WDS", ADDRESS: "ADDRESS"}


def varint(b, i):
    v = s = 0
    while True:
        x = b[i]
        i += 1
        v |= (x & 0x7F) << s
        if x < 0x80:
            return v, i
        s += 7


def fields(b):
    """Minimal protobuf reader: yields (field number, wire value)."""
    i = 0
    while i < len(b):
        tag, i = varint(b, i)
        kind = tag & 7
        if kind == 0:
            v, i = varint(b, i)
        elif kind == 2:
            n, i = varint(b, i)
            v = b[i:i + n]
            i += n
        elif kind == 1:
            v, i = b[i:i + 8], i + 8
        elif kind == 5:
            v, i = b[i:i + 4], i + 4
        else:
            raise ValueError("wire type")
        yield tag >> 3, v


class Workload:
    """The few fields of istio.workload.Workload that a fake ztunnel needs."""

    def __init__(self, raw):
        self.uid = self.name = self.namespace = self.trust_domain = self.service_account = self.workload_name = ""
        self.addresses, self.hbone, self.network = [], False, ""
        names = {20: "uid", 1: "name", 2: "namespace", 6: "trust_domain", 7: "service_account", 13: "workload_name", 4: "network"}
        for n, v in fields(raw):
            if n in names:
                setattr(self, names[n], v.decode())
            elif n == 3:
                self.addresses.append(str(ipaddress.ip_address(bytes(v))))
            elif n == 5:
                self.hbone = v == 1

    @property
    def principal(self):
        return f"spiffe://{self.trust_domain or 'cluster.local'}/ns/{self.namespace}/sa/{self.service_account or 'default'}"


class Step:
    def __init__(self, name):
        self.name, self.responses = name, []
        self.number = int(name.rpartition("-")[2])


class Stream:
    def __init__(self, directory):
        self.dir, self.name = directory, os.path.basename(directory)
        self.steps = []
        with open(os.path.join(directory, "stream.binpb"), "rb") as f:
            data = f.read()
        i = 0
        while i < len(data):
            n, i = varint(data, i)
            m = discovery_pb2.DeltaDiscoveryResponse.FromString(data[i:i + n])
            i += n
            if m.type_url == MARKER:
                self.steps.append(Step(m.system_version_info))
            else:
                self.steps[-1].responses.append(m)
        with open(os.path.join(self.dir, "node.json")) as f:
            self.node = json.load(f)
        self.metadata = self.node["metadata"]
        self.workloads = {}
        for r in self.resources(WDS):
            self.workloads[r.name] = Workload(r.resource.value)
        self.by_ip = {a: w for w in self.workloads.values() for a in w.addresses}
        self.ns, self.sa, self.pod = (self.metadata[k] for k in ("NAMESPACE", "SERVICE_ACCOUNT", "NAME"))
        self.pod_ips = self.metadata["INSTANCE_IPS"].split(",")
        self.principal = f"spiffe://cluster.local/ns/{self.ns}/sa/{self.sa}"

    @property
    def last(self):
        return max(s.number for s in self.steps)

    def resources(self, type_url, name=None):
        """Every resource of a type that any step sends."""
        for step in self.steps:
            for m in step.responses:
                for r in m.resources if m.type_url == type_url else ():
                    if name in (None, r.name):
                        yield r

    def vips(self):
        """{host: first VIP}, from the matcher trees of main_internal over all steps."""
        out = {}
        for r in self.resources(LDS, "main_internal"):
            tree = listener_pb2.Listener.FromString(r.resource.value).filter_chain_matcher.matcher_tree
            if not tree.HasField("custom_match"):
                continue
            for rm in ip_pb2.IPMatcher.FromString(tree.custom_match.typed_config.value).range_matchers:
                for name in chains(matcher_pb2.Matcher.OnMatch.FromString(rm.on_match.SerializeToString())):
                    if name.startswith("inbound-vip|") and rm.ranges:
                        out.setdefault(name.rpartition("|")[2], rm.ranges[0].address_prefix)
        return out

    def endpoints(self):
        """All endpoint addresses that any step mentions: {(ip, port): is_hbone}."""
        out = {}
        for r in self.resources(EDS):
            out.update(addresses(endpoint_pb2.ClusterLoadAssignment.FromString(r.resource.value)))
        for r in self.resources(CDS):
            c = cluster_pb2.Cluster.FromString(r.resource.value)
            if c.name not in ("main_internal", "encap") and c.HasField("load_assignment"):
                out.update(addresses(c.load_assignment))
        return out


def chains(on_match):
    """Names of the filter chains below a node of the matcher tree."""
    if on_match.HasField("action"):
        yield on_match.action.name
    for x in on_match.matcher.matcher_tree.exact_match_map.map.values():
        yield from chains(x)
    if on_match.matcher.HasField("on_no_match"):
        yield from chains(on_match.matcher.on_no_match)


def addresses(assignment):
    """{(ip, port): is_hbone}"""
    out = {}
    for e in (e for locality in assignment.endpoints for e in locality.lb_endpoints):
        a = e.endpoint.address
        if a.HasField("socket_address"):
            out[(a.socket_address.address, a.socket_address.port_value)] = False
        elif a.HasField("envoy_internal_address"):
            host, _, port = a.envoy_internal_address.endpoint_id.rpartition(":")
            if host and port.isdigit():
                out[(host.strip("[]"), int(port))] = True
        for x in e.endpoint.additional_addresses:
            if x.address.HasField("socket_address"):
                out[(x.address.socket_address.address, x.address.socket_address.port_value)] = False
    return out
