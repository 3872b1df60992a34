use super::*;
use crate::matching::view::sample::Sample;
use crate::model::matcher::{HeaderKey, HeaderMatcher, HeaderValueMatcher};
use http::{HeaderName, StatusCode};

const ALWAYS: Fraction = Fraction { numerator: 100, denominator: 100 };
const NEVER: Fraction = Fraction { numerator: 0, denominator: 100 };
const BUSY: FaultAbort = FaultAbort::Http(StatusCode::SERVICE_UNAVAILABLE);

fn decided(fault: &Fault, sample: &Sample) -> FaultDecision {
    decide(fault, &sample.view(), &mut Dice::new(1))
}

#[test]
fn certain_faults() {
    let second = Duration::from_secs(1);
    for (delay, abort, expect) in [
        (None, None, (None, None)),
        (Some((second, ALWAYS)), None, (Some(second), None)),
        (Some((second, NEVER)), Some((BUSY, ALWAYS)), (None, Some(BUSY))),
        (Some((second, ALWAYS)), Some((BUSY, ALWAYS)), (Some(second), Some(BUSY))),
        (None, Some((BUSY, NEVER)), (None, None)),
    ] {
        let decision = decided(&Fault { delay, abort, headers: vec![] }, &Sample::get("/"));
        assert_eq!((decision.delay, decision.abort), expect);
    }
}

#[test]
fn shares_are_held() {
    let share = Fraction { numerator: 125_000, denominator: 1_000_000 };
    let fault = Fault { delay: None, abort: Some((BUSY, share)), headers: vec![] };
    let sample = Sample::get("/");
    let mut dice = Dice::new(3);
    let aborts = (0..20_000).filter(|_| decide(&fault, &sample.view(), &mut dice).abort.is_some()).count();
    assert!((2300..2700).contains(&aborts), "{aborts}");
}

#[test]
fn only_matching_requests_are_faulted() {
    let wanted = HeaderMatcher {
        key: HeaderKey::Name(HeaderName::from_static("end-user")),
        matcher: HeaderValueMatcher::Present(true),
        invert: false,
        treat_missing_as_empty: false,
    };
    let fault = Fault { delay: None, abort: Some((BUSY, ALWAYS)), headers: vec![wanted] };
    assert_eq!(decided(&fault, &Sample::get("/")), FaultDecision::default());
    assert_eq!(decided(&fault, &Sample::get("/").header("end-user", "x")).abort, Some(BUSY));
}

#[test]
fn aborts_as_answers() {
    let answer = |abort| FaultDecision { delay: None, abort: Some(abort) }.abort_failure().unwrap();
    let http = answer(BUSY);
    assert_eq!((http.status.as_u16(), &*http.details, http.grpc_status().0), (503, "fault_filter_abort", 14));
    let grpc = answer(FaultAbort::Grpc(5));
    assert_eq!((grpc.status.as_u16(), grpc.flags.to_string(), grpc.grpc_status().0), (200, "FI".into(), 5));
    assert_eq!(FaultDecision::default().abort_failure(), None);
}
