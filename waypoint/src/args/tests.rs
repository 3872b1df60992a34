use super::*;

fn parsed(line: &str) -> Result<Command, ArgsError> {
    parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn takes_the_arguments_of_istiods_template() {
    let line = "proxy waypoint --domain shop.svc.cluster.local --serviceCluster waypoint.shop \
                --proxyLogLevel warning --proxyComponentLogLevel misc:error --log_output_level default:info \
                --outlierLogPath=/dev/stdout --log_as_json --concurrency 3";
    let expect = ProxyArgs {
        role: "waypoint".into(),
        domain: Some("shop.svc.cluster.local".into()),
        service_cluster: Some("waypoint.shop".into()),
        proxy_log_level: Some("warning".into()),
        log_output_level: Some("default:info".into()),
        log_as_json: true,
        concurrency: Some(3),
    };
    assert_eq!(parsed(line), Ok(Command::Proxy(expect)));
}

#[test]
fn ignores_flags_it_does_not_know() {
    for line in [
        "proxy waypoint --stsPort 15463",
        "proxy --profiling waypoint --x=1",
        "proxy waypoint --templateFile",
    ] {
        assert!(matches!(parsed(line), Ok(Command::Proxy(args)) if args.role == "waypoint"), "{line}");
    }
}

#[test]
fn a_switch_does_not_swallow_the_next_word() {
    assert!(matches!(parsed("proxy --log_as_json waypoint"), Ok(Command::Proxy(args)) if args.log_as_json));
}

#[test]
fn agent_commands() {
    let table = [
        ("request GET stats", Ok(Command::Request { method: "GET".into(), path: "stats".into() })),
        (
            "request post /logging?level=debug",
            Ok(Command::Request { method: "POST".into(), path: "/logging?level=debug".into() }),
        ),
        ("request GET", Err(ArgsError::Request)),
        ("wait", Ok(Command::Wait { timeout_seconds: 60 })),
        ("wait --timeoutSeconds=5", Ok(Command::Wait { timeout_seconds: 5 })),
        ("version", Ok(Command::Version)),
        ("", Ok(Command::Help)),
        ("istio-iptables", Err(ArgsError::Command("istio-iptables".into()))),
        ("proxy router", Err(ArgsError::Role("router".into()))),
        ("proxy waypoint --concurrency many", Err(ArgsError::Number("concurrency", "many".into()))),
    ];
    for (line, expect) in table {
        assert_eq!(parsed(line), expect, "{line}");
    }
}
