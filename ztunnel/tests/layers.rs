//! Which module may use which: decisions know no sockets, and only `app` knows everything.

#[test]
fn layers_hold() {
    layers::check(
        env!("CARGO_MANIFEST_DIR"),
        &[
            (0, &["limits", "args"]),
            (1, &["state", "sockets", "config"]),
            (2, &["rbac", "select"]),
            (3, &["telemetry"]),
            (4, &["proxy"]),
            (5, &["inpod", "dns", "xds"]),
            (6, &["admin"]),
            (7, &["app"]),
        ],
    );
}
