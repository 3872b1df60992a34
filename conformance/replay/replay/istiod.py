"""istiod's two services (delta ADS, CreateCertificate) and, for Envoy, the agent's SDS."""
import asyncio
import itertools
import time

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from .stream import CDS, EDS, SHORT, fields

ONE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def bytes_field(n, b):
    out = bytearray([n << 3 | 2])
    v = len(b)
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out) + b


class Client:
    """One delta stream."""

    def __init__(self, control):
        self.control = control
        self.q = asyncio.Queue()
        self.sub = {}           # type -> set of names, or None for wildcard
        self.sent = {}          # type -> set of names the client holds
        self.open = {}          # nonce -> (type, names)
        self.last = time.monotonic()

    def hang_up(self):
        self.q.put_nowait(None)

    def send(self, typ, resources, removed=()):
        nonce = f"n{next(self.control.nonces)}"
        m = discovery_pb2.DeltaDiscoveryResponse(type_url=typ, nonce=nonce, system_version_info=f"v{self.control.version}",
                                                 removed_resources=removed)
        m.resources.extend(resources)
        self.open[nonce] = (typ, [r.name for r in resources])
        held = self.sent.setdefault(typ, set())
        held.update(r.name for r in resources)
        held.difference_update(removed)
        self.last = time.monotonic()
        self.q.put_nowait(m)

    def wants(self, typ, name):
        return typ in self.sub and (self.sub[typ] is None or name in self.sub[typ])

    def on_request(self, r):
        self.last = time.monotonic()
        c, typ = self.control, r.type_url
        short, first = SHORT.get(typ, typ), typ not in self.sub
        if r.HasField("node") and r.node.id:
            c.node = r.node
        if r.response_nonce:
            self.answered(r, short)
        elif not first and not r.resource_names_subscribe and not r.resource_names_unsubscribe:
            c.violations.append(f"{short}: spontaneous request without a change")
        add = set(r.resource_names_subscribe)
        if first:
            self.sub[typ] = None if not add or "*" in add else set()
            self.sent.setdefault(typ, set()).update(r.initial_resource_versions)
            if c.before is not None:
                c.resumed[short] = set(r.initial_resource_versions) ^ c.before.get(typ, set())
            if typ == EDS and self.sub[typ] is None:
                c.violations.append("EDS: wildcard subscription")
        self.subscribe(r, add, first)

    def answered(self, r, short):
        """An ACK or a NACK."""
        c = self.control
        _, names = self.open.pop(r.response_nonce, (r.type_url, []))
        if r.HasField("error_detail"):
            c.nacks.append({"type": short, "resources": names[:20], "message": r.error_detail.message})
        else:
            c.acks[short] = c.acks.get(short, 0) + 1
        if r.resource_names_subscribe or r.resource_names_unsubscribe:
            c.violations.append(f"{short}: subscription change inside an ACK/NACK")

    def subscribe(self, r, add, first):
        typ = r.type_url
        state, held = self.control.state.get(typ, {}), self.sent.setdefault(typ, set())
        if self.sub[typ] is None:
            if first:
                self.send(typ, list(state.values()), [n for n in r.initial_resource_versions if n not in state])
        else:
            if add:
                self.sub[typ] |= add
                self.send(typ, [state[n] for n in sorted(add) if n in state], [n for n in sorted(add) if n not in state])
            for n in r.resource_names_unsubscribe:
                self.sub[typ].discard(n)
                held.discard(n)
        # istiod pushes EDS again after every CDS request while EDS is watched.
        if typ == CDS and not first and self.sub.get(EDS):
            eds = self.control.state.get(EDS, {})
            self.send(EDS, [eds[n] for n in sorted(self.sub[EDS]) if n in eds])


class Control:
    def __init__(self, stream, ca, rewriter):
        self.stream, self.ca, self.rewriter = stream, ca, rewriter
        self.state, self.clients = {}, set()
        self.nonces = itertools.count(1)
        self.version, self.at = 0, 0
        self.nacks, self.violations, self.acks, self.node = [], [], {}, None
        self.csrs = 0
        self.before, self.resumed = None, {}    # what was held when the streams were cut; {type: difference} of those resumed

    # ---- steps
    def advance(self, step):
        """Applies recorded steps up to `step` (1-based), pushing to connected clients as istiod did."""
        while self.at < len(self.stream.steps) and self.stream.steps[self.at].number <= step:
            s = self.stream.steps[self.at]
            self.at += 1
            self.version += 1
            for m in s.responses:
                ups = [self._stored(m.type_url, r) for r in m.resources]
                for n in m.removed_resources:
                    self.state.setdefault(m.type_url, {}).pop(n, None)
                for c in [c for c in self.clients if m.type_url in c.sub]:
                    wanted = [x for x in ups if c.wants(m.type_url, x.name)]
                    gone = [n for n in m.removed_resources if n in c.sent.get(m.type_url, ())]
                    if wanted or gone:
                        c.send(m.type_url, wanted, gone)

    def _stored(self, type_url, resource):
        copy = discovery_pb2.Resource()
        copy.CopyFrom(resource)
        self.rewriter.resource(type_url, copy)
        self.state.setdefault(type_url, {})[copy.name] = copy
        return copy

    def hang_up(self):
        """Ends all ADS streams, as a restarted istiod does; the clients come back."""
        self.before = {}
        for c in self.clients:
            for typ, names in c.sent.items():
                self.before.setdefault(typ, set()).update(names)
            c.hang_up()
        self.resumed.clear()

    async def settle(self, quiet=0.12, timeout=15):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            cs = list(self.clients)
            if cs and all(not c.open and time.monotonic() - c.last > quiet for c in cs):
                return True
            await asyncio.sleep(0.02)
        return False

    # ---- gRPC
    async def delta(self, requests, context):
        c = Client(self)
        self.clients.add(c)

        async def pump():
            try:
                async for r in requests:
                    c.on_request(r)
            finally:
                c.q.put_nowait(None)
        t = asyncio.ensure_future(pump())
        try:
            while True:
                m = await c.q.get()
                if m is None:
                    return
                yield m
        finally:
            self.clients.discard(c)
            t.cancel()

    async def sds(self, requests, context):
        n = 0
        async for r in requests:
            if r.HasField("error_detail"):
                self.nacks.append({"type": "SDS(agent)", "resources": list(r.resource_names), "message": r.error_detail.message})
                continue
            if r.response_nonce:
                continue
            n += 1
            out = discovery_pb2.DiscoveryResponse(version_info=str(n), nonce=str(n), type_url=ONE)
            for name in r.resource_names:
                s = secret_pb2.Secret(name=name)
                if name == "ROOTCA" or name.startswith("file-root:"):
                    s.validation_context.trusted_ca.inline_bytes = self.ca.root_pem
                else:
                    pem = self.ca.issue(self.ca.leaf_key.public_key(), uri=self.stream.principal)
                    s.tls_certificate.certificate_chain.inline_bytes = pem + self.ca.root_pem
                    s.tls_certificate.private_key.inline_bytes = self.ca.leaf_key_pem
                out.resources.add().Pack(s)
            yield out

    async def create_certificate(self, request, context):
        csr = next((bytes(v) for n, v in fields(request) if n == 1), b"")
        token = dict(context.invocation_metadata()).get("authorization", "")
        if not token.startswith("Bearer "):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no bearer token")
        self.csrs += 1
        leaf = self.ca.sign_csr(csr, self.stream.principal)
        return bytes_field(1, leaf) + bytes_field(1, self.ca.root_pem)

    async def serve(self, plain, secure):
        opts = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self.server = grpc.aio.server(options=opts)
        dq, dr = discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse
        self.server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("envoy.service.discovery.v3.AggregatedDiscoveryService", {
                "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    self.delta, dq.FromString, dr.SerializeToString)}),
            grpc.method_handlers_generic_handler("envoy.service.secret.v3.SecretDiscoveryService", {
                "StreamSecrets": grpc.stream_stream_rpc_method_handler(
                    self.sds, discovery_pb2.DiscoveryRequest.FromString, discovery_pb2.DiscoveryResponse.SerializeToString)}),
            grpc.method_handlers_generic_handler("istio.v1.auth.IstioCertificateService", {
                "CreateCertificate": grpc.unary_unary_rpc_method_handler(self.create_certificate, None, None)}),
        ))
        self.server.add_insecure_port(plain)
        cert, key = self.ca.files("istiod", uri="spiffe://cluster.local/ns/istio-system/sa/istiod",
                                  dns=("istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local", "istiod.istio-system"))
        with open(cert, "rb") as c, open(key, "rb") as k:
            self.server.add_secure_port(secure, grpc.ssl_server_credentials([(k.read(), c.read())]))
        await self.server.start()
