use crate::dns::names::{Zone, candidates, wildcards};

fn check(query: &str, expect: &[&str]) {
    let found = candidates(query, "shop", &Zone::new("cluster.local", None));
    let shown: Vec<_> = found
        .into_iter()
        .map(|candidate| match candidate.stripped {
            Some(stripped) => format!("{} ({stripped})", candidate.name),
            None => candidate.name,
        })
        .collect();
    assert_eq!(shown, expect, "{query}");
}

#[test]
fn what_a_name_may_mean() {
    check("cart", &["cart", "cart.shop.svc.cluster.local"]);
    check("cart.web", &["cart.web", "cart.web.svc.cluster.local", "cart.web.shop.svc.cluster.local"]);
    check(
        "cart.web.svc",
        &["cart.web.svc", "cart.web.svc.cluster.local", "cart.web.svc.shop.svc.cluster.local"],
    );
    check("db-0.db.web.svc", &["db-0.db.web.svc", "db-0.db.web.svc.cluster.local"]);
    check("www.example.co.uk", &["www.example.co.uk"]);
}

#[test]
fn search_domains_are_taken_off() {
    check(
        "cart.web.shop.svc.cluster.local",
        &[
            "cart.web.shop.svc.cluster.local",
            "cart.web (cart.web)",
            "cart.web.svc.cluster.local (cart.web)",
            "cart.web.shop (cart.web.shop)",
            "cart.web.shop.shop.svc.cluster.local (cart.web.shop)",
            "cart.web.shop.svc (cart.web.shop.svc)",
        ],
    );
}

#[test]
fn wildcards_from_the_longest() {
    assert_eq!(wildcards("a.b.c").collect::<Vec<_>>(), ["*.b.c", "*.c"]);
    assert_eq!(wildcards("a").count(), 0);
}
