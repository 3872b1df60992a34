//! The layers of `lib.rs`, held.

#[test]
fn lower_layers_never_import_higher_ones() {
    layers::check(
        env!("CARGO_MANIFEST_DIR"),
        &[
            (0, &["model", "failure", "limits", "dice"]),
            (1, &["matching", "grpc"]),
            (2, &["policy", "routing", "balance"]),
            (3, &["translate", "telemetry"]),
            (4, &["store"]),
        ],
    );
}
