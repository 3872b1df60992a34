//! Where the programs of the image table are on this machine.

use std::path::{Path, PathBuf};

/// Looks beside fairway itself, then in PATH; `FAIRWAY_<NAME>` overrides both.
#[derive(Clone, Debug)]
pub struct Programs {
    own: PathBuf,
}

impl Programs {
    /// `own`: the running executable.
    #[must_use]
    pub fn beside(own: PathBuf) -> Self {
        Self { own }
    }

    /// The folder of our programs, for PATH.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.own.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// The program, or where it was looked for.
    pub fn find(&self, name: &str) -> Result<PathBuf, String> {
        self.find_with(name, |variable| std::env::var_os(variable).map(PathBuf::from))
    }

    fn find_with(&self, name: &str, env: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, String> {
        if name == "fairway" {
            return Ok(self.own.clone());
        }
        if name.starts_with('/') {
            return if is_program(Path::new(name)) {
                Ok(name.into())
            } else {
                Err(format!("{name} is no program"))
            };
        }
        let variable =
            format!("FAIRWAY_{}", name.trim_start_matches("fairway-").to_uppercase().replace('-', "_"));
        if let Some(path) = env(&variable) {
            return if is_program(&path) {
                Ok(path)
            } else {
                Err(format!("{variable}={} is no program", path.display()))
            };
        }
        let path = env("PATH").unwrap_or_default();
        let folders = std::iter::once(self.folder().to_owned()).chain(std::env::split_paths(&path));
        let mut found = folders.map(|folder| folder.join(name));
        found.find(|program| is_program(program)).ok_or_else(|| {
            format!("neither in {} nor in PATH; {variable} may name it", self.folder().display())
        })
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_are_found_beside_us_by_variable_and_in_path() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (own, beside) = (make("bin/fairway", 0o755), make("bin/ztunnel", 0o755));
        let (other, plain) = (make("other/waypoint", 0o755), make("bin/text", 0o644));
        let programs = Programs::beside(own.clone());
        let env = |name: &str| match name {
            "FAIRWAY_WAYPOINT" => Some(other.clone()),
            "FAIRWAY_ISTIOD" => Some(plain.clone()),
            "PATH" => Some(folder.path().join("other")),
            _ => None,
        };
        assert_eq!(programs.find_with("fairway", env), Ok(own));
        assert_eq!(programs.find_with("ztunnel", env), Ok(beside));
        assert_eq!(programs.find_with("waypoint", env), Ok(other.clone()));
        assert_eq!(
            programs.find_with("waypoint", |n| (n == "PATH").then(|| folder.path().join("other"))),
            Ok(other.clone())
        );
        assert!(programs.find_with("text", env).unwrap_err().contains("FAIRWAY_TEXT"));
        assert!(programs.find_with("fairway-istiod", env).unwrap_err().contains("is no program"));
        assert!(programs.find_with("/nowhere", env).is_err());
    }
}
