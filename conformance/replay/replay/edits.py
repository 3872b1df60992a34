"""What a case document changes in a recorded stream before it is played: `scale:` and `edit:`."""
import copy

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.access_loggers.grpc.v3 import als_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from udpa.type.v1 import typed_struct_pb2

from .istiod import bytes_field
from .stream import EDS, LDS, SHORT

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
HTTP_LOG = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"
UNKNOWN = "type.googleapis.com/example.unknown.v1.Config"
TYPES = {short: url for url, short in SHORT.items()}
NOT_PROTOBUF = b"\x0f\xff\xff"     # field 1 of the wire type 7, which does not exist


def scale(stream, wanted):
    """{part of a cluster name: n}: clones its first endpoint until there are n (addresses 10.245.K.I)."""
    for k, (part, n) in enumerate((wanted or {}).items()):
        for r in stream.resources(EDS):
            cla = endpoint_pb2.ClusterLoadAssignment.FromString(r.resource.value)
            if part in r.name and cla.endpoints and cla.endpoints[0].lb_endpoints:
                _clone(cla, n, f"10.245.{k}.")
                r.resource.value = cla.SerializeToString()


def _clone(cla, n, network):
    locality = cla.endpoints[0]
    template = copy.deepcopy(locality.lb_endpoints[0])
    for i in range(sum(len(x.lb_endpoints) for x in cla.endpoints), n):
        e = locality.lb_endpoints.add()
        e.CopyFrom(template)
        a, ip = e.endpoint.address, f"{network}{10 + i}"
        if a.HasField("envoy_internal_address"):
            port = a.envoy_internal_address.endpoint_id.rpartition(":")[2]
            a.envoy_internal_address.endpoint_id = f"{ip}:{port}"
            e.metadata.filter_metadata["envoy.filters.listener.original_dst"].update({"local": f"{ip}:{port}"})
        else:
            a.socket_address.address = ip
    if locality.HasField("load_balancing_weight"):
        locality.load_balancing_weight.value = sum(x.load_balancing_weight.value or 1 for x in locality.lb_endpoints)


def edit(stream, edits):
    """Each edit is `{step, http_filter: NAME, listener, chain}`, `{step, telemetry_of: CHAIN, chain}`,
    `{step, tags: {TAG: EXPRESSION}, chain}` or `{step, broken: TYPE, name}`; it must apply somewhere."""
    changes = {"http_filter": _add_filter, "telemetry_of": _copy_telemetry, "tags": _add_tags, "broken": _break}
    for e in edits or ():
        done = next(change for key, change in changes.items() if key in e)(stream, e)
        if not done:
            raise ValueError(f"edit {e} finds nothing to change")


def _responses(stream, e, type_url):
    for s in stream.steps:
        if e.get("step") in (None, s.number):
            yield from (m for m in s.responses if m.type_url == type_url)


def _add_filter(stream, e):
    """Puts a filter that nobody knows in front of the HTTP filters of a listener's (or one chain's) HCMs."""
    done = 0
    for r in (r for m in _responses(stream, e, LDS) for r in m.resources if r.name == e["listener"]):
        listener = listener_pb2.Listener.FromString(r.resource.value)
        for chain in (c for c in listener.filter_chains if e.get("chain", "") in c.name):
            for f in (f for f in chain.filters if f.typed_config.type_url.endswith(HCM)):
                hcm = hcm_pb2.HttpConnectionManager.FromString(f.typed_config.value)
                new = hcm_pb2.HttpFilter(name=e["http_filter"])
                new.typed_config.Pack(typed_struct_pb2.TypedStruct(type_url=UNKNOWN))
                hcm.http_filters.insert(0, new)
                f.typed_config.value = hcm.SerializeToString()
                done += 1
        r.resource.value = listener.SerializeToString()
    return done


def _chains(stream, e):
    """Every chain of every listener; what is changed in them is kept."""
    for r in (r for m in _responses(stream, e, LDS) for r in m.resources):
        listener = listener_pb2.Listener.FromString(r.resource.value)
        yield listener.filter_chains
        r.resource.value = listener.SerializeToString()


def _copy_telemetry(stream, e):
    """Gives chains the access loggers and the tracing of another chain: one that no case can reach, or, for TCP, an HTTP
    chain's log services."""
    done = 0
    for chains in _chains(stream, e):
        filters = [(c.name, f.typed_config) for c in chains for f in c.filters]
        source = next((hcm_pb2.HttpConnectionManager.FromString(c.value) for name, c in filters
                       if name == e["telemetry_of"] and c.type_url.endswith(HCM)), None)
        for _, config in (x for x in filters if source is not None and e["chain"] in x[0]):
            if config.type_url.endswith(HCM):
                hcm = hcm_pb2.HttpConnectionManager.FromString(config.value)
                hcm.ClearField("access_log")
                hcm.access_log.MergeFrom(source.access_log)
                hcm.ClearField("tracing")
                if source.HasField("tracing"):
                    hcm.tracing.MergeFrom(source.tracing)
                config.value, done = hcm.SerializeToString(), done + 1
            elif config.type_url.endswith(TCP):
                proxy = tcp_proxy_pb2.TcpProxy.FromString(config.value)
                proxy.access_log.extend(_for_tcp(log) for log in source.access_log if log.typed_config.type_url.endswith(HTTP_LOG))
                config.value, done = proxy.SerializeToString(), done + 1
    return done


def _for_tcp(log):
    """As istiod says it for a TCP chain."""
    http = als_pb2.HttpGrpcAccessLogConfig.FromString(log.typed_config.value)
    log = accesslog_pb2.AccessLog(name="envoy.access_loggers.tcp_grpc")
    log.typed_config.Pack(als_pb2.TcpGrpcAccessLogConfig(common_config=http.common_config))
    return log


def _add_tags(stream, e):
    """Tags of `requests_total` by expression, as a Telemetry resource has them. `stats.PluginConfig` has no proto here."""
    done = 0
    tags = b"".join(bytes_field(1, bytes_field(1, tag.encode()) + bytes_field(2, text.encode())) for tag, text in e["tags"].items())
    for chains in _chains(stream, e):
        for config in (f.typed_config for c in chains if e["chain"] in c.name for f in c.filters):
            if config.type_url.endswith(HCM):
                hcm = hcm_pb2.HttpConnectionManager.FromString(config.value)
                for stats in (f.typed_config for f in hcm.http_filters if f.typed_config.type_url.endswith("stats.PluginConfig")):
                    stats.value += bytes_field(8, tags + bytes_field(2, b"requests_total"))
                    done += 1
                config.value = hcm.SerializeToString()
    return done


def _break(stream, e):
    """Makes one resource unreadable; with `as`, a copy of it under a new name in the same response."""
    url = TYPES[e["broken"]]
    for m in _responses(stream, e, url):
        for r in m.resources:
            if r.name != e["name"]:
                continue
            if "as" in e:
                r = m.resources.add()
                r.name = e["as"]
                r.resource.type_url = url
            r.resource.value = NOT_PROTOBUF
            return 1
    return 0
