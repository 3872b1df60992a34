use std::path::{Path, PathBuf};

use super::{Kind, Node, Tree};

/// A machine with merged /usr and the usual link of /var/run.
fn machine(path: &Path) -> Option<PathBuf> {
    match path.to_str()? {
        "/lib" => Some("usr/lib".into()),
        "/var/run" => Some("/run".into()),
        "/loop" => Some("/loop".into()),
        "/usr/lib/deep" => Some("../share/deep".into()),
        _ => None,
    }
}

fn at<'a>(tree: &'a Tree, path: &str) -> Option<&'a Node> {
    path.split('/')
        .filter(|p| !p.is_empty())
        .try_fold(&tree.root, |node, name| node.children.get(name.as_ref() as &std::ffi::OsStr))
}

#[test]
fn mounts_land_where_links_lead() {
    let check = |mount: &str, expect: &str| {
        let mut tree = Tree::new(machine);
        tree.bind(Path::new(mount), Path::new("/volume"), true);
        let found = at(&tree, expect).map(|n| &n.kind);
        let wanted = Kind::Bind { source: "/volume".into(), writable: true };
        assert_eq!(found, Some(&wanted), "{mount} is not at {expect}");
    };
    check("/etc/istio/pod", "/etc/istio/pod");
    check("/var/run/secrets/tokens", "/run/secrets/tokens");
    check("./var/run/x", "/run/x");
    check("/lib/x", "/usr/lib/x");
    check("/lib/deep/x", "/usr/share/deep/x");
    check("/a/../b", "/b");
    check("/var/lib/istio/data", "/var/lib/istio/data");
}

#[test]
fn a_link_to_itself_ends() {
    let mut tree = Tree::new(machine);
    tree.bind(Path::new("/loop/x"), Path::new("/volume"), true);
}

#[test]
fn a_volume_in_a_volume_in_any_order() {
    let check = |order: [&str; 2]| {
        let mut tree = Tree::new(machine);
        for path in order {
            tree.bind(Path::new(path), Path::new("/volume"), true);
        }
        assert!(matches!(at(&tree, "/data").unwrap().kind, Kind::Bind { .. }));
        assert!(matches!(at(&tree, "/data/sub").unwrap().kind, Kind::Bind { .. }));
    };
    check(["/data", "/data/sub"]);
    check(["/data/sub", "/data"]);
}

#[test]
fn every_container_has_its_own_run_and_tmp() {
    let tree = Tree::new(|_| None);
    assert_eq!(at(&tree, "/run").unwrap().kind, Kind::Empty { mode: 0o755 });
    assert_eq!(at(&tree, "/tmp").unwrap().kind, Kind::Empty { mode: 0o1777 });
    assert_eq!(at(&tree, "/var/run").unwrap().kind, Kind::Link("/run".into()));
    assert_eq!(at(&tree, "/var").unwrap().kind, Kind::Mirror);
}

#[test]
fn a_checkout_in_tmp_shows_its_programs_and_nothing_else() {
    let mut tree = Tree::new(|_| None);
    tree.uncover(Path::new("/tmp/checkout/target/debug"));
    tree.uncover(Path::new("/home/me/checkout/target/debug"));
    let shown = at(&tree, "/tmp/checkout/target/debug").map(|n| &n.kind);
    assert_eq!(shown, Some(&Kind::Bind { source: "/tmp/checkout/target/debug".into(), writable: false }));
    assert_eq!(at(&tree, "/tmp/checkout").unwrap().kind, Kind::Empty { mode: 0o755 });
    assert!(at(&tree, "/home").is_none(), "the machine's own folders are there anyway");
}
