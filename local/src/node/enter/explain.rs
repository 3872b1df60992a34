//! Why a kernel refuses namespaces, in words, with the command that would change it.

use std::fs;

/// Looks at what is known to forbid it.
pub(super) fn refusal(root: bool) -> String {
    let read = |path: &str| fs::read_to_string(path).ok().map(|s| s.trim().to_owned());
    reasons(
        root,
        read("/proc/sys/user/max_user_namespaces").as_deref(),
        read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref(),
        read("/proc/sys/kernel/unprivileged_userns_clone").as_deref(),
    )
}

fn reasons(root: bool, max: Option<&str>, apparmor: Option<&str>, debian: Option<&str>) -> String {
    let mut said = String::new();
    if max == Some("0") {
        said += ". user.max_user_namespaces is 0; try: sudo sysctl user.max_user_namespaces=15000";
    }
    if apparmor == Some("1") {
        said += ". AppArmor forbids it; try: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    }
    if debian == Some("0") {
        said += ". try: sudo sysctl kernel.unprivileged_userns_clone=1";
    }
    if root {
        said += ". We are root but lack CAP_SYS_ADMIN, or a seccomp profile forbids it; a container needs --privileged";
    } else if said.is_empty() {
        said +=
            ". No known setting forbids it, perhaps a seccomp profile does (containers); as root it may work";
    }
    said
}

/// What it means when the first steps inside are refused although the namespaces were made.
pub(super) fn inside(what: &str) -> String {
    let apparmor = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if apparmor.is_ok_and(|s| s.trim() == "1") {
        // Ubuntu 24.04 lets the namespace be made, but without any capability in it.
        return format!(
            "{what} (AppArmor takes all capabilities; try: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
        );
    }
    format!("{what} (in a container, /proc and mounts may be masked; it needs --privileged)")
}

#[cfg(test)]
mod tests;
