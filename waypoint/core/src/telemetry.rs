//! Layer 3: what the waypoint tells about the traffic it served: access logs, `istio_*` metrics, peer labels.
//!
//! Reads [`record::RequestRecord`] only. Writing lines to files and serving the metrics page is the IO's.

pub mod access_log;
pub mod cel;
pub mod format;
pub mod metrics;
pub mod otlp;
pub mod peer;
pub mod record;
pub mod span;
