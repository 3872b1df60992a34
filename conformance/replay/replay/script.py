"""The `upstream:` list of a case: what the endpoints answer."""
import json


class Script:
    def __init__(self, entries=(), names=None):
        self.entries = [dict(e) for e in entries or ()]
        self.names = names or {}        # {ip: names}

    def _is_for(self, entry, endpoint):
        t, ip = entry.get("endpoint", "*"), endpoint.rsplit(":", 1)[0]
        return t in ("*", endpoint, ip) or t in self.names.get(ip, ())

    def find(self, endpoint, kinds=None, consume=True):
        """The first entry for this endpoint that has one of the keys `kinds`; uses up one of its `times`."""
        for e in self.entries:
            if not self._is_for(e, endpoint) or e.get("times", 1) <= 0 or (kinds and not kinds & e.keys()):
                continue
            if consume and "times" in e:
                e["times"] -= 1
            return e
        return {}


def grpc_frame(hex_text):
    p = bytes.fromhex(hex_text)
    return b"\0" + len(p).to_bytes(4, "big") + p


def _body(e, request):
    if "body_hex" in e:
        return bytes.fromhex(e["body_hex"])
    if "grpc_hex" in e:
        return grpc_frame(e["grpc_hex"])
    if "body" in e:
        return e["body"].encode() if isinstance(e["body"], str) else json.dumps(e["body"]).encode()
    if "body_size" in e:
        return b"x" * e["body_size"]
    return json.dumps({k: request[k] for k in ("endpoint", "method", "path", "host", "proto")}).encode()


def reply(e, request):
    """(status, headers, body, trailers) of an entry; without `body` an echo of the request."""
    hs = [(k.lower(), str(v)) for k, v in (e.get("headers") or {}).items() for v in (v if isinstance(v, list) else [v])]
    if "headers_size" in e:
        hs.append(("x-big", "v" * e["headers_size"]))
    grpc = "grpc_hex" in e or "grpc_status" in e
    if not any(k == "content-type" for k, _ in hs):
        hs.append(("content-type", "application/grpc" if grpc else "application/json"))
    trailers = [(k.lower(), str(v)) for k, v in (e.get("trailers") or {}).items()]
    if grpc:
        trailers.append(("grpc-status", str(e.get("grpc_status", 0))))
    return e.get("status", 200), hs, _body(e, request), trailers
