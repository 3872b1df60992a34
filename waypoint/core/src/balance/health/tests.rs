use super::*;
use Class::{Degraded, Healthy, Panic};
use proptest::prelude::*;

const fn level(healthy: usize, degraded: usize, total: usize) -> Level {
    Level { healthy, degraded, total }
}

#[test]
fn table() {
    type Row = (Vec<Level>, f64, Vec<(usize, Class, u32)>);
    let rows: Vec<Row> = vec![
        (vec![], 50.0, vec![]),
        (vec![level(3, 0, 3)], 0.0, vec![(0, Healthy, 100)]),
        (vec![level(1, 0, 3)], 0.0, vec![(0, Healthy, 100)]),
        (vec![level(0, 0, 3)], 0.0, vec![]),
        (vec![level(0, 0, 3)], 50.0, vec![(0, Panic, 100)]),
        (vec![level(1, 0, 3)], 50.0, vec![(0, Panic, 100)]),
        // 5 of 7 healthy carry everything at a factor of 1.4; 4 of 8 carry 70 %.
        (vec![level(5, 0, 7), level(2, 0, 2)], 50.0, vec![(0, Healthy, 100)]),
        (vec![level(4, 0, 8), level(2, 0, 2)], 50.0, vec![(0, Healthy, 70), (1, Healthy, 30)]),
        (vec![level(0, 0, 4), level(2, 0, 2)], 50.0, vec![(1, Healthy, 100)]),
        // Not enough anywhere: shares grow to 100.
        (vec![level(1, 0, 4), level(1, 0, 4)], 0.0, vec![(0, Healthy, 50), (1, Healthy, 50)]),
        (vec![level(1, 0, 4), level(1, 0, 4)], 50.0, vec![(0, Panic, 50), (1, Panic, 50)]),
        (vec![level(0, 0, 3), level(0, 0, 1)], 50.0, vec![(0, Panic, 75), (1, Panic, 25)]),
        // Degraded hosts take what no healthy one can.
        (vec![level(1, 3, 4)], 0.0, vec![(0, Healthy, 35), (0, Degraded, 65)]),
        (vec![level(0, 2, 2)], 50.0, vec![(0, Degraded, 100)]),
    ];
    for (levels, panic, expect) in rows {
        let have: Vec<_> = shares(&levels, 140, panic)
            .into_iter()
            .map(|share| (share.level, share.class, share.percent))
            .collect();
        assert_eq!(have, expect, "{levels:?} with panic at {panic} %");
    }
}

proptest! {
    #[test]
    fn shares_sum_to_a_hundred_or_there_is_nobody(
        counts in proptest::collection::vec((0_usize..5, 0_usize..5, 0_usize..5), 0..4),
        panic in prop_oneof![Just(0.0), Just(50.0)],
    ) {
        let levels: Vec<_> = counts.iter().map(|(h, d, bad)| level(*h, *d, h + d + bad)).collect();
        let shares = shares(&levels, 140, panic);
        let sum: u32 = shares.iter().map(|share| share.percent).sum();
        let usable = counts.iter().any(|(h, d, bad)| h + d > 0 || (panic > 0.0 && *bad > 0));
        prop_assert_eq!(sum, if usable { 100 } else { 0 });
        for share in shares {
            let level = levels[share.level];
            let hosts = match share.class { Healthy => level.healthy, Degraded => level.degraded, Panic => level.total };
            prop_assert!(hosts > 0);
        }
    }
}
