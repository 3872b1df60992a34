use super::sample::{LEAST_REQUEST, endpoint, group, healthy, outlier, settings};
use super::*;
use crate::model::cluster::{BalancePolicy, SlowStart};
use crate::model::endpoint::{EndpointAddress, Health};
use std::collections::BTreeMap;

const START: Duration = Duration::from_secs(1000);

fn at(seconds: u64) -> Duration {
    START + Duration::from_secs(seconds)
}

fn set(policy: BalancePolicy, assignment: &Assignment) -> HostSet {
    HostSet::new(&settings(policy), assignment, None, START)
}

fn number(host: &Host) -> u8 {
    match &host.endpoint.address {
        EndpointAddress::Direct { address, .. } => match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        },
        _ => 0,
    }
}

fn host(set: &HostSet, n: u8) -> Arc<Host> {
    set.hosts().iter().find(|host| number(host) == n).unwrap().clone()
}

/// How often each host is picked in `picks` picks.
fn spread(set: &HostSet, picks: u64) -> BTreeMap<u8, u64> {
    let mut counts = BTreeMap::new();
    for seed in 0..picks {
        if let Some(host) = set.pick(None, &[], &mut Dice::new(seed)) {
            *counts.entry(number(&host)).or_default() += 1;
        }
    }
    counts
}

fn assert_spread(have: &BTreeMap<u8, u64>, expect: &[(u8, u64)]) {
    assert_eq!(have.keys().copied().collect::<Vec<_>>(), expect.iter().map(|(n, _)| *n).collect::<Vec<_>>());
    for (n, count) in expect {
        assert!(have[n].abs_diff(*count) <= count / 10 + 20, "host {n}: {have:?}");
    }
}

fn policies() -> [BalancePolicy; 5] {
    [
        BalancePolicy::RoundRobin { slow_start: None },
        LEAST_REQUEST,
        BalancePolicy::Random,
        BalancePolicy::RingHash { minimum_size: 1024, maximum_size: 8 << 20 },
        BalancePolicy::Maglev { table_size: 65537 },
    ]
}

#[test]
fn every_policy_spreads_evenly_and_by_weight() {
    for policy in policies() {
        // A ring is as even as its entries are many.
        if matches!(policy, BalancePolicy::RingHash { .. }) {
            continue;
        }
        assert_spread(
            &spread(&set(policy.clone(), &healthy(1..=3)), 3000),
            &[(1, 1000), (2, 1000), (3, 1000)],
        );
        let weighted = vec![endpoint(1, Health::Healthy, 3), endpoint(2, Health::Healthy, 1)];
        let weighted = Assignment { groups: vec![group(0, "a", 0, weighted)] };
        assert_spread(&spread(&set(policy, &weighted), 4000), &[(1, 3000), (2, 1000)]);
    }
}

#[test]
fn nobody_to_pick() {
    for policy in policies() {
        for assignment in [
            Assignment::default(),
            healthy([]),
            Assignment { groups: vec![group(0, "a", 0, vec![endpoint(1, Health::Unhealthy, 1)])] },
        ] {
            let set = set(policy.clone(), &assignment);
            assert!(set.pick(Some(1), &[], &mut Dice::new(1)).is_none(), "{policy:?} {assignment:?}");
        }
    }
}

#[test]
fn least_request_prefers_the_idle() {
    let set = set(LEAST_REQUEST, &healthy(1..=2));
    let busy: Vec<_> = (0..5).map(|_| host(&set, 1).begin()).collect();
    let counts = spread(&set, 4000);
    // Host 1 is taken only when both draws hit it.
    assert_spread(&counts, &[(1, 1000), (2, 3000)]);
    assert_eq!(host(&set, 1).active(), 5);
    drop(busy);
    assert_eq!(host(&set, 1).active(), 0);
}

#[test]
fn round_robin_takes_turns() {
    let set = set(BalancePolicy::RoundRobin { slow_start: None }, &healthy(1..=3));
    let picks: Vec<_> = (0..9).map(|_| number(&set.pick(None, &[], &mut Dice::new(1)).unwrap())).collect();
    assert_eq!(picks[..3], picks[3..6]);
    assert_eq!(picks[..3], picks[6..]);
}

#[test]
fn hashes_stick() {
    for policy in &policies()[3..] {
        let set = set(policy.clone(), &healthy(1..=5));
        for hash in 0..50_u64 {
            let hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut picks = (0..20).map(|seed| set.pick(Some(hash), &[], &mut Dice::new(seed)).unwrap().id);
            let first = picks.next().unwrap();
            assert!(picks.all(|id| id == first), "{policy:?}");
            // Avoiding it leads to one other host, the same each time.
            let next = set.pick(Some(hash), &[first], &mut Dice::new(1)).unwrap().id;
            assert!(next != first && next == set.pick(Some(hash), &[first], &mut Dice::new(2)).unwrap().id);
        }
    }
}

#[test]
fn hosts_to_avoid_are_taken_only_when_there_is_no_other() {
    for policy in policies() {
        let set = set(policy, &healthy(1..=3));
        let (one, two, three) = (host(&set, 1).id, host(&set, 2).id, host(&set, 3).id);
        for seed in 0..200 {
            let dice = || Dice::new(seed);
            assert_eq!(set.pick(None, &[one, two], &mut dice()).unwrap().id, three);
            assert!(set.pick(None, &[one, two, three], &mut dice()).is_some());
        }
    }
}

/// `retryRemoteLocalities`: after two attempts at one priority the next is tried, and after that the first again.
#[test]
fn priorities_to_avoid() {
    let hosts =
        |numbers: std::ops::RangeInclusive<u8>| numbers.map(|n| endpoint(n, Health::Healthy, 1)).collect();
    let groups = vec![group(0, "a", 0, hosts(1..=3)), group(1, "b", 0, hosts(8..=9))];
    let set = set(LEAST_REQUEST, &Assignment { groups });
    let id = |n| host(&set, n).id;
    let near = [1, 2, 3].as_slice();
    let far = [8, 9].as_slice();
    for (tried, hosts, expect) in [
        (vec![], true, near),
        (vec![id(1)], true, &[2, 3]),
        (vec![id(1), id(2)], true, far),
        (vec![id(1), id(2)], false, far),
        (vec![id(1), id(2), id(8)], true, &[9]),
        (vec![id(1), id(2), id(8), id(9)], true, &[3]),
    ] {
        let avoid = Avoid { tried: &tried, hosts, priorities_every: Some(2) };
        let mut picked: Vec<u8> =
            (0..200).map(|seed| number(&set.pick(None, avoid, &mut Dice::new(seed)).unwrap())).collect();
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(picked, expect, "{avoid:?}");
    }
}

#[test]
fn priorities_spill_over() {
    let assignment = |sick: usize| {
        let first = (1..=4).map(|n| {
            let health = if usize::from(n) <= sick { Health::Unhealthy } else { Health::Healthy };
            endpoint(n, health, 1)
        });
        let second = vec![endpoint(9, Health::Healthy, 1)];
        Assignment { groups: vec![group(0, "a", 0, first.collect()), group(1, "b", 0, second)] }
    };
    assert!(!spread(&set(LEAST_REQUEST, &assignment(1)), 1000).contains_key(&9));
    // 2 of 4 healthy carry 70 %.
    assert_spread(&spread(&set(LEAST_REQUEST, &assignment(2)), 2000), &[(3, 700), (4, 700), (9, 600)]);
    assert_spread(&spread(&set(LEAST_REQUEST, &assignment(4)), 1000), &[(9, 1000)]);
}

#[test]
fn localities_by_weight() {
    let hosts =
        |numbers: std::ops::RangeInclusive<u8>| numbers.map(|n| endpoint(n, Health::Healthy, 1)).collect();
    let groups = vec![
        group(0, "a", 80, hosts(1..=1)),
        group(0, "b", 20, hosts(2..=3)),
        group(0, "c", 0, hosts(4..=4)),
    ];
    let assignment = Assignment { groups };
    let mut weighed = settings(LEAST_REQUEST);
    weighed.balancing.locality_weighted = true;
    let by_weight = HostSet::new(&weighed, &assignment, None, START);
    assert_spread(&spread(&by_weight, 4000), &[(1, 3200), (2, 400), (3, 400)]);
    // Without, every endpoint is one share.
    assert_spread(
        &spread(&set(LEAST_REQUEST, &assignment), 4000),
        &[(1, 1000), (2, 1000), (3, 1000), (4, 1000)],
    );
}

#[test]
fn panic_ignores_health() {
    let endpoints = vec![
        endpoint(1, Health::Healthy, 1),
        endpoint(2, Health::Unhealthy, 1),
        endpoint(3, Health::Unhealthy, 1),
    ];
    let assignment = Assignment { groups: vec![group(0, "a", 0, endpoints)] };
    let mut settings = settings(LEAST_REQUEST);
    settings.balancing.panic_threshold_percent = 50.0;
    let set = HostSet::new(&settings, &assignment, None, START);
    assert_spread(&spread(&set, 3000), &[(1, 1000), (2, 1000), (3, 1000)]);
}

#[test]
fn ejection_reaches_every_version_and_ends() {
    let settings = HostSettings { outlier: Some(Arc::new(outlier())), ..settings(LEAST_REQUEST) };
    let old = HostSet::new(&settings, &healthy(1..=2), None, START);
    let new = HostSet::new(&settings, &healthy(1..=3), Some(&old), START);
    // Reported by a request still on the old version.
    for _ in 0..3 {
        old.report(&host(&old, 1), Observed::Status(500), at(1));
    }
    for set in [&old, &new] {
        assert!(host(set, 1).is_ejected() && !spread(set, 100).contains_key(&1));
    }
    new.tick(at(20));
    assert!(host(&new, 1).is_ejected());
    new.tick(at(32));
    assert!(!host(&new, 1).is_ejected() && spread(&new, 100).contains_key(&1));
}

#[test]
fn a_version_without_detection_forgets_ejections() {
    let detecting = HostSettings { outlier: Some(Arc::new(outlier())), ..settings(LEAST_REQUEST) };
    let old = HostSet::new(&detecting, &healthy(1..=2), None, START);
    for _ in 0..3 {
        old.report(&host(&old, 1), Observed::ConnectFailure, at(1));
    }
    assert!(host(&old, 1).is_ejected());
    let new = HostSet::new(&settings(LEAST_REQUEST), &healthy(1..=2), Some(&old), at(2));
    assert!(!host(&new, 1).is_ejected());
}

#[test]
fn load_is_kept_across_versions() {
    let old = set(LEAST_REQUEST, &healthy(1..=2));
    let held = host(&old, 2).begin();
    let new = HostSet::new(&settings(LEAST_REQUEST), &healthy(2..=3), Some(&old), at(1));
    assert_eq!((host(&new, 2).active(), host(&new, 3).active()), (1, 0));
    drop(held);
    assert_eq!(host(&new, 2).active(), 0);
}

#[test]
fn slow_start_gives_a_newcomer_less() {
    let slow_start =
        SlowStart { window: Duration::from_secs(100), aggression: 1.0, min_weight_percent: 10.0 };
    let settings = settings(BalancePolicy::RoundRobin { slow_start: Some(slow_start) });
    let old = HostSet::new(&settings, &healthy(1..=1), None, START);
    let new = HostSet::new(&settings, &healthy(1..=2), Some(&old), at(1000));
    let share = |set: &HostSet| spread(set, 2000)[&2];
    let young = share(&new);
    assert!((100..300).contains(&young), "{young}");
    new.tick(at(1050));
    let middle = share(&new);
    assert!((550..750).contains(&middle), "{middle}");
    new.tick(at(1101));
    let grown = share(&new);
    assert!((950..1050).contains(&grown), "{grown}");
}

/// Picks go on from all threads while hosts come and go from rotation; in the end everybody sees the same.
#[test]
fn picks_and_ejections_at_once() {
    let settings = HostSettings { outlier: Some(Arc::new(outlier())), ..settings(LEAST_REQUEST) };
    let set = HostSet::new(&settings, &healthy(1..=4), None, START);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let set = &set;
            scope.spawn(move || {
                for round in 0..500 {
                    let Some(picked) = set.pick(None, &[], &mut Dice::new(thread * 1000 + round)) else {
                        continue;
                    };
                    let status = if number(&picked) <= 2 { 500 } else { 200 };
                    let _active = picked.begin();
                    set.report(&picked, Observed::Status(status), at(round));
                }
            });
        }
    });
    assert_eq!(spread(&set, 200).keys().copied().collect::<Vec<_>>(), [3, 4]);
    assert!(set.hosts().iter().all(|host| host.active() == 0));
}
