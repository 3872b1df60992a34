use super::*;
use crate::model::descriptor::VirtualHostLimits;
use crate::model::rate_limit::PerValues;
use crate::model::route::HeaderMutations;
use std::borrow::Cow;
use std::num::NonZeroUsize;

const ALL: Fraction = Fraction { numerator: 100, denominator: 100 };
const NONE: Fraction = Fraction { numerator: 0, denominator: 100 };
const HOUR: Duration = Duration::from_secs(3600);

fn rate(max: u32) -> TokenRate {
    TokenRate { max, per_fill: max.max(1), fill_interval: HOUR }
}

fn limit(max: Option<u32>) -> LocalRateLimit {
    LocalRateLimit {
        name: "limit".into(),
        bucket: max.map(|max| Bucket { rate: rate(max), tokens: Arc::default() }),
        descriptors: Vec::new(),
        always_consume_default: true,
        rate_limits: Vec::new(),
        stage: 0,
        virtual_host: VirtualHostLimits::default(),
        per_connection: false,
        enabled: ALL,
        enforced: ALL,
        status: StatusCode::TOO_MANY_REQUESTS,
        resource_exhausted: true,
        told: false,
        retry_after: false,
        response_headers: Arc::new(HeaderMutations::default()),
        request_headers_when_not_enforced: HeaderMutations::default(),
    }
}

/// `key=value`, or `key` for any value; several by commas.
fn bucket_for(entries: &str, max: u32) -> LocalDescriptor {
    let entries: Vec<(Box<str>, Option<Box<str>>)> = entries
        .split(',')
        .map(|entry| match entry.split_once('=') {
            Some((key, value)) => (key.into(), Some(value.into())),
            None => (entry.into(), None),
        })
        .collect();
    let tokens = if entries.iter().any(|(_, value)| value.is_none()) {
        let two = NonZeroUsize::new(2).unwrap();
        DescriptorTokens::PerValues(Arc::new(PerValues::new(two)))
    } else {
        DescriptorTokens::One(Arc::default())
    };
    LocalDescriptor { entries, rate: rate(max), tokens, shadow: false }
}

fn descriptor(entries: &'static str) -> Descriptor<'static> {
    let entries = entries.split(',').map(|entry| {
        let (key, value) = entry.split_once('=').unwrap();
        Entry { key, value: Cow::Borrowed(value) }
    });
    Descriptor { entries: entries.collect(), limit: None, hits: None, told: Told::AsFilter }
}

fn ask(config: &LocalRateLimit, descriptors: &[Descriptor<'_>]) -> Decision {
    let counted = Counted { descriptors, grpc: false, now: Duration::ZERO, own: None };
    decide(config, counted, &mut Dice::new(1))
}

/// One letter for each request: passes or not.
fn answers(config: &LocalRateLimit, requests: &[&'static str]) -> String {
    let one = |request: &&'static str| {
        let descriptors: Vec<_> =
            request.split(' ').filter(|text| !text.is_empty()).map(descriptor).collect();
        if ask(config, &descriptors).limit == Limit::Pass { 'p' } else { '-' }
    };
    requests.iter().map(one).collect()
}

#[test]
fn what_becomes_of_a_request() {
    let refused = |grpc_status| Limit::Refuse(Failure { grpc_status, ..Failure::local_rate_limited() });
    let cases = [
        (limit(Some(1)), false, Limit::Pass),
        (limit(Some(0)), false, refused(None)),
        (limit(Some(0)), true, refused(Some(GrpcStatus::RESOURCE_EXHAUSTED))),
        (LocalRateLimit { resource_exhausted: false, ..limit(Some(0)) }, true, refused(None)),
        (LocalRateLimit { enforced: NONE, ..limit(Some(0)) }, false, Limit::Mark),
    ];
    for (limit, grpc, expect) in cases {
        let counted = Counted { descriptors: &[], grpc, now: Duration::ZERO, own: None };
        assert_eq!(decide(&limit, counted, &mut Dice::new(1)).limit, expect, "{limit:?}");
    }
}

#[test]
fn whom_a_limit_counts() {
    let of_ann = || LocalRateLimit { descriptors: vec![bucket_for("user=ann", 1)], ..limit(None) };
    let cases = [
        (limit(None), false),
        (limit(Some(0)), true),
        (of_ann(), true),
        (LocalRateLimit { enabled: NONE, ..limit(Some(0)) }, false),
        (LocalRateLimit { enabled: NONE, ..of_ann() }, false),
    ];
    for (limit, expect) in cases {
        assert_eq!(enabled(&limit, &mut Dice::new(1)), expect, "{limit:?}");
    }
}

#[test]
fn every_bucket_a_request_belongs_to() {
    let known =
        || vec![bucket_for("user=ann", 2), bucket_for("user=ann,tier=gold", 1), bucket_for("path=/", 3)];
    let with = |max| LocalRateLimit { descriptors: known(), ..limit(max) };
    let cases: [(LocalRateLimit, &[&str], &str); 7] = [
        // Exactly these entries, in this order.
        (with(None), &["user=ann", "user=ann", "user=ann", "user=bob", "tier=gold,user=ann"], "pp-pp"),
        (with(None), &["user=ann,tier=gold", "user=ann,tier=gold", "user=ann"], "p-p"),
        // The strictest is asked first, and what it refuses costs the others nothing.
        (with(None), &["path=/ user=ann", "user=ann path=/", "user=ann path=/", "path=/", "path=/"], "pp-p-"),
        // The same bucket twice is two tokens.
        (with(None), &["path=/ path=/", "path=/ path=/", "path=/"], "p--"),
        // The default bucket counts all …
        (with(Some(2)), &["user=ann", "user=bob", "user=ann", ""], "pp--"),
        // … or only those no descriptor counts.
        (
            LocalRateLimit { always_consume_default: false, ..with(Some(1)) },
            &["user=ann", "user=ann", "user=bob", "user=bob", "user=ann"],
            "ppp--",
        ),
        (limit(Some(2)), &["", "user=ann", "user=bob"], "pp-"),
    ];
    for (limit, requests, expect) in cases {
        assert_eq!(answers(&limit, requests), expect, "{requests:?}");
    }
}

#[test]
fn any_value_has_a_bucket_of_its_own() {
    let known = || {
        vec![
            bucket_for("user", 1),
            bucket_for("user=ann", 2),
            bucket_for("user,path=/", 1),
            bucket_for("a,b", 1),
        ]
    };
    let limit = LocalRateLimit { descriptors: known(), ..limit(None) };
    let cases: [(&[&str], &str); 4] = [
        // Named entries come before those of any value.
        (&["user=ann", "user=ann", "user=ann"], "pp-"),
        // Two are remembered; who comes back later starts anew.
        (&["user=bob", "user=bob", "user=cid", "user=bob", "user=dan", "user=cid", "user=dan"], "p-p-pp-"),
        (&["user=bob,path=/", "user=bob,path=/", "user=cid,path=/", "user=bob,path=/x"], "p-pp"),
        // Where one value ends and the next begins counts.
        (&["a=xy,b=z", "a=x,b=yz", "a=xy,b=z"], "pp-"),
    ];
    for (requests, expect) in cases {
        assert_eq!(answers(&limit, requests), expect, "{requests:?}");
    }
}

#[test]
fn a_request_may_count_for_more() {
    let limit = LocalRateLimit { descriptors: vec![bucket_for("user=ann", 10)], ..limit(Some(100)) };
    let hits = |hits| [Descriptor { hits: Some(hits), ..descriptor("user=ann") }];
    let passes: Vec<bool> =
        [6, 6, 4, 0, 1].map(|count| ask(&limit, &hits(count)).limit == Limit::Pass).into();
    assert_eq!(passes, [true, false, true, true, false]);
}

#[test]
fn a_shadow_refuses_nobody() {
    let shadow = LocalDescriptor { shadow: true, ..bucket_for("user=ann", 1) };
    let limit = LocalRateLimit { descriptors: vec![shadow, bucket_for("user=bob", 1)], ..limit(Some(3)) };
    let requests = ["user=ann", "user=ann", "user=ann", "user=bob", "user=bob", "user=cid", "user=cid"];
    assert_eq!(answers(&limit, &requests), "pppp-p-");
}

#[test]
fn a_connection_has_its_own() {
    let limit = LocalRateLimit { descriptors: vec![bucket_for("user=ann", 1)], ..limit(Some(2)) };
    let passes = |own: &mut OwnBuckets| {
        let counted =
            Counted { descriptors: &[descriptor("user=ann")], grpc: false, now: HOUR, own: Some(own) };
        decide(&limit, counted, &mut Dice::new(1)).limit == Limit::Pass
    };
    let (mut one, mut other) = (OwnBuckets::default(), OwnBuckets::default());
    assert_eq!([passes(&mut one), passes(&mut one), passes(&mut other)], [true, false, true]);
}

/// Names and values, shortly.
fn told(decision: &Decision) -> String {
    let short = |change: &HeaderChange| {
        let name = change.name.as_str().trim_start_matches("x-ratelimit-").to_owned();
        format!("{name}={}", change.value.to_str().unwrap())
    };
    decision.response.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn clients_are_told() {
    let known = || vec![bucket_for("user=ann", 2), bucket_for("path=/", 3)];
    let limit = || LocalRateLimit { told: true, descriptors: known(), ..limit(Some(5)) };
    let one = |told| Descriptor { told, ..descriptor("user=ann") };
    let cases = [
        (limit(), vec![], "limit=5 remaining=4 reset=0"),
        // Of the strictest, if none refuses.
        (limit(), vec![descriptor("path=/"), descriptor("user=ann")], "limit=2 remaining=1 reset=0"),
        (limit(), vec![descriptor("user=bob")], "limit=5 remaining=4 reset=0"),
        (limit(), vec![one(Told::Never)], ""),
        (LocalRateLimit { told: false, ..limit() }, vec![one(Told::AsFilter)], ""),
        (LocalRateLimit { told: false, ..limit() }, vec![one(Told::Always)], "limit=2 remaining=1 reset=0"),
        // Of the one that refuses.
        (limit(), vec![descriptor("path=/"); 4], "limit=3 remaining=0 reset=1200"),
        (
            LocalRateLimit { retry_after: true, ..limit() },
            vec![descriptor("path=/"); 4],
            "limit=3 remaining=0 reset=1200 retry-after=1200",
        ),
        (LocalRateLimit { retry_after: true, ..limit() }, vec![], "limit=5 remaining=4 reset=0"),
        (
            LocalRateLimit { retry_after: true, status: StatusCode::SERVICE_UNAVAILABLE, ..limit() },
            vec![descriptor("path=/"); 4],
            "limit=3 remaining=0 reset=1200",
        ),
    ];
    for (limit, descriptors, expect) in cases {
        assert_eq!(told(&ask(&limit, &descriptors)), expect, "{descriptors:?}");
    }
}

#[test]
fn whoever_must_wait_waits_a_second() {
    for (millis, expect) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (2500, "3")] {
        assert_eq!(retry_after(Duration::from_millis(millis)).value, expect);
    }
}
