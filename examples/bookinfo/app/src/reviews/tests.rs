use super::*;

#[test]
fn star_color_follows_the_environment() {
    let check = |vars: &[(&str, &str)], expect: Option<&str>| {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(star_color(env).as_deref(), expect, "{vars:?}");
    };
    check(&[], None);
    check(&[("SERVICE_VERSION", "v1")], None);
    check(&[("SERVICE_VERSION", "v2")], Some("black"));
    check(&[("SERVICE_VERSION", "v3")], Some("red"));
    check(&[("SERVICE_VERSION", "v3"), ("ENABLE_RATINGS", "false")], None);
    check(&[("ENABLE_RATINGS", "true")], Some("black"));
    check(&[("ENABLE_RATINGS", "true"), ("STAR_COLOR", "red")], Some("red"));
}

#[test]
fn a_review_has_the_shape_of_the_sample() {
    let check = |rating: &Rating<'_>, expect: Value| assert_eq!(rating.review("Reviewer1", "t"), expect);
    check(&Rating::Off, json!({"reviewer": "Reviewer1", "text": "t"}));
    check(
        &Rating::Stars("red", json!({"ratings": {"Reviewer1": 5}})),
        json!({"reviewer": "Reviewer1", "text": "t", "rating": {"stars": 5, "color": "red"}}),
    );
    let error = json!({"error": "Ratings service is currently unavailable"});
    check(&Rating::Unavailable, json!({"reviewer": "Reviewer1", "text": "t", "rating": error}));
    check(
        &Rating::Stars("red", json!({"ratings": {}})),
        json!({"reviewer": "Reviewer1", "text": "t", "rating": error}),
    );
}
