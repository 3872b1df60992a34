//! The pods of this node, as istio-cni hands them to us: one unix socket, one network namespace per pod.

mod client;
mod pods;
mod protocol;
mod socket;

pub use client::run;
pub use pods::{PodState, PodView, Pods, Start};
pub use protocol::{HELLO, Message, ProtocolError, WorkloadInfo, ack, parse};
pub use socket::Packets;
