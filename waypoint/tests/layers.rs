//! Holds the modules of this package to their layers.

#[test]
fn modules_import_downwards_only() {
    layers::check(
        env!("CARGO_MANIFEST_DIR"),
        &[
            (0, &["limits"]),
            (1, &["args", "env"]),
            (2, &["config"]),
            (3, &["node", "agent"]),
            (4, &["proxy"]),
            (5, &["admin"]),
            (6, &["app"]),
        ],
    );
}
