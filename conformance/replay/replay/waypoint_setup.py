"""Our waypoint's pod: the files, environment and arguments that istiod's Deployment template gives it."""
import json
import os

LABELS = {"service.istio.io/canonical-name": "waypoint"}
# What pilot-agent and the template put into PROXY_CONFIG; the rest of the recorded metadata is derived by the proxy.
PROXY_CONFIG = ("proxyMetadata", "image", "terminationDrainDuration", "drainDuration", "tracing", "concurrency", "statusPort")
ISTIOD = "istiod.istio-system.svc:15012"
ROOT = "/var/run/secrets/istio/root-cert.pem"


def lines(values):
    return "".join(f'{k}="{v}"\n' for k, v in values.items()).encode()


def write_files(stream, ca):
    """Under paths that exist only in this mount namespace. `/etc/certs` is what a user mounts for DestinationRules of mode
    MUTUAL; Envoy is given the same by the agent's SDS."""
    md = stream.metadata
    for d in ("/run/secrets/istio", "/run/secrets/tokens", "/etc/istio/pod", "/etc/istio/proxy", "/etc/certs", "/var/run/secrets/istio"):
        os.makedirs(d, exist_ok=True)
    client = ca.issue(ca.leaf_key.public_key(), uri=stream.principal) + ca.root_pem
    files = {ROOT: ca.root_pem,
             "/etc/certs/ca.pem": ca.root_pem, "/etc/certs/cert.pem": client, "/etc/certs/key.pem": ca.leaf_key_pem,
             "/var/run/secrets/tokens/istio-token": b"replay-token",
             "/etc/istio/pod/labels": lines(md.get("LABELS", LABELS)),
             "/etc/istio/pod/annotations": lines(md.get("ANNOTATIONS", {}))}
    for path, data in files.items():
        with open(path, "wb") as f:
            f.write(data)


def environment(stream):
    md, sa = stream.metadata, stream.sa
    recorded = md.get("PROXY_CONFIG") or {}
    config = {"discoveryAddress": ISTIOD, **{k: recorded[k] for k in PROXY_CONFIG if k in recorded}}
    return {
        "POD_NAME": stream.pod, "POD_NAMESPACE": stream.ns, "INSTANCE_IP": stream.pod_ips[0],
        "INSTANCE_IPS": ",".join(stream.pod_ips), "HOST_IP": "172.18.0.2", "SERVICE_ACCOUNT": sa,
        "CA_ADDR": ISTIOD, "PILOT_CERT_PROVIDER": "istiod", "PROXY_CONFIG": json.dumps(config),
        "SSL_CERT_FILE": ROOT,         # the platform's roots: servers outside the mesh show certificates of this CA too
        "TRUST_DOMAIN": "cluster.local", "ISTIO_CPU_LIMIT": "2", "GOMEMLIMIT": "1073741824",
        "ISTIO_META_SERVICE_ACCOUNT": sa, "ISTIO_META_NODE_NAME": md["NODE_NAME"],
        "ISTIO_META_CLUSTER_ID": md["CLUSTER_ID"], "ISTIO_META_NETWORK": md.get("NETWORK", ""),
        "ISTIO_META_INTERCEPTION_MODE": "REDIRECT", "ISTIO_META_WORKLOAD_NAME": md.get("WORKLOAD_NAME", sa),
        "ISTIO_META_OWNER": md["OWNER"], "ISTIO_META_MESH_ID": md["MESH_ID"], "ISTIO_META_ISTIO_VERSION": md["ISTIO_VERSION"],
        **(config.get("proxyMetadata") or {}),
    }


def command(stream, binary):
    return [binary, "proxy", "waypoint", "--domain", f"{stream.ns}.svc.cluster.local", "--serviceCluster", f"{stream.sa}.{stream.ns}",
            "--proxyLogLevel", "warning", "--proxyComponentLogLevel", "misc:error", "--log_output_level", "default:info"]
