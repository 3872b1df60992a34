//! Carries out the plan of a root: mounts it in a new mount namespace and makes it that namespace's root.
//!
//! Runs on a thread of its own, which is in the new namespace afterwards and ends.
#![allow(unsafe_code)] // mount_setattr(2)

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::tree::{Kind, Node, Tree};

/// Leaves the calling thread in the new namespace and returns the namespace.
pub(super) fn build(tree: &Tree, at: &Path) -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    fill(&tree.root, Path::new("/"), at)?;
    let namespace = File::open("/proc/thread-self/ns/mnt")?;
    // The new root is put over the old one, which is then taken away from under it; see pivot_root(2), "." twice.
    nix::unistd::chdir(at)?;
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(namespace)
}

/// `node` is the machine's `path`, to be shown at `at`.
fn place(node: &Node, path: &Path, at: &Path) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    match &node.kind {
        Kind::Link(to) => return symlink(to, at).map_err(named),
        Kind::Mirror => folder(at, 0o755).map_err(named)?,
        Kind::Empty { mode } => folder(at, *mode).map_err(named)?,
        Kind::Bind { source, writable } => bind(source, at, *writable).map_err(named)?,
    }
    fill(node, path, at)
}

fn fill(node: &Node, path: &Path, at: &Path) -> io::Result<()> {
    if node.kind == Kind::Mirror {
        mirror(node, path, at)?;
    }
    for (name, child) in &node.children {
        place(child, &path.join(name), &at.join(name))?;
    }
    Ok(())
}

/// Shows the entries of one of the machine's folders that nothing else takes the place of.
fn mirror(node: &Node, path: &Path, at: &Path) -> io::Result<()> {
    // A folder that is not there, or that we may not list, has nothing to show.
    let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
    for entry in entries.flatten() {
        let (name, from) = (entry.file_name(), entry.path());
        if node.children.contains_key(&name) {
            continue;
        }
        let shown = if entry.file_type().is_ok_and(|t| t.is_symlink()) {
            fs::read_link(&from).and_then(|to| symlink(to, at.join(&name)))
        } else {
            bind(&from, &at.join(&name), false)
        };
        if let Err(error) = shown {
            // It came and went, or is of a kind that cannot be shown; a container can do without.
            tracing::debug!(path = %from.display(), %error, "not shown in the container");
        }
    }
    Ok(())
}

fn folder(at: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(at) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    // Without the umask; not ours when it is a folder inside a mounted volume, then its mode stays.
    let _ = fs::set_permissions(at, Permissions::from_mode(mode));
    Ok(())
}

fn bind(source: &Path, at: &Path, writable: bool) -> io::Result<()> {
    if fs::metadata(source)?.is_dir() {
        folder(at, 0o755)?;
    } else if fs::symlink_metadata(at).is_err() {
        File::create(at)?;
    }
    // Recursive, because in a user namespace a mount must not uncover what lies under the mounts below it.
    mount(Some(source), at, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
    if writable { Ok(()) } else { read_only(at) }
}

/// Read-only with everything mounted below, in one call (Linux 5.12).
fn read_only(at: &Path) -> io::Result<()> {
    let path = CString::new(at.as_os_str().as_bytes())?;
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: both pointers are valid for the call, the size is the structure's.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
