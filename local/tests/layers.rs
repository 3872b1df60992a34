//! The lower half knows no cluster, the cluster does no IO, and only the agent joins them.

#[test]
fn layers_hold() {
    let table: &layers::Table<'_> = &[
        (0, &["limits"]),
        (1, &["node", "manifest"]),
        (2, &["pods"]),
        (3, &["cluster"]),
        (4, &["control", "dns", "ingress", "istiod"]),
        (5, &["agent"]),
        (6, &["cli"]),
    ];
    layers::check(env!("CARGO_MANIFEST_DIR"), table);
}
