use super::*;
use prost::Message as _;

fn translate(metrics: Vec<pb::MetricConfig>) -> (StatsFilter, Vec<String>) {
    let reporter = pb::Reporter::ServerGateway as i32;
    let config = pb::PluginConfig { metrics, reporter, ..Default::default() };
    let mut warnings = Warnings::default();
    let any =
        Any { type_url: "type.googleapis.com/stats.PluginConfig".into(), value: config.encode_to_vec() };
    let filter = filter(&any, &mut warnings).unwrap();
    (filter, warnings.into_list().into_iter().map(|warning| warning.text).collect())
}

#[test]
fn tags_keep_the_order_of_their_configuration() {
    let dimensions = [("z", "'1'"), ("a-b", "request.host"), ("reporter", "'me'")];
    let (filter, warnings) = translate(vec![
        pb::MetricConfig {
            name: "istio_requests_total".into(),
            tags_to_remove: vec!["source_app".into()],
            dimensions: dimensions.map(|(tag, text)| (tag.to_owned(), text.to_owned())).into(),
            ..Default::default()
        },
        pb::MetricConfig { tags_to_remove: vec!["reporter".into()], ..Default::default() },
    ]);
    let got: Vec<_> = filter.tags.iter().map(|one| (&*one.metric, &*one.tag, one.value.is_some())).collect();
    let count = "requests_total";
    assert_eq!(
        got,
        [
            (count, "source_app", false),
            (count, "a_b", true),
            (count, "reporter", true),
            (count, "z", true),
            ("", "reporter", false)
        ]
    );
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn what_cannot_be_evaluated_is_named_and_left_out() {
    for (tag, text, why) in [
        ("tenant", "a | b", "unsupported_expression{a | b: "),
        ("tenant", "request.nope", "unsupported_expression{request.nope: unknown attribute request.nope}"),
        ("le", "'1'", "unsupported_tag{le}"),
        ("1st", "'1'", "unsupported_tag{1st}"),
    ] {
        let dimensions = [(tag.to_owned(), text.to_owned())].into();
        let (filter, warnings) = translate(vec![pb::MetricConfig { dimensions, ..Default::default() }]);
        assert_eq!(filter.tags.iter().map(|one| one.value.is_some()).collect::<Vec<_>>(), [false], "{text}");
        assert!(
            warnings[0].starts_with(&format!("istio.stats: tag {tag} is left out: {why}")),
            "{warnings:?}"
        );
    }
}
