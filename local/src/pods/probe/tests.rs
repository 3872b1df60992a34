use std::time::Duration;

use super::{Tally, pause};
use crate::pods::spec::{Probe, ProbeAction};

fn probe(success: u32, failure: u32) -> Probe {
    Probe {
        success_threshold: success,
        failure_threshold: failure,
        ..Probe::new(ProbeAction::Tcp { host: None, port: 80 })
    }
}

#[test]
fn answers_in_a_row_decide() {
    let check = |success, failure, answers: &str, expect: &str| {
        let (probe, mut tally) = (probe(success, failure), Tally::default());
        let verdicts: String = answers
            .chars()
            .map(|answer| match tally.count(&probe, answer == '+') {
                Some(true) => 'R',
                Some(false) => 'x',
                None => '.',
            })
            .collect();
        assert_eq!(verdicts, expect, "{answers} at {success}/{failure}");
    };
    check(1, 3, "+", "R");
    check(1, 3, "---+", "..xR");
    check(1, 3, "--+--+", "..R..R");
    check(2, 1, "+-++", ".x.R");
    check(0, 0, "+-", "Rx");
}

#[test]
fn waits_its_period_only_when_settled() {
    let eager = Duration::from_millis(150);
    let check = |period, settled, expect| {
        let probe = Probe { period: Duration::from_millis(period), ..probe(1, 1) };
        assert_eq!(pause(&probe, settled, eager), Duration::from_millis(expect));
    };
    check(10_000, true, 10_000);
    check(10_000, false, 150);
    check(120, false, 120);
    check(0, true, 100);
}
