use super::*;
use crate::balance::set::sample::{LEAST_REQUEST, healthy, outlier, settings};
use crate::balance::{HostSet, HostSettings};
use std::sync::Arc;

fn now(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn hosts(count: u8) -> Vec<Arc<Host>> {
    let settings = HostSettings { outlier: Some(Arc::new(outlier())), ..settings(LEAST_REQUEST) };
    HostSet::new(&settings, &healthy(1..=count), None, now(0)).hosts().to_vec()
}

/// The first of these observations that would eject, counted from 1.
fn ejecting(config: &OutlierDetection, observed: &[Observed]) -> Option<usize> {
    let hosts = hosts(1);
    observed.iter().position(|observed| observe(config, &hosts[0], *observed)).map(|index| index + 1)
}

#[test]
fn consecutive_failures() {
    use Observed::{ConnectFailure, Connected, Reset, Status, Timeout};
    let by_5xx = outlier();
    let gateway =
        OutlierDetection { consecutive_5xx: None, consecutive_gateway_failure: Some(2), ..outlier() };
    let off = OutlierDetection { consecutive_5xx: Some(0), ..outlier() };
    let split = OutlierDetection {
        consecutive_local_origin_failure: Some(2),
        split_external_local_origin_errors: true,
        ..outlier()
    };
    let cases: Vec<(&OutlierDetection, Vec<Observed>, Option<usize>)> = vec![
        (&by_5xx, vec![Status(500); 3], Some(3)),
        (&by_5xx, vec![Status(500), Status(500), Status(200), Status(500), Status(500)], None),
        (&by_5xx, vec![Status(500), Status(499), Status(500), Status(500)], None),
        (&by_5xx, vec![ConnectFailure, Timeout, Reset], Some(3)),
        (&by_5xx, vec![Status(500), Connected, Status(500), Status(503)], Some(4)),
        (&off, vec![Status(500); 10], None),
        (&gateway, vec![Status(502), Status(504)], Some(2)),
        (&gateway, vec![Status(502), Status(500), Status(503)], None),
        (&gateway, vec![ConnectFailure, Timeout], Some(2)),
        (&split, vec![ConnectFailure, Reset], Some(2)),
        (&split, vec![ConnectFailure, Connected, ConnectFailure], None),
        (&split, vec![ConnectFailure, Status(200), Timeout], Some(3)),
        (&split, vec![Status(500); 3], Some(3)),
    ];
    for (config, observed, expect) in cases {
        assert_eq!(ejecting(config, &observed), expect, "{observed:?}");
    }
}

#[test]
fn only_so_many_are_out_at_once() {
    for (count, percent, expect) in
        [(3, 10, 0), (10, 10, 1), (3, 34, 1), (3, 33, 0), (4, 50, 2), (3, 100, 3), (3, 0, 0)]
    {
        let hosts = hosts(count);
        let config = OutlierDetection { max_ejection_percent: percent, ..outlier() };
        let ejected = hosts.iter().filter(|host| eject(&config, &hosts, host, now(1))).count();
        assert_eq!(ejected, expect, "{percent} % of {count}");
        assert_eq!(hosts.iter().filter(|host| host.is_ejected()).count(), expect);
    }
    let hosts = hosts(3);
    let config = OutlierDetection { max_ejection_percent: 10, always_eject_one: true, ..outlier() };
    let ejected = hosts.iter().filter(|host| eject(&config, &hosts, host, now(1))).count();
    assert_eq!(ejected, 1, "always one, whatever the percentage");
}

#[test]
fn ejections_grow_and_are_forgiven() {
    let (hosts, config) = (hosts(1), outlier());
    let host = &hosts[0];
    let mut clock = 0;
    for sentence in [30, 60, 90] {
        assert!(eject(&config, &hosts, host, now(clock)));
        assert!(!eject(&config, &hosts, host, now(clock)), "already out");
        assert!(!sweep(&config, host, now(clock + sentence - 1)));
        assert!(sweep(&config, host, now(clock + sentence)));
        clock += sentence;
    }
    // Three quiet intervals, and the next sentence is the first again.
    for _ in 0..3 {
        assert!(!sweep(&config, host, now(clock)));
    }
    assert!(eject(&config, &hosts, host, now(clock)));
    assert!(sweep(&config, host, now(clock + 30)));
}

#[test]
fn no_sentence_is_longer_than_the_maximum() {
    let (hosts, config) = (hosts(1), OutlierDetection { max_ejection_time: now(45), ..outlier() });
    for clock in [0, 100, 200] {
        assert!(eject(&config, &hosts, &hosts[0], now(clock)));
        assert!(sweep(&config, &hosts[0], now(clock + 45)), "at {clock}");
    }
}
