"""What a case document changes in a recorded stream before it is played: `scale:` and `edit:`."""
import copy

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from udpa.type.v1 import typed_struct_pb2

from .stream import EDS, LDS, SHORT

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
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
    """Each edit is `{step, http_filter: NAME, listener, chain}`, `{step, telemetry_of: CHAIN, chain}` or
    `{step, broken: TYPE, name}`; it must apply somewhere."""
    for e in edits or ():
        change = _add_filter if "http_filter" in e else _copy_telemetry if "telemetry_of" in e else _break
        done = change(stream, e)
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


def _hcms(chains):
    for chain in chains:
        yield from ((chain, f) for f in chain.filters if f.typed_config.type_url.endswith(HCM))


def _copy_telemetry(stream, e):
    """Gives chains the access loggers and the tracing of another chain, which no request of a case can reach."""
    done = 0
    for r in (r for m in _responses(stream, e, LDS) for r in m.resources):
        listener = listener_pb2.Listener.FromString(r.resource.value)
        found = [(c, f, hcm_pb2.HttpConnectionManager.FromString(f.typed_config.value)) for c, f in _hcms(listener.filter_chains)]
        source = next((hcm for c, _, hcm in found if c.name == e["telemetry_of"]), None)
        for _, f, hcm in (x for x in found if source is not None and e["chain"] in x[0].name):
            for field in ("access_log", "tracing"):
                hcm.ClearField(field)
                if field == "access_log" or source.HasField(field):
                    getattr(hcm, field).MergeFrom(getattr(source, field))
            f.typed_config.value = hcm.SerializeToString()
            done += 1
        r.resource.value = listener.SerializeToString()
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
