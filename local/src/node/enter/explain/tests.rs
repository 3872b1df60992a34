use super::reasons;

#[test]
fn names_the_setting_that_forbids() {
    let check = |root, max, apparmor, debian, expect: &[&str]| {
        let said = reasons(root, max, apparmor, debian);
        for word in expect {
            assert!(said.contains(word), "{said:?} lacks {word:?}");
        }
    };
    check(false, Some("0"), None, None, &["sysctl user.max_user_namespaces="]);
    check(false, Some("15000"), Some("1"), None, &["apparmor_restrict_unprivileged_userns=0"]);
    check(false, Some("15000"), None, Some("0"), &["unprivileged_userns_clone=1"]);
    check(false, Some("0"), Some("1"), None, &["max_user_namespaces", "apparmor"]);
    check(false, Some("15000"), Some("0"), Some("1"), &["No known setting", "seccomp"]);
    check(true, Some("0"), None, None, &["max_user_namespaces", "--privileged"]);
    check(true, Some("15000"), None, None, &["CAP_SYS_ADMIN", "--privileged"]);
}
