use super::*;
use crate::model::cluster::RetryBudget;

fn limits(each: u32) -> CircuitBreakers {
    CircuitBreakers {
        max_connections: each,
        max_pending_requests: each,
        max_requests: each,
        max_retries: each,
        retry_budget: None,
    }
}

#[test]
fn permits_are_counted_until_dropped() {
    let breakers = Breakers::new(limits(2));
    for take in [Breakers::connection, Breakers::pending, Breakers::request, Breakers::retry] {
        let held: Vec<_> = (0..3).map(|_| take(&breakers)).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        drop(held);
        assert!(take(&breakers).is_some());
    }
}

#[test]
fn resources_do_not_share() {
    let breakers = Breakers::new(limits(1));
    let held = (breakers.connection(), breakers.pending(), breakers.request(), breakers.retry());
    assert!(held.0.is_some() && held.1.is_some() && held.2.is_some() && held.3.is_some());
}

#[test]
fn zero_lets_nothing_through() {
    assert!(Breakers::new(limits(0)).request().is_none());
}

#[test]
fn a_new_version_keeps_the_count() {
    let before = Breakers::new(limits(2));
    let held = before.request();
    let after = before.with_limits(limits(1));
    assert!(after.request().is_none());
    drop(held);
    assert!(after.request().is_some());
}

#[test]
fn retry_budgets_follow_the_load() {
    let budget = |percent, min_concurrency| CircuitBreakers {
        retry_budget: Some(RetryBudget { percent, min_concurrency }),
        max_retries: 0,
        ..limits(u32::MAX)
    };
    for (active, percent, minimum, expect) in [(0, 20, 3, 3), (10, 20, 1, 2), (100, 20, 3, 20), (4, 20, 0, 0)]
    {
        let breakers = Breakers::new(budget(percent, minimum));
        let requests: Vec<_> = (0..active).map(|_| breakers.request()).collect();
        let retries: Vec<_> = std::iter::from_fn(|| breakers.retry()).take(1000).collect();
        assert_eq!(retries.len(), expect, "{active} active, {percent} %, at least {minimum}");
        drop(requests);
    }
}

#[test]
fn threads_never_exceed_the_limit() {
    let breakers = Breakers::new(limits(8));
    let highest = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let held: Vec<_> = (0..4).filter_map(|_| breakers.request()).collect();
                    highest.fetch_max(breakers.count(Resource::Request), Ordering::Relaxed);
                    drop(held);
                }
            });
        }
    });
    assert!(highest.load(Ordering::Relaxed) <= 8);
    assert_eq!(breakers.count(Resource::Request), 0);
}
