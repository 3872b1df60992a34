//! The client address as x-forwarded-for tells it.
//!
//! istiod's waypoints run with `use_remote_address: false` and no trusted hops: the rightmost entry counts.

use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// The rightmost x-forwarded-for entry, or `source` when there is none or it is no address.
#[must_use]
pub fn remote_ip(headers: &HeaderMap, source: IpAddr) -> IpAddr {
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    last.and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|entry| parse(entry.trim()))
        .unwrap_or(source)
}

fn parse(entry: &str) -> Option<IpAddr> {
    // Envoy: a port behind the address is allowed and dropped.
    let ip = entry
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn table() {
        let source: IpAddr = "10.0.0.1".parse().unwrap();
        let cases: &[(&[&str], &str)] = &[
            (&[], "10.0.0.1"),
            (&["192.0.2.5"], "192.0.2.5"),
            (&["192.0.2.5, 198.51.100.1"], "198.51.100.1"),
            (&["192.0.2.5", "198.51.100.1"], "198.51.100.1"),
            (&["192.0.2.5:8080"], "192.0.2.5"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.5"], "192.0.2.5"),
            (&["192.0.2.5, unknown"], "10.0.0.1"),
            (&["192.0.2.5,"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
        ];
        for (values, expect) in cases {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            assert_eq!(remote_ip(&headers, source), expect.parse::<IpAddr>().unwrap(), "{values:?}");
        }
    }
}
