//! Writes first inputs, most of them what a real istiod sent in `conformance/goldens`: random bytes do not get past the
//! outermost message.

use fairway_fuzz::KINDS;
use prost::{Message as _, Name as _};
use std::path::{Path, PathBuf};
use std::{fs, io};
use xds_client::proto::envoy::envoy::config::listener::v3::Listener;
use xds_client::proto::envoy::envoy::config::listener::v3::filter::ConfigType;
use xds_client::proto::envoy::envoy::config::route::v3::RouteConfiguration;
use xds_client::proto::envoy::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use xds_client::proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use xds_client::type_url;

/// Larger resources are as much alike as they are slow.
const LARGEST: usize = 32 << 10;

const FIRST_BYTES: &[&[u8]] = &[
    b"GET /a?b HTTP/1.1\r\nHost: reviews:9080\r\nContent-Length: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n",
    b"GET http://a/ HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x0300000000000000000000000000000000\x00\x00\x02\x13\x01\x01\x00\x00\x00",
];
const PATHS: &[&[u8]] = &[b"\x07/a/../b//c%2fd?e=%zz#f", b"\x0f/%2e%2e/%5c..\\x", b"\x03http://a:1/b?c"];
const AUTHORITIES: &[&[u8]] = &[b"10.255.0.1:80", b"[::1]:8080", b"a.wild.example.org:443", b"240.240.0.1:0"];
const TOKENS: &[&[u8]] = &[
    b"eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJhIiwic3ViIjoiYiIsImV4cCI6MX0.AAAA",
    br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AAAA","y":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA","alg":"EdDSA"},{"kty":"oct","k":"AAAA"}]}"#,
];

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = Corpus { root: here.join("corpus") };
    corpus.all("first_bytes", FIRST_BYTES)?;
    corpus.all("path", PATHS)?;
    corpus.all("authority", AUTHORITIES)?;
    corpus.all("token", TOKENS)?;
    let mut read = 0;
    for scenario in fs::read_dir(here.join("../conformance/goldens"))? {
        let scenario = scenario?.path();
        if !scenario.is_dir() {
            continue;
        }
        for proxy in fs::read_dir(scenario)? {
            let proxy = proxy?.path();
            if proxy.file_name().is_some_and(|name| name.to_string_lossy().starts_with("waypoint-")) {
                read += corpus.stream(&fs::read(proxy.join("stream.binpb"))?)?;
            }
        }
    }
    println!("{read} resources read; inputs lie in {}", corpus.root.display());
    Ok(())
}

struct Corpus {
    root: PathBuf,
}

impl Corpus {
    fn all(&self, target: &str, inputs: &[&[u8]]) -> io::Result<()> {
        inputs
            .iter()
            .enumerate()
            .try_for_each(|(n, input)| self.one(target, &format!("{n}-{}", input.len()), input))
    }

    fn one(&self, target: &str, name: &str, input: &[u8]) -> io::Result<()> {
        let folder = self.root.join(target);
        fs::create_dir_all(&folder)?;
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        fs::write(folder.join(name), input)
    }

    fn stream(&self, mut stream: &[u8]) -> io::Result<usize> {
        let mut read = 0;
        while !stream.is_empty() {
            let response = DeltaDiscoveryResponse::decode_length_delimited(&mut stream)?;
            for resource in &response.resources {
                self.resource(&response.type_url, resource)?;
                read += 1;
            }
        }
        Ok(read)
    }

    fn resource(&self, type_url: &str, resource: &Resource) -> io::Result<()> {
        let content = resource.resource.as_ref().map_or(&[][..], |any| &any.value);
        let is = |(kind, name): &(&str, &str)| {
            *kind == type_url && (type_url != type_url::LISTENER || *name == resource.name)
        };
        if let Some(kind) = KINDS.iter().position(is)
            && content.len() <= LARGEST
        {
            let input = [&[u8::try_from(kind).expect("few kinds")], content].concat();
            self.one("resources", &format!("{kind}-{}-{}", resource.name, content.len()), &input)?;
        }
        if type_url == type_url::LISTENER {
            for routes in routes(&Listener::decode(content)?)? {
                let input = routes.encode_to_vec();
                self.one("routes", &format!("{}-{}", routes.name, input.len()), &input)?;
            }
        }
        Ok(())
    }
}

fn routes(listener: &Listener) -> io::Result<Vec<RouteConfiguration>> {
    let mut found = Vec::new();
    for filter in listener.filter_chains.iter().flat_map(|chain| &chain.filters) {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        if any.type_url == hcm::HttpConnectionManager::type_url() {
            let manager = hcm::HttpConnectionManager::decode(&any.value[..])?;
            if let Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(routes)) =
                manager.route_specifier
            {
                found.push(routes);
            }
        }
    }
    Ok(found)
}
