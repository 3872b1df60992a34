"""What is changed in resources on their way to the subject.

Both subjects: one more access logger on the HTTP and TCP filters of main_internal. Envoy only: Istio's own extensions,
which a stock Envoy does not know, are left out. Every removal is counted; what is not named here goes through byte for byte.
"""
import collections

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2 as http_sfs
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2 as net_sfs
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf.message import DecodeError
from udpa.type.v1 import typed_struct_pb2 as udpa_ts
from xds.type.v3 import typed_struct_pb2 as xds_ts

from .stream import CDS, LDS

GONE = {
    "io.istio.http.peer_metadata.Config", "stats.PluginConfig", "envoy.tcp.metadataexchange.config.MetadataExchange",
    "envoy.extensions.network_filters.peer_metadata.Config", "envoy.extensions.network_filters.peer_metadata.UpstreamConfig",
    "istio.workload.BootstrapExtension",
    "io.istio.http.alpn.v3.FilterConfig", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
}
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
KEYS = {"istio.hashable_string": "envoy.hashable_string"}
LOG = "\t".join(["REPLAY", "%RESPONSE_CODE%", "%RESPONSE_FLAGS%", "%RESPONSE_CODE_DETAILS%", "%ROUTE_NAME%", "%UPSTREAM_CLUSTER_RAW%",
                 "%REQ(X-REQUEST-ID)%", "%CONNECTION_TERMINATION_DETAILS%", "%UPSTREAM_TRANSPORT_FAILURE_REASON%", "%UPSTREAM_HOST%"]) + "\n"


def real_type(a):
    """Type of an Any, looking through the two TypedStruct wrappers."""
    t = a.type_url.rsplit("/", 1)[-1]
    if t == "udpa.type.v1.TypedStruct":
        t = udpa_ts.TypedStruct.FromString(a.value).type_url.rsplit("/", 1)[-1]
    elif t == "xds.type.v3.TypedStruct":
        t = xds_ts.TypedStruct.FromString(a.value).type_url.rsplit("/", 1)[-1]
    return t


class Rewriter:
    def __init__(self, envoy, strip=()):
        self.envoy, self.gone = envoy, GONE | set(strip)
        self.removed = collections.Counter()

    def log(self, target):
        fmt = substitution_format_string_pb2.SubstitutionFormatString()
        fmt.text_format_source.inline_string = LOG
        fl = file_pb2.FileAccessLog(path="/dev/stdout", log_format=fmt)
        al = accesslog_pb2.AccessLog(name="envoy.access_loggers.file")
        al.typed_config.Pack(fl)
        target.append(al)

    def _filters(self, lst, where):
        keep = []
        for f in lst:
            t = real_type(f.typed_config) if f.HasField("typed_config") else ""
            if self.envoy and (t in self.gone or f.name in self.gone):
                self.removed[f"{where} {t}"] += 1
                continue
            keep.append(f)
        if len(keep) != len(lst):
            del lst[:]
            lst.extend(keep)

    def _sfs(self, any_, mod, attrs):
        m = mod.Config.FromString(any_.value)
        changed = False
        for attr in attrs:
            for v in getattr(m, attr):
                if v.factory_key in KEYS:
                    self.removed[f"factory_key {v.factory_key} rewritten"] += 1
                    v.factory_key = KEYS[v.factory_key]
                    changed = True
        if changed:
            any_.value = m.SerializeToString()

    def listener(self, raw):
        l = listener_pb2.Listener.FromString(raw)
        logged = l.name == "main_internal"
        for ch in list(l.filter_chains) + ([l.default_filter_chain] if l.HasField("default_filter_chain") else []):
            self._filters(ch.filters, "network filter")
            for f in (f for f in ch.filters if f.HasField("typed_config")):
                self._network_filter(f, logged)
        return l.SerializeToString()

    def _network_filter(self, f, logged):
        t = f.typed_config.type_url.rsplit("/", 1)[-1]
        if t == HCM:
            h = hcm_pb2.HttpConnectionManager.FromString(f.typed_config.value)
            self._filters(h.http_filters, "http filter")
            for hf in h.http_filters:
                if self.envoy and hf.typed_config.type_url.endswith("set_filter_state.v3.Config"):
                    self._sfs(hf.typed_config, http_sfs, ("on_request_headers",))
            if logged:
                self.log(h.access_log)
            f.typed_config.value = h.SerializeToString()
        elif t == TCP and logged:
            p = tcp_proxy_pb2.TcpProxy.FromString(f.typed_config.value)
            self.log(p.access_log)
            f.typed_config.value = p.SerializeToString()
        elif self.envoy and t == "envoy.extensions.filters.network.set_filter_state.v3.Config":
            self._sfs(f.typed_config, net_sfs, [x.name for x in net_sfs.Config.DESCRIPTOR.fields if x.name.startswith("on_")])

    def cluster(self, raw):
        c = cluster_pb2.Cluster.FromString(raw)
        n = len(c.filters)
        self._filters(c.filters, "cluster filter")
        return c.SerializeToString() if len(c.filters) != n else raw

    def resource(self, type_url, res):
        try:
            if type_url == LDS:
                res.resource.value = self.listener(res.resource.value)
            elif type_url == CDS and self.envoy:
                res.resource.value = self.cluster(res.resource.value)
        except DecodeError:
            pass    # broken on purpose by an `edit:`
