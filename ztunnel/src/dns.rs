//! DNS for a pod: names of the mesh answered from the snapshot, everything else passed on unread.

mod answer;
mod forward;
mod names;
mod server;

pub use answer::{Answer, Kind, answer};
pub use forward::Upstreams;
pub use names::{Candidate, Zone, candidates, wildcards};
pub use server::serve;
