//! What is spoken to endpoints, and how their connections are kept. Envoy: `extensions.upstreams.http.v3.HttpProtocolOptions`.

use super::super::pb::{cluster as pb, core, protobuf::Any, upstream_http};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{ignored, values, wire};
use super::origination::ByHost;
use crate::model::cluster::{Http2Keepalive, Http2Settings, PoolSettings, TcpKeepalive, UpstreamProtocol};
use std::collections::HashMap;
use std::time::Duration;

pub(super) const PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

#[derive(Debug)]
pub(super) struct Protocol {
    pub(super) protocol: UpstreamProtocol,
    pub(super) pool: PoolSettings,
    pub(super) by_host: ByHost,
}

impl Default for Protocol {
    fn default() -> Self {
        Self { protocol: UpstreamProtocol::Http1, pool: PoolSettings::default(), by_host: ByHost::default() }
    }
}

pub(super) fn protocol(proto: &mut pb::Cluster, warnings: &mut Warnings) -> Result<Protocol> {
    let mut options: HashMap<String, Any> = std::mem::take(&mut proto.typed_extension_protocol_options);
    let http = options.remove(PROTOCOL_OPTIONS);
    if let Some(other) = options.into_keys().min() {
        return Err(Problem::unsupported("unsupported_protocol", other));
    }
    let pool = PoolSettings {
        tcp_keepalive: proto.upstream_connection_options.take().map(connection).transpose()?.flatten(),
        ..PoolSettings::default()
    };
    let Some(any) = http else { return Ok(Protocol { pool, ..Protocol::default() }) };
    http_options(wire::unpack(&any, warnings)?, pool).at(PROTOCOL_OPTIONS)
}

fn http_options(mut http: upstream_http::HttpProtocolOptions, mut pool: PoolSettings) -> Result<Protocol> {
    let mut common = http.common_http_protocol_options.take().unwrap_or_default();
    pool.idle_timeout = values::limit(common.idle_timeout.take().as_ref())?;
    pool.max_connection_duration = values::limit(common.max_connection_duration.take().as_ref())?;
    pool.max_requests_per_connection =
        common.max_requests_per_connection.take().map(|max| max.value).filter(|max| *max > 0);
    ignored::common_http(&mut common);
    wire::nothing_left(&common)?;
    let by_host = by_host(http.upstream_http_protocol_options.take())?;
    let (protocol, http2) = spoken(http.upstream_protocol_options.take())?;
    pool.http2 = http2;
    ignored::protocol_options(&mut http);
    wire::nothing_left(&http)?;
    Ok(Protocol { protocol, pool, by_host })
}

fn by_host(options: Option<core::UpstreamHttpProtocolOptions>) -> Result<ByHost> {
    let mut options = options.unwrap_or_default();
    let by_host = ByHost {
        sni: std::mem::take(&mut options.auto_sni),
        names: std::mem::take(&mut options.auto_san_validation),
    };
    wire::nothing_left(&options)?;
    Ok(by_host)
}

fn spoken(
    options: Option<upstream_http::http_protocol_options::UpstreamProtocolOptions>,
) -> Result<(UpstreamProtocol, Http2Settings)> {
    use upstream_http::http_protocol_options::UpstreamProtocolOptions as Kind;
    use upstream_http::http_protocol_options::explicit_http_config::ProtocolConfig;
    match options {
        None => Ok((UpstreamProtocol::Http1, Http2Settings::default())),
        Some(Kind::ExplicitHttpConfig(explicit)) => match explicit.protocol_config {
            None => Ok((UpstreamProtocol::Http1, Http2Settings::default())),
            Some(ProtocolConfig::HttpProtocolOptions(options)) => {
                http1(options)?;
                Ok((UpstreamProtocol::Http1, Http2Settings::default()))
            }
            Some(ProtocolConfig::Http2ProtocolOptions(options)) => {
                Ok((UpstreamProtocol::Http2, http2(options)?))
            }
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                Err(Problem::unsupported("unsupported_protocol", "http3"))
            }
        },
        Some(Kind::UseDownstreamProtocolConfig(downstream)) => {
            if downstream.http3_protocol_options.is_some() {
                return Err(Problem::unsupported("unsupported_protocol", "http3"));
            }
            http1(downstream.http_protocol_options.unwrap_or_default())?;
            let settings = http2(downstream.http2_protocol_options.unwrap_or_default())?;
            Ok((UpstreamProtocol::Downstream, settings))
        }
        Some(Kind::AutoConfig(_)) => Err(Problem::unsupported("unsupported_protocol", "auto_config")),
    }
}

fn http1(mut options: core::Http1ProtocolOptions) -> Result<()> {
    ignored::upstream_http1(&mut options);
    wire::nothing_left(&options)
}

fn http2(mut options: core::Http2ProtocolOptions) -> Result<Http2Settings> {
    let keepalive = options.connection_keepalive.take().map(keepalive).transpose()?.flatten();
    let max_concurrent_streams = options.max_concurrent_streams.take().map(|max| max.value);
    ignored::upstream_http2(&mut options);
    wire::nothing_left(&options)?;
    Ok(Http2Settings { max_concurrent_streams, keepalive })
}

fn keepalive(mut settings: core::KeepaliveSettings) -> Result<Option<Http2Keepalive>> {
    let interval = values::limit(settings.interval.take().as_ref())?;
    let timeout = values::limit(settings.timeout.take().as_ref())?;
    ignored::keepalive(&mut settings);
    wire::nothing_left(&settings)?;
    // Envoy: 20 s is what `timeout` is in the examples; the field itself is required.
    let timeout = timeout.unwrap_or(Duration::from_secs(20));
    Ok(interval.map(|interval| Http2Keepalive { interval, timeout }))
}

fn connection(mut options: pb::UpstreamConnectionOptions) -> Result<Option<TcpKeepalive>> {
    let keepalive = options.tcp_keepalive.take().map(|keepalive| TcpKeepalive {
        probes: keepalive.keepalive_probes.map(|probes| probes.value),
        time: keepalive.keepalive_time.map(|seconds| Duration::from_secs(seconds.value.into())),
        interval: keepalive.keepalive_interval.map(|seconds| Duration::from_secs(seconds.value.into())),
    });
    ignored::connection_options(&mut options);
    wire::nothing_left(&options)?;
    Ok(keepalive)
}
