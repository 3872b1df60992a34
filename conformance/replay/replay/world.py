"""Everything the subject can dial: a ztunnel (HBONE server) on every endpoint's address, plain servers elsewhere."""
import asyncio
import socket
import time

from . import h2io
from .application import TLS_NAMES, Application
from .h2io import Reset, TcpPipe
from .http1 import text
from .pki import peer_uri
from .script import Script

MOST_ZTUNNELS = 400     # a scale scenario has a thousand pods; its cases use the first few


class World:
    def __init__(self, ca, stream):
        self.ca, self.stream = ca, stream
        self.script, self.application = Script(), Application(self)
        self.records, self.tunnels = [], []     # requests and CONNECTs of the running case
        self.servers, self.sockets, self.closed = {}, {}, []
        self.sessions, self.plain = set(), set()
        self.owner = {}

    def begin(self, script):
        self.records, self.tunnels, self.script = [], [], script

    def record(self, endpoint, via, **kw):
        r = {"endpoint": endpoint, "time": time.monotonic(), **via, **kw}
        self.records.append(r)
        return r

    # ---- listening
    async def listen(self, endpoints):
        for (ip, port), hbone in endpoints.items():
            await (self.listen_hbone(ip) if hbone else self.listen_plain(ip, port))
        for w in list(self.stream.workloads.values())[:MOST_ZTUNNELS]:
            for ip in w.addresses if w.hbone else ():
                if ip not in self.stream.pod_ips:
                    await self.listen_hbone(ip)

    async def listen_hbone(self, ip, port=15008):
        if (ip, port) in self.servers:
            return
        # The certificate follows the workload that owns the address at the moment: it changes between steps.
        ctx = self.ca.fresh_server_context(self.identity(ip))

        def pick(obj, _name, _ctx):
            obj.context = self.ca.context(True, self.identity(ip))
        ctx.sni_callback = pick
        try:
            self.servers[(ip, port)] = await asyncio.start_server(self._hbone, ip, port, ssl=ctx, backlog=512)
        except OSError as e:
            print(f"cannot listen on {ip}:{port}: {e}")

    async def listen_plain(self, ip, port):
        if (ip, port) in self.servers:
            return
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        try:
            socket.inet_pton(family, ip)
            s = socket.create_server((ip, port), family=family, backlog=512)
        except OSError as e:
            print(f"cannot listen on {ip}:{port}: {e}")
            return
        s.setblocking(False)
        self.sockets[(ip, port)] = s
        self.servers[(ip, port)] = asyncio.ensure_future(self._accept(s, f"{ip}:{port}"))

    async def close(self, ip):
        """Nothing listens on this address any more: connections are refused."""
        for key in [k for k in self.servers if k[0] == ip]:
            s = self.servers.pop(key)
            self.closed.append(key)
            s.cancel() if isinstance(s, asyncio.Future) else s.close()
            sock = self.sockets.pop(key, None)
            if sock:
                sock.close()
        await asyncio.sleep(0.02)

    async def reopen(self, ip):
        for key in [k for k in self.closed if k[0] == ip]:
            self.closed.remove(key)
            await (self.listen_hbone(ip) if key[1] == 15008 else self.listen_plain(*key))

    # ---- what WDS and cases do to connections
    def sync(self, workloads):
        """Follows WDS after a step: the tunnels of a workload that is gone or replaced break, as its ztunnel's would."""
        now = {a: w for w in workloads for a in w.addresses}
        for s in list(self.sessions):
            old, new = self.owner.get(s.ip), now.get(s.ip)
            if old is not None and (new is None or new.uid != old.uid):
                s.pipe.abort()
        self.owner = now

    async def drop(self):
        """Breaks every connection the subject has pooled."""
        for s in list(self.sessions):
            s.pipe.abort()
        for tr in list(self.plain):
            tr.abort()
        await asyncio.sleep(0.05)

    def identity(self, ip):
        w = self.owner.get(ip) or self.stream.by_ip.get(ip)
        return w.principal if w else "spiffe://cluster.local/ns/default/sa/default"

    # ---- connections
    async def _accept(self, s, endpoint):
        loop = asyncio.get_running_loop()
        while True:
            c, _ = await loop.sock_accept(s)
            asyncio.ensure_future(self._plain(c, endpoint))

    async def _plain(self, c, endpoint):
        loop = asyncio.get_running_loop()
        head = b""
        for _ in range(25):     # TLS or not: peek for a tenth of a second, a server that speaks first must not wait longer
            try:
                head = c.recv(1, socket.MSG_PEEK)
                break
            except BlockingIOError:
                await asyncio.sleep(0.004)
            except OSError:
                return
        ctx = None
        if head == b"\x16" and not self.script.find(endpoint, {"raw_tls"}, False):
            ctx = self.ca.context(True, None, TLS_NAMES, ("h2", "http/1.1"), False)
        reader = asyncio.StreamReader()
        proto = asyncio.StreamReaderProtocol(reader)
        try:
            tr, _ = await loop.connect_accepted_socket(lambda: proto, c, ssl=ctx)
        except OSError:
            return
        pipe = TcpPipe(reader, asyncio.StreamWriter(tr, proto, reader, loop))
        self.plain.add(tr)
        try:
            source = (tr.get_extra_info("peername") or ("",))[0]
            await self.application.serve(pipe, endpoint, {"tls": ctx is not None, "source": source})
        finally:
            self.plain.discard(tr)

    async def _hbone(self, reader, writer):
        tls = writer.get_extra_info("ssl_object")
        here, source = writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]

        async def on_stream(st):
            hs = [(text(k), text(v)) for k, v in st.headers]
            d = dict(hs)
            t = {"ip": here, "authority": d.get(":authority"), "method": d.get(":method"), "headers": hs,
                 "peer": peer_uri(tls), "source": source}
            self.tunnels.append(t)
            if await self._tunnel(s, st, d):
                await self.application.serve(st, d.get(":authority", ""), {"tunnel": t})
        s = h2io.Session(TcpPipe(reader, writer), False, on_stream)
        s.ip = here
        self.sessions.add(s)
        try:
            await s.start()
            await s.reader
        except Reset:
            pass
        finally:
            self.sessions.discard(s)

    async def _tunnel(self, s, st, head):
        """Answers a CONNECT; whether there is a tunnel now."""
        e = self.script.find(head.get(":authority", ""), {"hbone_status", "hbone_reset", "hbone_delay_ms"})
        await asyncio.sleep(e.get("hbone_delay_ms", 0) / 1000)
        if "hbone_reset" in e:
            st.reset()
            return False
        refused = head.get(":method") != "CONNECT" or "hbone_status" in e
        s.c.send_headers(st.id, [(":status", str(e.get("hbone_status", 400) if refused else 200))], end_stream=refused)
        st.closed_local = refused
        await s.flush_quietly()
        return not refused
