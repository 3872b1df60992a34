//! A gRPC service that filters ask. Envoy: `config.core.v3.GrpcService` with `envoy_grpc`.

use super::route::{ClusterName, HeaderMutations};
use http::HeaderValue;

#[derive(Clone, Debug)]
pub struct GrpcTarget {
    pub cluster: ClusterName,
    pub authority: HeaderValue,
    /// `initial_metadata`.
    pub metadata: HeaderMutations,
    pub max_response_bytes: Option<u32>,
}
