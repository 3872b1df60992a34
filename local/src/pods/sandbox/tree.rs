//! A container's root as a plan: this machine's files, read-only, except where something else is shown.
//!
//! Not an overlay file system: without root, a directory that belongs to this machine's root cannot be written through an
//! overlay, so no mount point could be made in it. Instead every folder on the way to a mount point is a folder of ours that
//! shows the machine's entries one by one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links followed in one path. Linux: 40.
const LINKS_MAX: usize = 40;

/// On the way to a mount point in a folder that has nothing of the machine's.
const FOLDER: Kind = Kind::Empty { mode: 0o755 };

/// A container has its own of these.
const OWN: [&str; 3] = ["/run", "/tmp", "/var/run"];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) children: BTreeMap<OsString, Self>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The machine's folder of the same path, if there is one, except for the children.
    Mirror,
    /// Nothing but the children.
    Empty {
        mode: u32,
    },
    /// Another file or folder, with what is mounted in it.
    Bind {
        source: PathBuf,
        writable: bool,
    },
    Link(PathBuf),
}

/// Where a path of this machine leads, if it is a symbolic link.
type ReadLink = Box<dyn Fn(&Path) -> Option<PathBuf> + Send + Sync>;

pub(super) struct Tree {
    pub(super) root: Node,
    read_link: ReadLink,
}

impl Tree {
    /// The places every container has of its own. `read_link` tells the machine's symbolic links.
    pub(super) fn new(read_link: impl Fn(&Path) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        let mut tree = Self { root: Node::new(Kind::Mirror), read_link: Box::new(read_link) };
        tree.put(Path::new("/run"), Kind::Empty { mode: 0o755 });
        tree.put(Path::new("/tmp"), Kind::Empty { mode: 0o1777 });
        tree.put(Path::new("/var/run"), Kind::Link("/run".into()));
        for path in ["/proc", "/sys", "/dev"] {
            tree.bind(Path::new(path), Path::new(path), true);
        }
        tree
    }

    /// Shows a folder of the machine's although one of the container's own places would hide it.
    pub(super) fn uncover(&mut self, folder: &Path) {
        if OWN.iter().any(|own| folder.starts_with(own)) {
            self.bind(folder, folder, false);
        }
    }

    pub(super) fn bind(&mut self, at: &Path, source: &Path, writable: bool) {
        let at = self.resolve(at);
        self.put(&at, Kind::Bind { source: source.to_owned(), writable });
    }

    fn put(&mut self, at: &Path, kind: Kind) {
        let mut node = &mut self.root;
        for part in at.components() {
            if let Component::Normal(name) = part {
                let way = if matches!(node.kind, Kind::Empty { .. }) { FOLDER } else { Kind::Mirror };
                node = node.children.entry(name.to_owned()).or_insert_with(|| Node::new(way));
            }
        }
        node.kind = kind; // children stay: a volume may be mounted in a volume, in any order
    }

    /// Where a path leads in the container: over its own links first, then the machine's.
    fn resolve(&self, path: &Path) -> PathBuf {
        let mut rest: Vec<OsString> = parts(path);
        let mut found = PathBuf::from("/");
        for _ in 0..LINKS_MAX {
            let Some(link) = advance(&mut found, &mut rest, |p| self.link(p)) else { break };
            let base = if link.is_absolute() { PathBuf::from("/") } else { found.clone() };
            let mut whole = parts(&base.join(link));
            whole.append(&mut rest);
            (found, rest) = (PathBuf::from("/"), whole);
        }
        found.extend(rest);
        found
    }

    fn link(&self, path: &Path) -> Option<PathBuf> {
        let mut node = Some(&self.root);
        for name in parts(path) {
            node = node.and_then(|n| n.children.get(&name));
            match node.map(|n| &n.kind) {
                Some(Kind::Link(to)) => return Some(to.clone()),
                Some(Kind::Bind { .. } | Kind::Empty { .. }) => return None,
                Some(Kind::Mirror) | None => {}
            }
        }
        (self.read_link)(path)
    }
}

/// Walks until a link or the end. `found` is then the link's folder, `rest` what follows it.
fn advance(
    found: &mut PathBuf,
    rest: &mut Vec<OsString>,
    link: impl Fn(&Path) -> Option<PathBuf>,
) -> Option<PathBuf> {
    while !rest.is_empty() {
        let next = found.join(&rest[0]);
        rest.remove(0);
        if let Some(to) = link(&next) {
            return Some(to);
        }
        *found = next;
    }
    None
}

/// The parts of a path, `..` worked off.
fn parts(path: &Path) -> Vec<OsString> {
    let mut all = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => all.push(name.to_owned()),
            Component::ParentDir => {
                all.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    all
}

impl Node {
    fn new(kind: Kind) -> Self {
        Self { kind, children: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests;
