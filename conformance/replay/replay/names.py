"""Names in cases → addresses: Services from objects.yaml and the matcher tree, pods from WDS."""
import collections
import os
import re

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def short_names(workload):
    """Pod name, workload name, and the Deployment's name taken from a generated pod name."""
    m = re.match(r"(.+)-[a-z0-9]{6,10}-[a-z0-9]{5}$", workload.name)
    return {workload.name, workload.workload_name} | ({m.group(1)} if m else set())


class UnknownName(Exception):
    """A case names a workload that the stream does not have at this step."""


class Names:
    def __init__(self, scenario, stream):
        self.stream, self.vips, self._cached = stream, {}, None
        path = os.path.join(scenario, "objects.yaml")
        if os.path.exists(path):
            with open(path) as f:
                for o in yaml.load_all(f, Loader=LOADER):
                    self._object(o or {})
        for host, vip in stream.vips().items():
            self.vips.setdefault(host, vip)
            if host.endswith(".svc.cluster.local"):
                self.vips.setdefault(host[:-len(".svc.cluster.local")], vip)

    def _object(self, o):
        spec = o.get("spec", {})
        if o.get("kind") == "Service" and spec.get("clusterIP") not in (None, "", "None"):
            md = o["metadata"]
            self.vips[f"{md['name']}.{md.get('namespace', 'default')}"] = spec["clusterIP"]
        elif o.get("kind") == "ServiceEntry":
            ips = spec.get("addresses") or [a.get("value") for a in (o.get("status") or {}).get("addresses") or []]
            for h in spec.get("hosts", ()) if ips else ():
                self.vips[h] = ips[0].split("/")[0]

    def ip(self, name):
        for n in (name, f"{name}.{self.stream.ns}"):
            if n in self.vips:
                return self.vips[n]
        w = self.find(name)
        return w.addresses[0] if w else None

    def find(self, name):
        """`productpage-v1`, `productpage-v1#1` (second pod), `ns/name`, or a pod name; None if there is none."""
        name, _, n = str(name).partition("#")
        ns, _, short = name.rpartition("/")
        found = [w for w in self.stream.workloads.values() if w.addresses and (not ns or w.namespace == ns)
                 and short in short_names(w)]
        found.sort(key=lambda w: (w.namespace != self.stream.ns, w.addresses))
        i = int(n or 0)
        return found[i] if len(found) > i else None

    def workload(self, name):
        w = self.find(name)
        if w is None:
            raise UnknownName(f"no workload {name}")
        return w

    def endpoint_ip(self, name):
        w = self.find(name)
        return w.addresses[0] if w else str(name)

    def authority(self, s):
        """`service:port` → `vip:port`; `=text` is literal; what is no known name stays as it is."""
        s = str(s)
        if s.startswith("="):
            return s[1:]
        host, sep, port = s.rpartition(":")
        if not sep or host.replace(".", "").isdigit() or host.startswith("["):
            return s
        a = self.ip(host)
        if a is None:
            return s
        return f"[{a}]:{port}" if ":" in a else f"{a}:{port}"

    def by_address(self):
        """{ip: every name that a case may use for it}."""
        if self._cached is not self.stream.by_ip:
            groups, out = collections.defaultdict(list), collections.defaultdict(set)
            for ip, w in self.stream.by_ip.items():
                for n in self.aliases(ip):
                    out[ip].add(n)
                    groups[n].append((w.namespace != self.stream.ns, w.addresses, ip))
            for n, members in groups.items():
                for i, (_, _, ip) in enumerate(sorted(members)):
                    out[ip].add(f"{n}#{i}")
            self._cached, self._aliases = self.stream.by_ip, out
        return self._aliases

    def aliases(self, ip):
        w = self.stream.by_ip.get(ip)
        return {x for n in short_names(w) for x in (n, f"{w.namespace}/{n}")} if w else set()

    def match_endpoint(self, key, endpoint):
        ip = endpoint.rpartition(":")[0]
        key = str(key)
        if key in (endpoint, ip) or key in self.aliases(ip):
            return True
        if "#" not in key and ":" not in key:
            return False
        name, sep, port = key.rpartition(":")
        if not sep or not port.isdigit():
            name, port = key, ""
        w = self.find(name)
        return bool(w) and ip in w.addresses and (not port or endpoint.endswith(":" + port))
