"""What the subject tells about requests: its metrics, its log lines, and what it sends to collectors."""
import asyncio
import re

from envoy.service.accesslog.v3 import als_pb2
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

MESSAGES = {
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": logs_service_pb2.ExportLogsServiceRequest,
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": trace_service_pb2.ExportTraceServiceRequest,
    "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs": als_pb2.StreamAccessLogsMessage,
}
PATIENCE_S = 15         # batches leave every second
KEYS = ("metrics", "lines", "collected")


def decode(path, body):
    """The messages of a gRPC request as protobuf text; any other body as it is."""
    kind = MESSAGES.get(path)
    if kind is None:
        return [body]
    data, out = body.encode("latin-1"), []
    while data:
        size = int.from_bytes(data[1:5], "big")
        try:
            out.append(text_format.MessageToString(kind.FromString(data[5:5 + size])))
        except DecodeError as e:
            out.append(f"no {kind.__name__}: {e}")
        data = data[5 + size:]
    return out


class Telemetry:
    def __init__(self, subject, world, names):
        self.subject, self.world, self.names = subject, world, names
        self.start = 0

    def begin(self):
        self.start = len(self.subject.lines())

    async def gather(self, expect):
        """Until all that is expected is there, or patience ends: complaints."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while why := await self.missing(expect):
            if asyncio.get_running_loop().time() > end:
                return why
            await asyncio.sleep(0.1)
        # Lines come in order: what must not be there would be there by now.
        absent = [p for p in (expect.get("lines") or {}).get("absent", ()) if self.line(p)]
        return [f"a log line like {p}" for p in absent]

    def line(self, pattern):
        return any(re.search(pattern, ln) for ln in self.subject.lines()[self.start:] if not ln.startswith("REPLAY\t"))

    async def missing(self, expect):
        why = [f"no log line like {p}" for p in (expect.get("lines") or {}).get("present", ()) if not self.line(p)]
        if "metrics" in expect:
            _, page = await self.subject.http("GET", 15020, "/stats/prometheus")
            why += [f"no metric like {p}" for p in expect["metrics"] if not re.search(p, page, re.M)]
        for want in expect.get("collected") or ():
            why += self.uncollected(want)
        return why

    def uncollected(self, want):
        """`at` an endpoint, by `path`: one message that has all of `has`, from a request with these `headers`."""
        seen = [r for r in self.world.records if r["kind"] == "http" and r.get("done") and r["path"] == want["path"]
                and self.names.match_endpoint(want["at"], r["endpoint"])]
        seen = [r for r in seen if all(dict(r["headers"]).get(k) == v for k, v in (want.get("headers") or {}).items())]
        messages = [m for r in seen for m in decode(r["path"], r["body"])]
        if any(all(re.search(p, m) for p in want["has"]) for m in messages):
            return []
        return [f"{want['at']} got nothing with {want['has']} among {messages[:4]}"]
