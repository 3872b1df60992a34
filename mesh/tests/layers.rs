//! Which module may use which. Identity knows no tunnel, and a tunnel knows no xDS because this package has none.

#[test]
fn layers_hold() {
    layers::check(
        env!("CARGO_MANIFEST_DIR"),
        &[
            (0, &["limits", "version", "proto", "lifecycle"]),
            (1, &["identity", "log", "net"]),
            (2, &["tls", "admin"]),
            (3, &["channel"]),
            (4, &["secrets"]),
            (5, &["hbone"]),
            (6, &["testing"]),
        ],
    );
}
