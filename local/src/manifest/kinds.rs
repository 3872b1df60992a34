//! The kinds fairway knows by name: their group, version, scope, and how users abbreviate them.

/// One kind of object as the API server would list it in discovery.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub short: &'static [&'static str],
    pub namespaced: bool,
}

const fn kind(
    api: (&'static str, &'static str),
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
) -> Kind {
    Kind { group: api.0, version: api.1, kind, plural, short, namespaced: true }
}

const fn cluster_wide(mut k: Kind) -> Kind {
    k.namespaced = false;
    k
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const GATEWAY_API: (&str, &str) = ("gateway.networking.k8s.io", "v1");
const NETWORKING: (&str, &str) = ("networking.istio.io", "v1");
const SECURITY: (&str, &str) = ("security.istio.io", "v1");

pub const NAMESPACE: Kind = cluster_wide(kind(CORE, "Namespace", "namespaces", &["ns"]));
pub const NODE: Kind = cluster_wide(kind(CORE, "Node", "nodes", &["no"]));
pub const POD: Kind = kind(CORE, "Pod", "pods", &["po"]);
pub const SERVICE: Kind = kind(CORE, "Service", "services", &["svc"]);
pub const SERVICE_ACCOUNT: Kind = kind(CORE, "ServiceAccount", "serviceaccounts", &["sa"]);
pub const CONFIG_MAP: Kind = kind(CORE, "ConfigMap", "configmaps", &["cm"]);
pub const SECRET: Kind = kind(CORE, "Secret", "secrets", &[]);
pub const DEPLOYMENT: Kind = kind(APPS, "Deployment", "deployments", &["deploy"]);
pub const DAEMON_SET: Kind = kind(APPS, "DaemonSet", "daemonsets", &["ds"]);
pub const STATEFUL_SET: Kind = kind(APPS, "StatefulSet", "statefulsets", &["sts"]);
pub const ENDPOINT_SLICE: Kind =
    kind(("discovery.k8s.io", "v1"), "EndpointSlice", "endpointslices", &["eps"]);
pub const GATEWAY: Kind = kind(GATEWAY_API, "Gateway", "gateways", &["gtw"]);
pub const GATEWAY_CLASS: Kind = cluster_wide(kind(GATEWAY_API, "GatewayClass", "gatewayclasses", &["gc"]));

pub const ALL: &[Kind] = &[
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    DEPLOYMENT,
    DAEMON_SET,
    STATEFUL_SET,
    ENDPOINT_SLICE,
    GATEWAY,
    GATEWAY_CLASS,
    kind(GATEWAY_API, "HTTPRoute", "httproutes", &[]),
    kind(GATEWAY_API, "GRPCRoute", "grpcroutes", &[]),
    kind(GATEWAY_API, "BackendTLSPolicy", "backendtlspolicies", &["btlspolicy"]),
    kind(("gateway.networking.k8s.io", "v1alpha2"), "TCPRoute", "tcproutes", &[]),
    kind(GATEWAY_API, "TLSRoute", "tlsroutes", &[]),
    kind(("gateway.networking.k8s.io", "v1beta1"), "ReferenceGrant", "referencegrants", &["refgrant"]),
    kind(NETWORKING, "VirtualService", "virtualservices", &["vs"]),
    kind(NETWORKING, "DestinationRule", "destinationrules", &["dr"]),
    kind(NETWORKING, "ServiceEntry", "serviceentries", &["se"]),
    kind(NETWORKING, "WorkloadEntry", "workloadentries", &["we"]),
    kind(("networking.istio.io", "v1alpha3"), "EnvoyFilter", "envoyfilters", &[]),
    kind(SECURITY, "AuthorizationPolicy", "authorizationpolicies", &["ap"]),
    kind(SECURITY, "PeerAuthentication", "peerauthentications", &["pa"]),
    kind(SECURITY, "RequestAuthentication", "requestauthentications", &["ra"]),
    kind(("telemetry.istio.io", "v1"), "Telemetry", "telemetries", &["telemetry"]),
    kind(("extensions.istio.io", "v1alpha1"), "WasmPlugin", "wasmplugins", &[]),
    cluster_wide(kind(("rbac.authorization.k8s.io", "v1"), "ClusterRole", "clusterroles", &[])),
    cluster_wide(kind(("rbac.authorization.k8s.io", "v1"), "ClusterRoleBinding", "clusterrolebindings", &[])),
    cluster_wide(kind(
        ("apiextensions.k8s.io", "v1"),
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd"],
    )),
];

impl Kind {
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// The kind of a manifest's `apiVersion` and `kind`.
#[must_use]
pub fn of(group: &str, kind: &str) -> Option<&'static Kind> {
    ALL.iter().find(|k| k.group == group && k.kind == kind)
}

/// The kind a user means by `pods`, `po`, `pod`, `Pod`, `gateways.gateway.networking.k8s.io` …
#[must_use]
pub fn named(word: &str) -> Option<&'static Kind> {
    let word = word.to_ascii_lowercase();
    ALL.iter().find(|k| {
        let full = format!("{}.{}", k.plural, k.group);
        k.plural == word
            || k.kind.eq_ignore_ascii_case(&word)
            || k.short.contains(&word.as_str())
            || full == word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_abbreviate() {
        let check =
            |word: &str, expect: Option<&str>| assert_eq!(named(word).map(|k| k.kind), expect, "{word}");
        check("pods", Some("Pod"));
        check("Pod", Some("Pod"));
        check("svc", Some("Service"));
        check("gateway", Some("Gateway"));
        check("gtw", Some("Gateway"));
        check("httproutes.gateway.networking.k8s.io", Some("HTTPRoute"));
        check("vs", Some("VirtualService"));
        check("widgets", None);
    }

    #[test]
    fn no_two_kinds_share_a_word() {
        for k in ALL {
            for word in k.short.iter().chain([&k.plural]) {
                assert_eq!(named(word), Some(k), "{word}");
            }
        }
    }
}
