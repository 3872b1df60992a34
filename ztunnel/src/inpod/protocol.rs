//! ZDS: one protobuf per packet, strictly request and answer. Pure; spec: `zds.proto`, istio `cni/pkg/nodeagent`.
//!
//! Invariant: exactly the message that adds a pod carries a descriptor, and exactly one.

use mesh::proto::zds::{
    Ack, Version, WorkloadRequest, WorkloadResponse, workload_request, workload_response,
};
use prost::Message as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// `ZdsHello { version: V1 }`, the first packet.
pub const HELLO: [u8; 2] = [0x08, 0x01];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadInfo {
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
}

#[derive(Debug)]
pub enum Message {
    Add {
        uid: String,
        info: WorkloadInfo,
        netns: OwnedFd,
    },
    /// The pod is still there, but istio-cni has no namespace to show.
    Keep {
        uid: String,
    },
    Delete {
        uid: String,
    },
    SnapshotSent,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProtocolError {
    #[error("not a WorkloadRequest: {0}")]
    Decode(String),
    #[error("a request without payload")]
    Empty,
    #[error("{0} without workload info")]
    NoInfo(String),
    #[error("expected {expected} descriptors, got {got}")]
    Descriptors { expected: usize, got: usize },
    #[error("packet or descriptors truncated")]
    Truncated,
    #[error("{0} after the snapshot")]
    AfterSnapshot(&'static str),
}

/// Reads one packet with the descriptors that came along.
///
/// # Errors
/// When it is not ZDS; the descriptors are closed.
pub fn parse(packet: &[u8], mut descriptors: Vec<OwnedFd>) -> Result<Message, ProtocolError> {
    use workload_request::Payload;
    let request =
        WorkloadRequest::decode(packet).map_err(|error| ProtocolError::Decode(error.to_string()))?;
    let payload = request.payload.ok_or(ProtocolError::Empty)?;
    let expected = usize::from(matches!(payload, Payload::Add(_)));
    if descriptors.len() != expected {
        return Err(ProtocolError::Descriptors { expected, got: descriptors.len() });
    }
    Ok(match payload {
        Payload::Add(add) => {
            let info = add.workload_info.ok_or_else(|| ProtocolError::NoInfo(add.uid.clone()))?;
            let netns = descriptors.pop().ok_or(ProtocolError::Descriptors { expected, got: 0 })?;
            let info = WorkloadInfo {
                name: info.name.into(),
                namespace: info.namespace.into(),
                service_account: info.service_account.into(),
            };
            Message::Add { uid: add.uid, info, netns }
        }
        Payload::Keep(keep) => Message::Keep { uid: keep.uid },
        Payload::Del(delete) => Message::Delete { uid: delete.uid },
        Payload::SnapshotSent(_) => Message::SnapshotSent,
    })
}

/// The answer to a request; an empty error is success.
#[must_use]
pub fn ack(error: &str) -> Vec<u8> {
    let ack = Ack { error: error.to_owned() };
    WorkloadResponse { payload: Some(workload_response::Payload::Ack(ack)) }.encode_to_vec()
}

// What the constant says.
const _: () = assert!(Version::V1 as i32 == HELLO[1] as i32);

#[cfg(test)]
mod tests;
