//! Routes as tests write them.

use crate::model::route::{
    ClusterChoice, Forward, HeaderMutations, PathMatch, Route, RouteAction, RouteMatch,
};
use http::StatusCode;
use std::sync::Arc;

/// To cluster `c`, nothing else.
pub(crate) fn forward() -> Forward {
    Forward {
        clusters: ClusterChoice::Single("c".into()),
        timeout: None,
        max_grpc_timeout: None,
        idle_timeout: None,
        retry: None,
        rewrite: None,
        host_rewrite: None,
        append_x_forwarded_host: false,
        mirrors: vec![],
        hash: vec![],
        cluster_not_found: StatusCode::SERVICE_UNAVAILABLE,
        upgrades: vec![],
    }
}

pub(crate) fn route(path: PathMatch, action: RouteAction) -> Arc<Route> {
    Arc::new(Route {
        name: "r".into(),
        matcher: RouteMatch { path, headers: vec![], query: vec![], metadata: vec![], grpc: false },
        action,
        request_headers: HeaderMutations::default(),
        response_headers: HeaderMutations::default(),
        fault: None,
        cors: None,
        ext_authz: None,
        limits: Default::default(),
        decorator: None,
        istio_config: None,
        refusal: None,
    })
}
