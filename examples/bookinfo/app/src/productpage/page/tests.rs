use super::*;

#[test]
fn page_shows_who_served_the_reviews() {
    let details = (StatusCode::OK, json!({"publisher": "PublisherA"}));
    let reviews = (
        StatusCode::OK,
        json!({"podname": "reviews-v3-x", "clustername": "null", "reviews": [
            {"reviewer": "Reviewer1", "text": "<b>", "rating": {"stars": 5, "color": "red"}}]}),
    );
    let page = productpage("<jason>", &details, &reviews);
    for expect in
        ["Reviews served by: reviews-v3-x", "text-red-500", "&lt;b&gt;", "&lt;jason&gt;", "PublisherA"]
    {
        assert!(page.contains(expect), "{expect} is not in {page}");
    }
    assert_eq!(page.matches("glyphicon-star").count(), 5);
}

#[test]
fn failures_are_told() {
    let failed = |what: &str| (StatusCode::SERVICE_UNAVAILABLE, json!({"error": format!("Sorry, {what}")}));
    let page = productpage("", &failed("details"), &failed("reviews"));
    assert!(page.contains("Error fetching product details") && page.contains("Sorry, details"));
    assert!(page.contains("Error fetching product reviews") && page.contains("Sorry, reviews"));
}
