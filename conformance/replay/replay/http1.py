"""HTTP/1.1 bytes, read leniently on purpose: the subject is judged, not helped."""
from .h2io import Reset

# By their first four bytes, in any case: `get` is a method like another.
METHODS = (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC")


def text(b):
    return b.decode("latin-1") if isinstance(b, (bytes, bytearray)) else b


def first(hs, name):
    for k, v in hs:
        if k.lower() == name:
            return v
    return None


def joined(hs, name):
    """All values of a header joined by commas, or None."""
    v = [v for k, v in hs or () if k.lower() == name.lower()]
    return ",".join(v) if v else None


def fields(lines):
    return [(k.strip(), v.strip()) for k, _, v in (text(ln).partition(":") for ln in lines)]


class Prefixed:
    """A pipe with bytes pushed back in front."""

    def __init__(self, pipe, head):
        self.p, self.head = pipe, head

    async def read(self):
        if self.head:
            h, self.head = self.head, b""
            return h
        return await self.p.read()

    def __getattr__(self, k):
        return getattr(self.p, k)


class Reader:
    """Messages from a pipe."""

    def __init__(self, pipe):
        self.p, self.buf = pipe, bytearray()

    async def fill(self):
        d = await self.p.read()
        self.buf += d
        return bool(d)

    async def head(self):
        """(start line, fields), or None at the end of the stream."""
        while b"\r\n\r\n" not in self.buf:
            if not await self.fill():
                return None
        i = self.buf.index(b"\r\n\r\n")
        lines = bytes(self.buf[:i]).split(b"\r\n")
        del self.buf[:i + 4]
        return text(lines[0]), fields(lines[1:])

    async def exact(self, n):
        while len(self.buf) < n:
            if not await self.fill():
                raise Reset("eof in body")
        d = bytes(self.buf[:n])
        del self.buf[:n]
        return d

    async def line(self):
        while b"\r\n" not in self.buf:
            if not await self.fill():
                raise Reset("eof in chunk")
        i = self.buf.index(b"\r\n")
        d = bytes(self.buf[:i])
        del self.buf[:i + 2]
        return d

    async def chunked(self):
        """(body, trailers)"""
        out, trailers = bytearray(), []
        while True:
            n = int((await self.line()).split(b";")[0], 16)
            if n == 0:
                break
            out += await self.exact(n)
            await self.line()
        while ln := await self.line():
            trailers += fields([ln])
        return bytes(out), trailers

    async def to_eof(self):
        while await self.fill():
            pass
        d = bytes(self.buf)
        self.buf.clear()
        return d


def parse_responses(reply):
    """Status codes, and the first response's headers and body, in a raw reply."""
    statuses, i = [], 0
    while reply.startswith("HTTP/", i):
        j = reply.find("\r\n\r\n", i)
        if j < 0:
            break
        lines = reply[i:j].split("\r\n")
        code = int(lines[0].split(" ")[1])
        statuses.append(code)
        hs = fields(lines[1:])
        i = j + 4
        if code < 200:
            continue
        length = first(hs, "content-length")
        if length is not None:
            i += int(length)
        elif "chunked" in (first(hs, "transfer-encoding") or ""):
            k = reply.find("0\r\n\r\n", i)
            i = k + 5 if k >= 0 else len(reply)
    out = {"statuses": statuses}
    if statuses:
        j = reply.find("\r\n\r\n")
        out.update(status=statuses[0], headers=fields(reply[:j].split("\r\n")[1:]), body=reply[j + 4:])
    return out
