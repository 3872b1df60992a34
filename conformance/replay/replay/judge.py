"""Compares what a case expects with what was seen. Pure: `Judge(...).verdict()` is a list of complaints."""
import collections
import math
import re

from .client import Response
from .http1 import joined

LOG_COLUMNS = (("flags", 2), ("details", 3), ("route", 4), ("cluster", 5), ("termination", 7))


def value_ok(want, got):
    """`~re` regular expression, `*` present, a list of acceptable values, otherwise equality."""
    if isinstance(want, list):
        return any(value_ok(w, got) for w in want)
    if want == "*":
        return got is not None
    if got is None:
        return want is None
    want = str(want)
    if want.startswith("~"):
        return re.search(want[1:], got, re.S) is not None
    return want == got


def in_range(have, want):
    if isinstance(want, list):
        return want[0] <= have <= want[1]
    return abs(have - want) < 1e-9


def is_count(want):
    """Counts are integers or [low, high]; shares are floats, and 1 is all."""
    return isinstance(want, list) or isinstance(want, int) and want != 1


def status_of(r):
    return r.get("status") if r.get("status") is not None else ("reset" if r.get("error") else None)


class Judge:
    def __init__(self, names, expect, got):
        self.names, self.expect, self.got = names, expect, got
        self.responses, self.why = got["responses"], []
        self.first = self.responses[0] if self.responses else Response()
        self.tolerance = expect.get("tolerance", 0.05)
        self.mirrors = expect.get("mirrored") or {}
        self.mine = [r for r in got["records"] if not self.is_mirror(r)]
        self.shadow = collections.Counter(r["endpoint"] for r in got["records"] if self.is_mirror(r))

    def is_mirror(self, record):
        return any(self.names.match_endpoint(k, record["endpoint"]) for k in self.mirrors)

    def bad(self, what, want, have):
        self.why.append(f"{what}: expected {want}, got {have}")

    def verdict(self):
        e = self.expect
        for key, check in (("status", self.status), ("endpoints", self.endpoints), ("upstream_request", self.upstream),
                           ("response", self.response), ("mirrored", self.mirrored), ("tunnel", self.tunnel),
                           ("duration_ms", self.duration), ("replies", self.replies), ("error", self.error),
                           ("resumed", self.resumed)):
            if key in e:
                check(e[key])
        self.counts()
        self.bytes()
        self.log()
        return self.why + self.got.get("untold", [])

    # ---- how many, where
    def status(self, want):
        seen = collections.Counter(status_of(r) for r in self.responses)
        if isinstance(want, dict):
            for k, f in want.items():
                self.share(f"status {k}", f, sum(n for x, n in seen.items() if str(x) == str(k)), seen)
            if {str(x) for x in seen} - {str(x) for x in want}:
                self.bad("status", list(want), dict(seen))
            return
        allowed = {str(x) for x in (want if isinstance(want, list) else [want])}
        if not seen or any(str(k) not in allowed for k in seen):
            errors = sorted({r["error"] for r in self.responses if r.get("error")})[:3]
            self.bad("status", want, f"{dict(seen)}" + (f" {errors}" if errors else ""))

    def share(self, what, want, have, seen):
        total = sum(seen.values())
        if is_count(want):
            if not in_range(have, want):
                self.bad(f"{what} count", want, f"{have} of {dict(seen)}")
        elif not total or abs(have / total - want) > self.tolerance:
            self.bad(f"{what} share", want, f"{have}/{total} of {dict(seen)}")

    def endpoints(self, want):
        seen = collections.Counter(r["endpoint"] for r in self.mine)
        if not want:
            if seen:
                self.bad("endpoints", "none reached", dict(seen))
            return
        keys = [want] if isinstance(want, str) else want
        if any(not any(self.names.match_endpoint(k, ep) for k in keys) for ep in seen):
            self.bad("endpoints", list(keys), dict(seen))
        if isinstance(want, dict):
            for k, f in want.items():
                self.share(f"endpoint {k}", f, sum(n for ep, n in seen.items() if self.names.match_endpoint(k, ep)), seen)
        elif not seen:
            self.bad("endpoints", want, "none reached")

    def counts(self):
        e, have = self.expect, {
            "distinct_endpoints": len({r["endpoint"] for r in self.mine}),
            "attempts": len(self.mine) / max(1, len(self.responses)),
            "opened": self.got.get("opened", 0), "exit": self.got.get("exit"),
            "answered": len(self.responses)}
        for k, n in have.items():
            if k in e and (n is None or not in_range(n, e[k])):
                self.bad(k, e[k], n)
        if "connect_status" in e and not value_ok(e["connect_status"], str(self.got["connect_status"])):
            self.bad("connect_status", e["connect_status"], self.got["connect_status"])

    def mirrored(self, wants):
        for k, want in wants.items():
            have = sum(n for ep, n in self.shadow.items() if self.names.match_endpoint(k, ep))
            n = want.get("count", [1, 1e9]) if isinstance(want, dict) else want
            if isinstance(n, float) and n <= 1:
                all_of = len(self.responses)
                n = [math.floor((n - self.tolerance) * all_of), math.ceil((n + self.tolerance) * all_of)]
            if not in_range(have, n):
                self.bad(f"mirrored {k}", n, have)
            if isinstance(want, dict) and "request" in want:
                copies = [r for r in self.got["records"] if r["kind"] == "http" and self.names.match_endpoint(k, r["endpoint"])]
                for r in copies[:1]:
                    self.message("mirrored", want["request"], r)

    # ---- what
    def message(self, side, want, r):
        """A request or response against what is wanted of it."""
        for k in ("path", "host", "method", "proto", "body", "data", "version", "reason"):
            if k in want and not value_ok(want[k], r.get(k)):
                self.bad(f"{side} {k}", repr(want[k]), repr((r.get(k) or "")[:200]))
        for k, v in (want.get("headers") or {}).items():
            if not value_ok(v, joined(r.get("headers"), k)):
                self.bad(f"{side} header {k}", v, joined(r.get("headers"), k))
        for k in want.get("absent") or ():
            if joined(r.get("headers"), k) is not None:
                self.bad(f"{side} header {k}", "absent", joined(r.get("headers"), k))
        for k, v in (want.get("trailers") or {}).items():
            if not value_ok(v, joined(r.get("trailers"), k)):
                self.bad(f"{side} trailer {k}", v, joined(r.get("trailers"), k))

    def upstream(self, want):
        pool = [r for r in self.mine if r["kind"] == "http"] or self.mine
        if not pool:
            self.bad("upstream_request", want, "no request reached an endpoint")
        for r in pool if self.expect.get("every") else pool[:1]:
            self.message("upstream", want, r)

    def response(self, want):
        for r in self.responses if self.expect.get("every") else self.responses[:1]:
            self.message("response", want, r)

    def tunnel(self, want):
        if not self.got["tunnels"]:
            self.bad("tunnel", want, "no CONNECT reached an endpoint")
        for t in self.got["tunnels"][:1]:
            for k in ("authority", "peer", "source"):
                w = want.get(k)
                if w is not None and not value_ok(self.names.authority(w) if k == "authority" else w, t[k]):
                    self.bad(f"tunnel {k}", w, t[k])
            self.message("tunnel", {k: want[k] for k in ("headers", "absent") if k in want}, t)

    def duration(self, want):
        slow = next((r for r in self.responses if not in_range(r["ms"], want)), None)
        if slow:
            self.bad("duration_ms", want, round(slow["ms"]))

    # ---- bytes
    def bytes(self):
        e, r = self.expect, self.first
        error = f" ({r.get('error')})" if r.get("error") else ""
        if "reply" in e and not value_ok(e["reply"], r.get("reply") or ""):
            self.bad("reply", e["reply"], repr((r.get("reply") or "")[:200]) + error)
        if e.get("reply_echo") and r.get("reply") != r.get("sent"):
            self.bad("reply", "echo", repr((r.get("reply") or "")[:120]) + error)
        if "closed" in e and bool(r.get("closed")) != e["closed"]:
            self.bad("closed", e["closed"], bool(r.get("closed")))
        if "statuses" in e and r.get("statuses") != e["statuses"]:
            self.bad("statuses", e["statuses"], f"{r.get('statuses')} reply {(r.get('reply') or '')[:160]!r}{error}")
        if "informational" in e and r.get("informational", []) != e["informational"]:
            self.bad("informational", e["informational"], r.get("informational"))
        if "interim" in e:
            self.message("interim", e["interim"], r.get("interim") or {})

    def replies(self, want):
        have = collections.Counter(r.get("reply") or "" for r in self.responses)
        for k, n in want.items():
            if not in_range(have.get(k, 0), n):
                self.bad(f"replies {k!r}", n, dict(have))

    def error(self, want):
        have = self.first.get("error")
        ok = bool(have) == want if isinstance(want, bool) else value_ok(want, have)
        if not ok:
            self.bad("error", want, have)

    # ---- the subject's own word
    def log(self):
        for k, column in LOG_COLUMNS:
            if k not in self.expect:
                continue
            have = [x[column] for x in self.got.get("log", ())]
            if not have:
                self.bad(k, self.expect[k], "no access log line")
            elif not any(value_ok(self.expect[k], h) for h in have):
                self.bad(k, self.expect[k], sorted(set(have)))

    def resumed(self, types):
        """After a lost ADS stream each type's first request must name exactly what was held."""
        for t in types:
            difference = self.got.get("resumed", {}).get(t)
            if difference is None:
                self.bad(f"resumed {t}", "a new subscription", "none")
            elif difference:
                self.bad(f"resumed {t}", "initial_resource_versions of all that was held", f"a difference in {sorted(difference)[:5]}")


def control_plane(expected, control):
    """Complaints about NACKs (all and only the expected ones) and protocol violations."""
    why = []
    for n in control.nacks:
        if not any(n["type"] == w["type"] and value_ok(w["message"], n["message"]) for w in expected):
            why.append(f"NACK {n['type']}: {n['message'][:300]}")
    for w in expected:
        if not any(n["type"] == w["type"] and value_ok(w["message"], n["message"]) for n in control.nacks):
            why.append(f"no NACK of {w['type']} with {w['message']}")
    return why + sorted(set(control.violations))


def summary(got, log):
    """What a reader wants to see of a case."""
    rs = got["responses"]
    s = {"status": dict(collections.Counter(str(status_of(r) if status_of(r) != "reset" else r.get("error")) for r in rs)),
         "endpoints": dict(collections.Counter(r["endpoint"] for r in got["records"])), "connect": got["connect_status"]}
    for r in rs[:1]:
        s["ms"] = round(r["ms"])
        s.update({k: r[k] for k in ("headers", "trailers", "statuses", "closed", "error", "informational") if r.get(k)})
        s.update({k: r[k][:300] for k in ("body", "reply") if r.get(k)})
    s.update({k: got[k] for k in ("exit", "exit_after_s", "resumed") if k in got})
    for r in got["records"][:1]:
        s["upstream"] = {k: v[:200] if k == "body" else v for k, v in r.items() if k not in ("time", "tunnel", "kind")}
    if log:
        s["log"] = list(dict.fromkeys(" ".join(x[1:6] + x[7:9]) for x in log))[:6]
    for t in got["tunnels"][:1]:
        s["tunnel"] = {k: t[k] for k in ("authority", "headers", "peer", "source")}
    return s
