//! Whether a pod belongs into the ambient mesh. As istio-cni decides: `cni/pkg/util/podutil.go`.

use super::Store;
use crate::manifest::Object;
use crate::manifest::kinds::NAMESPACE;

pub const MODE: &str = "istio.io/dataplane-mode";
/// Tells istiod that ztunnel carries this pod's traffic.
pub const REDIRECTION: &str = "ambient.istio.io/redirection";

/// Whether the pod's traffic is to be captured, by its labels and its namespace's.
#[must_use]
pub fn wants_capture(store: &Store, pod: &Object) -> bool {
    let host_network = pod.json["spec"]["hostNetwork"].as_bool().unwrap_or_default();
    let opted_out = pod.annotation(REDIRECTION) == Some("disabled")
        || pod.annotation("sidecar.istio.io/status").is_some();
    if host_network || opted_out {
        return false;
    }
    match pod.label(MODE) {
        Some(mode) => mode == "ambient",
        None => store.find(&NAMESPACE, "", &pod.key.namespace).and_then(|n| n.label(MODE)) == Some("ambient"),
    }
}

/// Writes or removes what istiod reads.
pub fn annotate(pod: &mut Object, captured: bool) {
    let annotations = pod.metadata_map("annotations");
    if captured {
        annotations.insert(REDIRECTION.into(), "enabled".into());
    } else if annotations.get(REDIRECTION).is_some_and(|v| v == "enabled") {
        annotations.shift_remove(REDIRECTION);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::kinds::POD;

    #[test]
    fn labels_decide() {
        let check = |namespace: &str, label: &str, extra: serde_json::Value, expect: bool| {
            let mut store = Store::default();
            store.put(Object::ours(&NAMESPACE, "", "n", json!({"metadata": {"labels": {MODE: namespace}}})));
            let mut pod = Object::ours(&POD, "n", "p", extra);
            if !label.is_empty() {
                pod.metadata_map("labels").insert(MODE.into(), label.into());
            }
            assert_eq!(wants_capture(&store, &pod), expect, "namespace {namespace:?}, {:?}", pod.json);
        };
        check("ambient", "", json!({}), true);
        check("ambient", "none", json!({}), false);
        check("none", "", json!({}), false);
        check("", "ambient", json!({}), true);
        check("", "", json!({}), false);
        check("ambient", "", json!({"spec": {"hostNetwork": true}}), false);
        check("ambient", "ambient", json!({"spec": {"hostNetwork": true}}), false);
        check("ambient", "", json!({"metadata": {"annotations": {REDIRECTION: "disabled"}}}), false);
        check("ambient", "", json!({"metadata": {"annotations": {REDIRECTION: "enabled"}}}), true);
        check("ambient", "", json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{}"}}}), false);
    }

    #[test]
    fn an_opt_out_is_not_removed() {
        let mut pod =
            Object::ours(&POD, "n", "p", json!({"metadata": {"annotations": {REDIRECTION: "disabled"}}}));
        annotate(&mut pod, false);
        assert_eq!(pod.annotation(REDIRECTION), Some("disabled"));
        annotate(&mut pod, true);
        annotate(&mut pod, false);
        assert_eq!(pod.annotation(REDIRECTION), None);
    }
}
