use super::*;
use crate::failure::{ResponseFlag, ResponseFlags};
use crate::model::access_log::{AccessLogSink, Format, LogOutput, Segment};
use crate::telemetry::record::ResponseHead;
use http::HeaderMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

fn status(op: Comparison, value: u32) -> AccessLogFilter {
    AccessLogFilter::Status { op, value }
}

#[test]
fn filters() {
    use AccessLogFilter::{And, Duration as Took, NotHealthCheck, Or, ResponseFlags as Flags};
    let headers = HeaderMap::new();
    let record = RequestRecord {
        response: Some(ResponseHead { status: 503, headers: &headers, trailers: None }),
        flags: ResponseFlags::of(ResponseFlag::UF),
        duration: Duration::from_millis(20),
        ..RequestRecord::new(UNIX_EPOCH)
    };
    let cases = [
        (status(Comparison::Ge, 400), true),
        (status(Comparison::Le, 400), false),
        (status(Comparison::Eq, 503), true),
        (status(Comparison::Ne, 503), false),
        (Took { op: Comparison::Ge, millis: 20 }, true),
        (Took { op: Comparison::Ge, millis: 21 }, false),
        (Flags(vec![]), true),
        (Flags(vec![ResponseFlag::NR, ResponseFlag::UF]), true),
        (Flags(vec![ResponseFlag::NR]), false),
        (NotHealthCheck, true),
        (And(vec![status(Comparison::Ge, 400), Flags(vec![ResponseFlag::NR])]), false),
        (Or(vec![status(Comparison::Ge, 400), Flags(vec![ResponseFlag::NR])]), true),
        (And(vec![]), true),
        (Or(vec![]), false),
    ];
    for (filter, expect) in cases {
        assert_eq!(wants(&filter, &record), expect, "{filter:?}");
    }
    assert!(!wants(&Flags(vec![]), &RequestRecord::new(UNIX_EPOCH)), "no flag at all");
}

#[test]
fn lines() {
    let format = Arc::new(Format { segments: vec![Segment::Literal("line\n".into())] });
    let format = AccessLogFormat::Text(format);
    let record = RequestRecord::new(UNIX_EPOCH);
    assert_eq!(line(&format, &record), "line\n");
    assert_eq!(line(&AccessLogFormat::Json { fields: vec![], omit_empty: false }, &record), "{}\n");
    let output = LogOutput::Lines { sink: AccessLogSink::Stdout, format };
    let mut log = AccessLog { output, filter: None };
    assert!(is_wanted(&log, &record));
    log.filter = Some(status(Comparison::Ge, 400));
    assert!(!is_wanted(&log, &record));
}
