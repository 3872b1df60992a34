"""The source side: HBONE tunnels as any identity from any address, and what goes through them."""
import asyncio
import ssl
import time

from . import h2io
from .http1 import Reader, first, text
from .h2io import Reset, TcpPipe


class Refused(Exception):
    """CONNECT was answered with something else than 200."""

    def __init__(self, status, headers):
        super().__init__(f"CONNECT {status}")
        self.status, self.headers = status, headers


class Response(dict):
    __getattr__ = dict.get


class Source:
    """Pool of outer HBONE connections, one per (identity, source address)."""

    def __init__(self, ca, target, port=15008):
        self.ca, self.target, self.port = ca, target, port
        self.pool = {}

    async def session(self, principal, ip, fresh=False):
        key = (principal, ip)
        s = self.pool.get(key)
        if s is None or s.dead or s.goaway is not None or fresh:
            r, w = await asyncio.open_connection(
                self.target, self.port, ssl=self.ca.context(False, principal), server_hostname="", local_addr=(ip, 0) if ip else None)
            s = h2io.Session(TcpPipe(r, w), True)
            await s.start()
            try:
                await asyncio.wait_for(s.settled.wait(), 3)
            except asyncio.TimeoutError:
                pass
            if not fresh:
                self.pool[key] = s
        return s

    async def connect(self, principal, ip, authority, headers=(), method="CONNECT"):
        s = await self.session(principal, ip)
        h = [(":method", method), (":authority", authority)] + [(k, str(v)) for k, v in headers]
        st = await s.open(h)
        hs = await s.response(st)
        status = int(dict(hs)[b":status"])
        hs = [(text(k), text(v)) for k, v in hs]
        if status != 200:
            raise Refused(status, hs)
        return st, hs

    def close(self):
        for s in self.pool.values():
            s.close()


async def h1_response(h, method):
    """Reads one final response: Response(status, headers, body, trailers, informational, close)."""
    info, info_headers = [], []
    while True:
        hd = await h.head()
        if hd is None:
            raise Reset("closed before a response" + (f" (got {bytes(h.buf)[:80]!r})" if h.buf else ""))
        line, hs = hd
        parts = line.split(" ", 2)
        status = int(parts[1])
        if status == 101:
            return Response(status=101, headers=hs, body="", informational=info, version=parts[0], upgraded=True)
        if status >= 200:
            break
        info.append(status)
        info_headers.extend(hs)
    trailers, close, err = [], (first(hs, "connection") or "").lower() == "close", None
    body = b""
    try:
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "chunked" in (first(hs, "transfer-encoding") or "").lower():
            body, trailers = await h.chunked()
        elif first(hs, "content-length") is not None:
            body = await h.exact(int(first(hs, "content-length")))
        else:
            body, close = await h.to_eof(), True
    except (Reset, ValueError) as e:
        err, close = f"body: {e}", True
    return Response(status=status, reason=parts[2] if len(parts) > 2 else "", headers=hs, body=text(body), trailers=trailers,
                    informational=info, interim={"headers": info_headers}, close=close, version=parts[0], error=err)


class H1Conn:
    def __init__(self, pipe):
        self.p, self.h, self.usable = pipe, Reader(pipe), True

    async def request(self, q):
        body = q.get("body_bytes", b"")
        out = [f"{q['method']} {q['path']} HTTP/1.1"] + [f"{k}: {v}" for k, v in q["headers"]]
        names = {k.lower() for k, _ in q["headers"]}
        trailers = q.get("trailers")
        chunked = bool(trailers) or q.get("chunked")
        if chunked:
            out.append("transfer-encoding: chunked")
        elif body and "content-length" not in names:
            out.append(f"content-length: {len(body)}")
        await self.p.write(("\r\n".join(out) + "\r\n\r\n").encode("latin-1"))
        if chunked:
            await self.p.write((b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n"
                               + "".join(f"{k}: {v}\r\n" for k, v in (trailers or {}).items()).encode() + b"\r\n")
        elif body:
            if "expect" in names:
                while b"\r\n\r\n" not in self.h.buf:
                    if not await self.h.fill():
                        break
                if b" 100 " not in bytes(self.h.buf[:16]):
                    self.usable = False
                    return await h1_response(self.h, q["method"])
            await self.p.write(body)
        r = await h1_response(self.h, q["method"])
        self.usable = not r.close and not r.upgraded
        return r

    def close(self):
        self.p.close()


class H2Conn:
    def __init__(self, session):
        self.s = session

    @property
    def usable(self):
        return not self.s.dead and self.s.goaway is None

    async def request(self, q):
        hs, host = [], None
        for k, v in q["headers"]:
            if k.lower() == "host" and not q.get("keep_host"):
                host = v
            else:
                hs.append((k.lower(), str(v)))
        pseudo = [(":method", q["method"]), (":scheme", q.get("scheme", "http")), (":path", q["path"])]
        if host is not None:
            pseudo.append((":authority", host))
        pseudo += [(k, str(v)) for k, v in (q.get("pseudo") or {}).items()]
        body, trailers = q.get("body_bytes", b""), q.get("trailers")
        st = await self.s.open(pseudo + hs, end_stream=not body and not trailers and not q.get("keep_open"))
        if body:
            await st.write(body)
        if trailers:
            await st.write_eof([(k.lower(), v) for k, v in trailers.items()])
        elif body:
            await st.write_eof()
        rh = await self.s.response(st)
        rh = [(text(k), text(v)) for k, v in rh]
        d = dict(rh)
        err, data = None, bytearray()
        try:
            if not (q.get("pseudo") or {}).get(":protocol"):
                while True:
                    x = await st.read()
                    if not x:
                        break
                    data += x
        except Reset as e:
            err = f"body: {e}"
        return Response(status=int(d[":status"]), headers=[h for h in rh if not h[0].startswith(":")], body=text(data), error=err,
                        trailers=[(text(k), text(v)) for k, v in st.trailers or []],
                        informational=[int(dict(i)[b":status"]) for i in st.informational], version="HTTP/2",
                        interim={"headers": [(text(k), text(v)) for i in st.informational for k, v in i]})

    def close(self):
        self.s.close()


def client_hello(sni, alpn=()):
    """The bytes of a TLS ClientHello for a server name."""
    ctx = ssl.create_default_context()
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = ctx.wrap_bio(i, o, server_hostname=sni)
    try:
        obj.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return o.read()


async def hbone_exchange(ca, target, principal, ip, q, timeout):
    """One hand-made stream (or raw bytes) on a fresh outer connection."""
    t = q.get("tls") or {}
    ctx = ca.odd_client(t.get("client_cert", "normal"), principal, t.get("max") == "1.2", t.get("alpn", ("h2",)))
    t0 = time.monotonic()
    try:
        r, w = await asyncio.wait_for(asyncio.open_connection(target, 15008, ssl=ctx, server_hostname=q.get("sni", ""), local_addr=(ip, 0)), timeout)
    except (OSError, asyncio.TimeoutError) as e:
        return Response(error=f"tls: {e!r}", closed=True)
    pipe = TcpPipe(r, w)
    alpn = w.get_extra_info("ssl_object").selected_alpn_protocol()
    if "raw" in q:
        out = await raw_exchange(pipe, {"parts": [q["raw"].encode("latin-1")]}, timeout)
        pipe.close()
        return Response({**out, "alpn": alpn})
    s = h2io.Session(pipe, True)
    try:
        await s.start()
        await asyncio.wait_for(s.settled.wait(), timeout)
        hs = [(":method", q.get("method", "CONNECT"))] + [(k, str(v)) for k, v in (q.get("pseudo") or {}).items()]
        hs += [(k, str(v)) for k, v in (q.get("headers") or {}).items()]
        st = await s.open(hs, end_stream=q.get("end_stream", False))
        if "data" in q:
            await st.write(q["data"].encode("latin-1"))
        rh = [(text(k), text(v)) for k, v in await asyncio.wait_for(s.response(st), timeout)]
        body = b""
        try:
            body = await asyncio.wait_for(st.read(), q.get("read_ms", 300) / 1000)
        except (asyncio.TimeoutError, Reset):
            pass
        return Response(status=int(dict(rh)[":status"]), headers=[h for h in rh if h[0] != ":status"], body=text(body), alpn=alpn,
                        closed=bool(st.ended or st.reset_code is not None), ms=(time.monotonic() - t0) * 1000)
    except Reset as e:
        return Response(error=f"reset: {e}", closed=True, goaway=s.goaway)
    except asyncio.TimeoutError:
        return Response(error="silence")
    finally:
        s.close()


async def raw_exchange(pipe, q, timeout):
    """Sends bytes, gathers what comes back until close or silence."""
    out, closed, err = bytearray(), False, None
    if q.get("wait_first"):
        try:
            out += await asyncio.wait_for(pipe.read(), timeout)
        except asyncio.TimeoutError:
            err = "timeout waiting for the server's first bytes"
        except Reset as e:
            return Response(reply=text(out), closed=True, error=str(e))
    t0 = time.monotonic()
    try:
        for i, part in enumerate(q.get("parts", ())):
            if i:
                await asyncio.sleep(q.get("gap_ms", 30) / 1000)
            await pipe.write(part)
        if q.get("eof"):
            await pipe.write_eof()
        want = q.get("read_bytes")
        while not err and (want is None or len(out) < want):
            left = timeout - (time.monotonic() - t0)
            idle = q.get("idle_ms", 200) / 1000 if out else left
            d = await asyncio.wait_for(pipe.read(), max(0.01, min(left, idle)))
            if not d:
                closed = True
                break
            out += d
    except asyncio.TimeoutError:
        err = None if out else "silence"
    except Reset as e:
        closed, err = True, str(e)
    return Response(reply=text(out), closed=closed, error=err)
