use super::*;

#[test]
fn alternating_versions_are_out_every_other_period() {
    let check = |version: &str, seconds: u64, expect: bool| {
        assert_eq!(
            Manner::of(version).is_out(Duration::from_secs(seconds)),
            expect,
            "{version} at {seconds} s"
        );
    };
    check("v1", 61, false);
    check("v-faulty", 61, false);
    check("v-unavailable", 59, false);
    check("v-unavailable", 60, true);
    check("v-unavailable", 120, false);
    check("v-unhealthy", 899, false);
    check("v-unhealthy", 900, true);
}

#[tokio::test]
async fn posted_ratings_are_kept_per_product() {
    let ratings = Ratings { manner: Manner::Healthy, since: Instant::now(), added: Mutex::default() };
    assert_eq!(ratings.of(7), json!({"id": 7, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}));
    assert_eq!(ratings.rate(7, b"{\"Reviewer1\":1}").status(), StatusCode::OK);
    assert_eq!(ratings.of(7), json!({"id": 7, "ratings": {"Reviewer1": 1}}));
    assert_eq!(ratings.of(8), json!({"id": 8, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}));
    assert_eq!(ratings.rate(7, b"{").status(), StatusCode::BAD_REQUEST);
}
