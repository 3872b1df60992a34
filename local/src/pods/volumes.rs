//! Volumes on disk: what kubelet's volume plugins do for emptyDir, hostPath and projected files.
//!
//! Invariant: a reader sees a projected volume's files of one time, never a mixture. As kubelet's AtomicWriter does, each
//! version is a folder of its own, `..data` is a link to the present one, and the visible names lead through it; watchers of
//! certificates rely on exactly that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::spec::{MintError, Projection, TokenSource, Volume, VolumeSource};

const DATA: &str = "..data";

#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("file name {0:?} leads out of the volume")]
    Name(String),
    #[error("minting a token: {0}")]
    Token(MintError),
}

/// Makes a pod's volume below `dir`, or brings it up to date; returns where it is.
pub fn make(dir: &Path, volume: &Volume) -> Result<PathBuf, VolumeError> {
    let own = dir.join(&volume.name);
    match &volume.source {
        VolumeSource::HostPath(path) => {
            if !path.exists() {
                fs::create_dir_all(path).map_err(at(path))?;
            }
            return Ok(path.clone());
        }
        VolumeSource::EmptyDir => {
            fs::create_dir_all(&own).map_err(at(&own))?;
            fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).map_err(at(&own))?;
        }
        VolumeSource::Projected(sources) => write(&own, &files(sources)?)?,
    }
    Ok(own)
}

/// How long until the volume must be written again because a token in it grows old.
#[must_use]
pub fn renew_after(sources: &[Projection]) -> Option<Duration> {
    let lives = sources.iter().filter_map(|s| match s {
        Projection::Token(token) => Some(token.lifetime),
        Projection::Files(_) => None,
    });
    lives.min().map(|life| life * 4 / 5)
}

/// All files of a projected volume; a later source wins.
pub fn files(sources: &[Projection]) -> Result<BTreeMap<String, Vec<u8>>, VolumeError> {
    let mut all = BTreeMap::new();
    for source in sources {
        match source {
            Projection::Files(files) => all.extend(files.clone()),
            Projection::Token(TokenSource { path, lifetime, mint }) => {
                all.insert(path.clone(), mint(*lifetime).map_err(VolumeError::Token)?.into_bytes());
            }
        }
    }
    Ok(all)
}

/// Replaces the volume's content, whole.
pub fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), VolumeError> {
    fs::create_dir_all(dir).map_err(at(dir))?;
    let data = dir.join(DATA);
    let before = fs::read_link(&data).ok();
    let version = format!("..{}", before.as_deref().and_then(version_of).map_or(1, |n| n + 1));
    let folder = dir.join(&version);
    let _ = fs::remove_dir_all(&folder); // left by a write that failed half way
    for (name, content) in files {
        let file = folder.join(relative(name)?);
        let parent = file.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).map_err(at(parent))?;
        fs::write(&file, content).map_err(at(&file))?;
    }
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let fresh = dir.join("..data_tmp");
    let _ = fs::remove_file(&fresh);
    symlink(&version, &fresh).map_err(at(&fresh))?;
    fs::rename(&fresh, &data).map_err(at(&data))?;
    link_names(dir, files)?;
    if let Some(before) = before {
        let _ = fs::remove_dir_all(dir.join(before));
    }
    Ok(())
}

/// The visible names: links through `..data` for what is there now, none for what is gone.
fn link_names(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), VolumeError> {
    let mut wanted: Vec<&str> = files.keys().filter_map(|name| name.split('/').next()).collect();
    wanted.dedup();
    for name in &wanted {
        let link = dir.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), &link).map_err(at(&link))?;
        }
    }
    for entry in fs::read_dir(dir).map_err(at(dir))?.flatten() {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if !shown.starts_with("..") && !wanted.contains(&shown.as_ref()) {
            fs::remove_file(entry.path()).map_err(at(&entry.path()))?;
        }
    }
    Ok(())
}

fn version_of(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("..")?.parse().ok()
}

fn relative(name: &str) -> Result<&Path, VolumeError> {
    let path = Path::new(name);
    let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    if plain && !name.is_empty() && !name.starts_with("..") {
        Ok(path)
    } else {
        Err(VolumeError::Name(name.into()))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VolumeError + use<> {
    let path = path.to_owned();
    move |error| VolumeError::File { path, error }
}

#[cfg(test)]
mod tests;
