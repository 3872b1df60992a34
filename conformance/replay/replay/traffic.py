"""Sends what a case says, in as many lanes as it says, and gathers what was seen on both sides."""
import asyncio
import time

from .client import H1Conn, H2Conn, Refused, Response, hbone_exchange, raw_exchange
from .h2io import Reset, Session
from .http1 import parse_responses
from .script import Script
from .telemetry import KEYS, Telemetry

LOGGED = ("flags", "details", "route", "cluster", "termination")


class Drained(Exception):
    """The subject was told to end and takes no more connections: a client goes elsewhere, nothing is lost."""


class Traffic:
    """`events` do to the subject and its istiod what a case wants done while it runs."""

    def __init__(self, requests, world, subject, source, events):
        self.requests, self.world, self.subject, self.source, self.events = requests, world, subject, source, events
        self.names, self.doc = requests.names, requests.doc
        self.telemetry = Telemetry(subject, world, self.names)
        self.kept = {}          # connections that outlive their case, by name

    async def run(self, case):
        expect = case.get("expect") or {}
        down = [self.names.endpoint_ip(d) for d in case.get("down", ())]
        await self._prepare(case, down)
        logged = any(k in expect for k in LOGGED)
        if logged:
            await asyncio.sleep(0.06)       # lines of the case before
        self.telemetry.begin()
        got = {"responses": [], "connect_status": None, "log_start": len(self.subject.access_lines())}
        during = asyncio.ensure_future(self.events.run(case.get("during"), got))
        await self._send(case, got)
        await during
        await asyncio.sleep(case.get("settle_ms", 60 if expect.get("mirrored") is not None else 0) / 1000)
        if logged:
            await self._read_log(got, min(int(case.get("repeat", 1)), 5))
        if any(k in expect for k in KEYS):
            got["untold"] = await self.telemetry.gather(expect)
        ignore = self.doc.get("ignore") or ()
        got["records"] = [r for r in self.world.records if not any(self.names.match_endpoint(k, r["endpoint"]) for k in ignore)]
        got["tunnels"] = list(self.world.tunnels)
        for a in down:
            await self.world.reopen(a)
        return got

    async def _prepare(self, case, down):
        entries = (case.get("upstream") or []) + (self.doc.get("upstream") or [])
        self.world.begin(Script(entries, self.names.by_address()))
        for a in down:
            await self.world.close(a)
        if case.get("fresh_upstream") or down:
            await self.world.drop()

    async def _read_log(self, got, wanted):
        for _ in range(60):
            got["log"] = self.subject.access_lines()[got["log_start"]:]
            if len(got["log"]) >= wanted:
                return
            await asyncio.sleep(0.02)

    async def _send(self, case, got):
        proto, n, lanes = self.requests.protocol(case), int(case.get("repeat", 1)), int(case.get("concurrency", 1))
        if proto == "hbone":
            for _ in range(n):
                got["responses"].append(await self._hbone(case))
        elif proto in ("tcp", "raw", "tls"):
            for i in range(0, n, lanes):
                got["responses"] += await asyncio.gather(*[self._raw(case, got) for _ in range(min(lanes, n - i))])
        else:
            counter = iter(range(n))
            await asyncio.gather(*[self._lane(case, got, proto, counter) for _ in range(min(lanes, n))])

    async def _hbone(self, case):
        q, t0 = self.requests.hbone(case), time.monotonic()
        target = self.subject.stream.pod_ips[0]
        r = await hbone_exchange(self.source.ca, target, *self.requests.source(case), q, q.get("timeout_ms", 2000) / 1000)
        r["ms"] = (time.monotonic() - t0) * 1000
        return r

    async def _tunnel(self, case):
        principal, ip = self.requests.source(case)
        return await self.source.connect(principal, ip, self.requests.authority(case), self.requests.connect_headers(case))

    async def _raw(self, case, got):
        t0 = time.monotonic()
        try:
            pipe, _ = await self._tunnel(case)
            got["connect_status"] = 200
        except Refused as e:
            got["connect_status"] = e.status
            return Response(error=f"CONNECT {e.status}", ms=(time.monotonic() - t0) * 1000)
        except Reset as e:
            return Response(error=f"CONNECT: {e}", closed=True, ms=(time.monotonic() - t0) * 1000)
        q = self.requests.raw(case)
        r = await raw_exchange(pipe, q, q.get("timeout_ms", 1500) / 1000)
        r["ms"] = (time.monotonic() - t0) * 1000
        r["sent"] = b"".join(q["parts"]).decode("latin-1")
        if q.get("parse", self.requests.protocol(case) == "raw"):
            r.update(parse_responses(r["reply"]))
        await asyncio.sleep(q.get("hold_ms", 0) / 1000)
        pipe.reset()
        return r

    async def _lane(self, case, got, proto, counter):
        """One client: requests one after the other, on one connection where it stays open."""
        lane = Lane(self, case, got, proto)
        for i in counter:
            t0 = time.monotonic()
            try:
                r = await lane.request(self.requests.http(case, i))
            except Drained:
                return
            r["ms"] = (time.monotonic() - t0) * 1000
            got["responses"].append(r)
            await asyncio.sleep(case.get("gap_ms", 0) / 1000)
        lane.close()


class Lane:
    def __init__(self, traffic, case, got, proto):
        self.traffic, self.case, self.got, self.proto = traffic, case, got, proto
        self.key = case.get("connection")
        self.conn = None

    async def request(self, q):
        try:
            await self._connect()
            return await asyncio.wait_for(self.conn.request(q), self.case.get("request_timeout_s", 20))
        except Refused as e:
            self.got["connect_status"], self.conn = e.status, None
            return Response(error=f"CONNECT {e.status}", headers=e.headers)
        except Reset as e:
            self.conn = None
            return Response(error=f"reset: {e}", closed=True)
        except asyncio.TimeoutError:
            if self.conn:
                self.conn.close()
            self.conn = None
            return Response(error="no response in time")

    async def _connect(self):
        kept = self.traffic.kept.get(self.key)
        if self.conn is None and kept is not None and kept.usable:
            self.conn, self.got["connect_status"] = kept, 200
        if self.conn is not None and self.conn.usable and not self.case.get("new_connection"):
            return
        self.close()
        try:
            pipe, headers = await self.traffic._tunnel(self.case)
        except (OSError, Reset, Refused):
            if self.traffic.events.terminated:
                raise Drained from None
            raise
        if self.proto == "http2":
            session = Session(pipe, True)
            await session.start()
            self.conn = H2Conn(session)
        else:
            self.conn = H1Conn(pipe)
        self.got["connect_status"], self.got["connect_headers"] = 200, headers
        if self.key:
            self.traffic.kept[self.key] = self.conn
            self.got["opened"] = self.got.get("opened", 0) + 1

    def close(self):
        if self.conn is not None and not self.key:
            self.conn.close()
        self.conn = None
