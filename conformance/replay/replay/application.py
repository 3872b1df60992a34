"""The programs behind the fake ztunnels: HTTP/1.1, HTTP/2, TLS and TCP, answering as the case's script says."""
import asyncio

from . import h2io
from .h2io import Reset
from .http1 import METHODS, Prefixed, Reader, first, text
from .pki import peer_uri
from .script import reply

TLS_NAMES = ("api.example.com", "*.example.com", "legacy.internal", "server.example")
FAR = "spiffe://cluster.local/ns/default/sa/far"


class Application:
    """`world` keeps the script and the records."""

    def __init__(self, world):
        self.world = world

    def find(self, endpoint, kinds=None, consume=True):
        return self.world.script.find(endpoint, kinds, consume)

    async def serve(self, pipe, endpoint, via):
        try:
            await self._serve(pipe, endpoint, via)
        except (Reset, ValueError, IndexError):
            pass
        except Exception as e:      # a bug here must not look like a failure of the subject
            print(f"backend error: {e!r}")

    async def _serve(self, pipe, endpoint, via):
        e = self.find(endpoint, {"greeting"})
        if e:
            self.world.record(endpoint, via, kind="tcp", greeting=True)
            await pipe.write(e["greeting"].encode())
        if self.find(endpoint, {"conn_reset"}):
            pipe.abort()
            return
        head = b""
        while not head or len(head) < 4 and any(m.startswith(head.upper()) for m in METHODS + (b"PRI ",)):
            d = await pipe.read()
            if not d:
                self.world.record(endpoint, via, kind="tcp", data=text(head), eof=True)
                await pipe.write_eof()
                return
            head += d
        await self._by_first_bytes(Prefixed(pipe, head), head, endpoint, via)

    async def _by_first_bytes(self, pipe, head, endpoint, via):
        tls = head[:1] == b"\x16"
        opaque = bool(self.find(endpoint, {"greeting", "tcp", "raw_tls"}, False))
        if tls and self.find(endpoint, {"tls"}, False):
            pipe = h2io.TlsPipe(pipe, self.world.ca.context(True, None, TLS_NAMES, ("h2", "http/1.1"), False))
            await pipe.handshake()
            await self._serve(pipe, endpoint, {**via, "tls": True, "sni": None})
        elif tls and "tunnel" in via and any(c.isalpha() for c in endpoint) and "." in endpoint:
            await self._double_hbone(pipe, endpoint, via)       # the far network's gateway, then its ztunnel
        elif head[:4] == b"PRI " and not opaque:
            s = h2io.Session(pipe, False, None)
            s.on_stream = lambda st: self._h2(s, st, endpoint, via)
            await s.start()
            await s.reader
        elif head[:4].upper() in METHODS and not opaque:
            await self._h1(pipe, endpoint, via)
        else:
            await self._raw(pipe, endpoint, via)

    async def _double_hbone(self, pipe, endpoint, via):
        tls = h2io.TlsPipe(pipe, self.world.ca.context(True, FAR))
        await tls.handshake()

        async def on_stream(st):
            hs = [(text(k), text(v)) for k, v in st.headers]
            authority = dict(hs).get(":authority")
            inner = {**via["tunnel"], "inner": {"authority": authority, "headers": hs, "peer": peer_uri(tls.obj)}}
            self.world.tunnels.append(inner)
            s.c.send_headers(st.id, [(":status", "200")])
            await s.flush_quietly()
            await self.serve(st, f"inner {authority or ''}", {"tunnel": inner})
        s = h2io.Session(tls, False, on_stream)
        await s.start()
        await s.reader

    async def _raw(self, pipe, endpoint, via):
        r = self.world.record(endpoint, via, kind="tcp", data="")
        while d := await pipe.read():
            r["data"] += text(d)
            todo = self.find(endpoint, {"tcp"}).get("tcp", "echo")
            if todo == "reset":
                pipe.abort()
                return
            if todo == "close":
                await pipe.write_eof()
                pipe.close()
                return
            if todo != "sink":
                await pipe.write(d if todo == "echo" else todo.encode())
        await pipe.write_eof()

    # ---- HTTP/1.1
    async def _h1(self, pipe, endpoint, via):
        reader = Reader(pipe)
        while True:
            head = await reader.head()
            if head is None:
                await pipe.write_eof()
                return
            if not await self._h1_request(pipe, reader, head, endpoint, via):
                return

    async def _h1_request(self, pipe, reader, head, endpoint, via):
        """One request; whether another may follow."""
        line, hs = head
        method, _, rest = line.partition(" ")
        path, _, version = rest.rpartition(" ")
        rec = self.world.record(endpoint, via, kind="http", proto="http1", method=method, path=path, host=first(hs, "host"),
                                headers=hs, body="", version=version)
        e = self.find(endpoint)
        if e.get("reset") == "before-body":
            pipe.abort()
            return False
        if (first(hs, "expect") or "").lower() == "100-continue" and not e.get("no_continue"):
            await pipe.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        upgrade = first(hs, "upgrade")
        if upgrade and e.get("status", 101) == 101 and not e.get("refuse_upgrade"):
            await pipe.write(f"HTTP/1.1 101 Switching Protocols\r\nupgrade: {upgrade}\r\nconnection: Upgrade\r\n\r\n".encode())
            rec["upgraded"] = True
            await self._raw(Prefixed(pipe, bytes(reader.buf)), endpoint, via)
            return False
        if "chunked" in (first(hs, "transfer-encoding") or "").lower():
            body, rec["trailers"] = await reader.chunked()
            rec["body"] = text(body)
        elif first(hs, "content-length"):
            rec["body"] = text(await reader.exact(int(first(hs, "content-length"))))
        rec["done"] = True
        if e.get("reset") == "before-headers":
            pipe.abort()
            return False
        return await self._h1_answer(pipe, e, rec)

    async def _h1_answer(self, pipe, e, rec):
        if "raw" in e:
            await pipe.write(e["raw"].encode("latin-1"))
            close = e.get("close", True)
        else:
            await asyncio.sleep(e.get("delay_ms", 0) / 1000)
            for i in e.get("informational", ()):
                i = i if isinstance(i, dict) else {"status": i}
                lines = "".join(f"{k}: {v}\r\n" for k, v in i.get("headers", {}).items())
                await pipe.write(f"HTTP/1.1 {i['status']} Info\r\n{lines}\r\n".encode())
                await asyncio.sleep(i.get("then_ms", 0) / 1000)
            if not await self._h1_message(pipe, e, rec):
                return False
            close = e.get("close")
        if close:
            await pipe.write_eof()
            pipe.close()
        return not close

    async def _h1_message(self, pipe, e, rec):
        status, hs, body, trailers = reply(e, rec)
        chunked = bool(trailers) or e.get("chunked")
        out = [f"HTTP/1.1 {status} {e.get('reason', 'Reason')}"] + [f"{k}: {v}" for k, v in hs]
        if status not in (204, 304) or rec["method"] == "HEAD":
            out.append("transfer-encoding: chunked" if chunked else f"content-length: {len(body)}")
        if e.get("close"):
            out.append("connection: close")
        head = ("\r\n".join(out) + "\r\n\r\n").encode("latin-1")
        if rec["method"] == "HEAD" or status in (204, 304):
            await pipe.write(head)
        elif e.get("reset") in ("after-headers", "mid-body") or e.get("body_delay_ms"):
            k = 0 if e.get("reset") == "after-headers" else len(body) // 2
            await pipe.write(head + body[:k])
            await asyncio.sleep(e.get("body_delay_ms", 30) / 1000)
            if e.get("reset"):
                pipe.abort()
                return False
            await pipe.write(body[k:])
        elif chunked:
            tail = "".join(f"{k}: {v}\r\n" for k, v in trailers).encode()
            await pipe.write(head + b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, tail))
        else:
            await pipe.write(head + body)
        rec["replied"] = status
        return True

    # ---- HTTP/2
    async def _h2(self, s, st, endpoint, via):
        try:
            await self._h2_request(s, st, endpoint, via)
        except Reset:
            pass
        except Exception as e:
            print(f"h2 backend error: {e!r}")

    async def _h2_request(self, s, st, endpoint, via):
        hs = [(text(k), text(v)) for k, v in st.headers]
        d = dict(hs)
        rec = self.world.record(endpoint, via, kind="http", proto="http2", method=d.get(":method"), path=d.get(":path"),
                                host=d.get(":authority"), headers=hs, body="")
        e = self.find(endpoint)
        if e.get("reset") == "before-body":
            st.reset(e.get("code", 8))
            return
        if d.get(":protocol"):
            s.c.send_headers(st.id, [(":status", "200")])
            await s.flush()
            rec["upgraded"] = True
            await self._raw(st, endpoint, via)
            return
        rec["body"] = text(await st.read_all())
        if st.trailers:
            rec["trailers"] = [(text(k), text(v)) for k, v in st.trailers]
        rec["done"] = True
        if e.get("reset") == "before-headers":
            st.reset(e.get("code", 8))
            return
        await asyncio.sleep(e.get("delay_ms", 0) / 1000)
        await self._h2_answer(s, st, e, rec)

    @staticmethod
    async def _h2_answer(s, st, e, rec):
        status, hs, body, trailers = reply(e, rec)
        head = [(":status", str(status))] + hs
        if e.get("trailers_only"):
            s.c.send_headers(st.id, head + trailers, end_stream=True)
            await s.flush()
            return
        bare = rec["method"] == "HEAD" or status in (204, 304)
        if not trailers and not bare:
            head.append(("content-length", str(len(body))))
        s.c.send_headers(st.id, head, end_stream=bare and not trailers)
        await s.flush()
        if not bare:
            if e.get("reset") in ("after-headers", "mid-body"):
                await st.write(body[:len(body) // 2] if e["reset"] == "mid-body" else b"")
                await asyncio.sleep(0.03)
                st.reset(2)
                return
            await st.write(body)
            await st.write_eof(trailers or None)
        rec["replied"] = status
