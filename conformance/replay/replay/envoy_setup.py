"""Envoy as the oracle: its bootstrap and command line."""
import json
import os

from . import net

T = "type.googleapis.com/"


def bootstrap(stream, plain_port):
    """What pilot-agent's template renders for a waypoint, less workload discovery and the stats sinks."""
    def h2(name, host, port):
        return {"name": name, "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": T + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                    "socket_address": {"address": host, "port_value": port}}}}]}]}}
    loc = stream.node.get("locality", {})
    return {
        "node": {"id": stream.node["id"], "cluster": stream.node["cluster"], "locality": loc, "metadata": stream.metadata},
        "layered_runtime": {"layers": [
            {"name": "global config", "static_layer": {
                "re2.max_program_size.error_level": "32768",
                "envoy.reloadable_features.http_reject_path_with_fragment": False,
                "envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update": False}},
            {"name": "admin", "admin_layer": {}}]},
        "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config": {
            "@type": T + "envoy.extensions.bootstrap.internal_listener.v3.InternalListener", "buffer_size_kb": 64}}],
        "admin": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": 15000}}},
        "dynamic_resources": {
            "lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "ads_config": {"api_type": "DELTA_GRPC", "set_node_on_first_message_only": True, "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}},
        "static_resources": {"clusters": [h2("xds-grpc", net.WORLD, plain_port), h2("sds-grpc", net.WORLD, plain_port)]},
    }


def command(stream, workdir, plain_port, binary, log_level):
    conf = os.path.join(workdir, "envoy.json")
    with open(conf, "w") as f:
        json.dump(bootstrap(stream, plain_port), f, indent=1)
    if not binary:
        import envoy        # the wheel shares its package name with xds-protos: only the path is of use
        binary = os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy")
        if not os.path.exists(binary):
            raise ValueError("no Envoy: start ./run with --subject envoy, which installs it")
    return [binary, "-c", conf, "--drain-time-s", "45", "--drain-strategy", "immediate", "--local-address-ip-version", "v4",
            "--file-flush-interval-msec", "10", "--disable-hot-restart", "--allow-unknown-static-fields",
            "--concurrency", "1", "-l", log_level, "--component-log-level", "misc:error"]
