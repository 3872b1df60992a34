//! Generated code of Istio's CA and ZDS protos (`proto/istio`, verbatim from istio.io/api and istio.io/istio).
//! Not the xDS protos: those are `xds-client`'s.

// Generated: not ours to lint.
#![allow(clippy::all, clippy::use_self, unreachable_pub, clippy::needless_pass_by_value)]

/// The certificate service istiod offers beside xDS.
pub mod ca {
    tonic::include_proto!("istio.v1.auth");
}

/// What istio-cni's node agent tells ztunnel about the pods of its node.
pub mod zds {
    tonic::include_proto!("istio.workload.zds");
}
