use super::Schedule;
use std::time::{Duration, SystemTime};

#[test]
fn renewal_is_at_half_life_within_one_percent() {
    let start = SystemTime::UNIX_EPOCH;
    let end = start + Duration::from_secs(1000);
    for (roll, expect) in [(-1.0, 495.0), (0.0, 500.0), (1.0, 505.0)] {
        let at = Schedule::default().succeeded(start, end, roll);
        assert!((at.duration_since(start).unwrap().as_secs_f64() - expect).abs() < 1e-6, "{roll}");
    }
    assert_eq!(Schedule::default().succeeded(end, start, 0.0), end, "no life at all: at once");
}

#[test]
fn waits_double_up_to_the_limit_and_start_over_after_a_success() {
    let mut schedule = Schedule::default();
    let waits: Vec<_> = (0..11).map(|_| schedule.failed(0.0).as_secs_f64()).collect();
    assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 150.0, 150.0]);
    for _ in 0..100 {
        assert!(schedule.failed(1.0) <= Duration::from_secs(180));
    }
    let _ = schedule.succeeded(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH, 0.0);
    assert_eq!(schedule.failed(-1.0), Duration::from_millis(400));
    assert_eq!(schedule.failed(1.0), Duration::from_millis(1200));
}
