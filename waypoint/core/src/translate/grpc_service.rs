//! Services that filters ask by gRPC. Envoy: `config.core.v3.GrpcService`.

use super::pb::{core, protobuf};
use super::problem::{At, Problem, Result};
use super::{route, values, wire};
use crate::model::grpc_service::GrpcTarget;
use crate::model::route::HeaderMutations;

/// And the timeout it names. `kind`: of the refusal.
pub(super) fn target(
    mut service: core::GrpcService,
    kind: &'static str,
) -> Result<(GrpcTarget, Option<protobuf::Duration>)> {
    use core::grpc_service::TargetSpecifier;
    let timeout = service.timeout.take();
    let metadata = headers(&mut service.initial_metadata).at("initial_metadata")?;
    let mut target = match service.target_specifier.take() {
        Some(TargetSpecifier::EnvoyGrpc(target)) => target,
        Some(TargetSpecifier::GoogleGrpc(_)) => return Err(Problem::unsupported(kind, "google_grpc")),
        None => return Err(Problem::unsupported(kind, "grpc target")),
    };
    wire::nothing_left(&service)?;
    let cluster = std::mem::take(&mut target.cluster_name);
    let authority = std::mem::take(&mut target.authority);
    let authority = if authority.is_empty() { &cluster } else { &authority };
    let authority = values::header_value(authority).at("authority")?;
    let max_response_bytes = target.max_receive_message_length.take().map(|length| length.value);
    target.skip_envoy_headers = false; // we add none
    wire::nothing_left(&target)?;
    Ok((GrpcTarget { cluster: cluster.into(), authority, metadata, max_response_bytes }, timeout))
}

/// Values may hold operators, e.g. `%REQ(:authority)%`.
pub(super) fn headers(list: &mut Vec<core::HeaderValue>) -> Result<HeaderMutations> {
    let overwrite = core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd as i32;
    let list = std::mem::take(list).into_iter().map(|header| core::HeaderValueOption {
        header: Some(header),
        append_action: overwrite,
        ..Default::default()
    });
    route::header_mutations(&mut list.collect(), &mut Vec::new())
}
