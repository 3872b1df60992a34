"""From a case's words to bytes: requests, raw parts, sources. Nothing is sent here."""
from . import jwt
from .client import client_hello
from .script import grpc_frame


def _headers(parts, i):
    merged = {}
    for part in parts:
        merged.update((part.get("headers") or {}))
    return [(str(k), str(x).replace("%i", str(i)))
            for k, v in merged.items() if v is not None for x in (v if isinstance(v, list) else [v])]


class Requests:
    """`document` holds the defaults of its cases; `here` is where files are that cases name."""

    def __init__(self, document, names, here):
        self.doc, self.names, self.here = document, names, here

    def setting(self, case, key, default=None):
        return case.get(key, self.doc.get(key, default))

    def protocol(self, case):
        return self.setting(case, "protocol", "http1")

    def source(self, case):
        """(principal, address)"""
        s = self.setting(case, "source", {})
        s = {"workload": s} if isinstance(s, str) else dict(s)
        if "workload" in s:
            w = self.names.workload(s["workload"])
            s = {"principal": w.principal, "ip": w.addresses[0], **s}
        return s.get("principal", "spiffe://cluster.local/ns/default/sa/client"), s.get("ip", "10.244.1.250")

    def authority(self, case):
        return self.names.authority(self.setting(case, "connect"))

    def connect_headers(self, case):
        return (case.get("connect_headers") or self.doc.get("connect_headers") or {}).items()

    def http(self, case, i):
        """The i-th request of an HTTP case."""
        parts = [self.doc.get("request") or {}, case.get("request") or {}]
        d = {**parts[0], **parts[1]}
        hs = _headers(parts, i)
        if not any(k.lower() == "host" for k, _ in hs) and not d.get("no_host"):
            hs.insert(0, ("host", str(self.setting(case, "connect", "x"))))
        path = str(d.get("path", "/")).replace("%i", str(i))
        if "jwt" in d:
            hs.append((d.get("jwt_header", "authorization"), d.get("jwt_prefix", "Bearer ") + jwt.make(d["jwt"], self.here)))
        if "jwt_param" in d:
            path += ("&" if "?" in path else "?") + d["jwt_param"] + "=" + jwt.make(d["jwt_token"], self.here)
        if "grpc_hex" in d:
            body = grpc_frame(d["grpc_hex"])
        elif "body_size" in d:
            body = b"x" * d["body_size"]
        else:
            body = str(d.get("body", "")).encode()
        return {**d, "method": d.get("method", "GET"), "path": path, "headers": hs, "body_bytes": body}

    def hbone(self, case):
        """A hand-made stream on port 15008."""
        q = dict(case.get("request") or {})
        pseudo = dict(q.get("pseudo", {":authority": self.setting(case, "connect")}))
        if ":authority" in pseudo:
            pseudo[":authority"] = self.names.authority(pseudo[":authority"])
        return {**q, "pseudo": pseudo}

    def raw(self, case):
        """What goes into a tunnel byte for byte, in `parts`."""
        d = case.get("request") or {}
        if self.protocol(case) == "tls" or "client_hello" in d:
            parts = [client_hello(d.get("client_hello", d.get("sni", "example")), d.get("alpn", ()))]
        elif "hex" in d:
            parts = [bytes.fromhex(d["hex"])]
        elif "big_header" in d:
            parts = [b"GET /a HTTP/1.1\r\nHost: h\r\nx-big: " + b"v" * d["big_header"] + b"\r\n\r\n"]
        elif "many_headers" in d:
            parts = [b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"".join(b"x-%d: v\r\n" % k for k in range(d["many_headers"])) + b"\r\n"]
        elif "big_path" in d:
            parts = [b"GET /" + b"p" * d["big_path"] + b" HTTP/1.1\r\nHost: h\r\n\r\n"]
        else:
            data = d.get("data", d.get("raw", ""))
            parts = [p.encode("latin-1") for p in (data if isinstance(data, list) else [data]) if p]
        return {**d, "parts": parts}
