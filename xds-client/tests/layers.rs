//! The protocol machine knows no IO; only the client does.

#[test]
fn layers_hold() {
    let table: &layers::Table<'_> = &[
        (0, &["proto", "type_url", "limits"]),
        (1, &["backoff", "delta"]),
        (2, &["cache", "dump"]),
        (3, &["client", "typed_struct"]),
    ];
    layers::check(env!("CARGO_MANIFEST_DIR"), table);
}
