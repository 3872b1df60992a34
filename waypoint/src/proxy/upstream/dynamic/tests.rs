use super::*;

#[test]
fn hosts_with_and_without_port() {
    for (host, expect) in [
        ("a.example.com", Some(("a.example.com", 80))),
        ("a.example.com:8080", Some(("a.example.com", 8080))),
        ("a.example.com:x", None),
        ("a.example.com:70000", None),
        ("[::1]", Some(("[::1]", 80))),
        ("[fd00::1]:81", Some(("[fd00::1]", 81))),
    ] {
        assert_eq!(split(host, 80), expect, "{host}");
    }
}

#[test]
fn names_do_not_lead_home() {
    for (ip, expect) in [
        ("198.51.100.3", true),
        ("10.0.0.1", true),
        ("2001:db8::1", true),
        ("127.0.0.1", false),
        ("127.8.8.8", false),
        ("0.0.0.0", false),
        ("169.254.169.254", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("::1", false),
        ("::", false),
        ("::ffff:127.0.0.1", false),
        ("fe80::1", false),
        ("ff02::1", false),
    ] {
        assert_eq!(reachable(ip.parse().unwrap()), expect, "{ip}");
    }
}

#[tokio::test]
async fn addresses_need_no_name_server() {
    let names = DynamicNames::new(Resolver::system(tokio::runtime::Handle::current()));
    let settings = DnsSettings {
        family: DnsFamily::V4Only,
        refresh: limits::DNS_REFRESH_MIN,
        failure_refresh: limits::DNS_REFRESH_MIN,
        respect_ttl: true,
    };
    let found = names.resolve("192.0.2.7:81", 80, &settings).await.unwrap();
    let address = "192.0.2.7:81".parse().unwrap();
    assert_eq!(found, EndpointAddress::Direct { address, additional: vec![] });
    let refused = names.resolve("127.0.0.1", 80, &settings).await.unwrap_err();
    assert_eq!((refused.status.as_u16(), &*refused.details), (503, "dns_resolution_failure"));
}
