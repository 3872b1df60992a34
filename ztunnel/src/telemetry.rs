//! What is told about connections: failures with their flags, metrics, access log. Nothing here decides anything.

mod failure;
mod labels;
mod metrics;
mod record;

pub use failure::{Failure, ResponseFlag};
pub use labels::{Party, Reporter, TrafficLabels};
pub use metrics::{DnsLabels, Metrics, Termination};
pub use record::{Direction, Ends, Record};
