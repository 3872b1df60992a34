//! The versions this build reports: ours, and the Istio release it is tested against.
//! istiod gates features on the latter (`ISTIO_VERSION` in the node metadata), so it is data, not decoration.

/// Version of this workspace.
pub const FAIRWAY: &str = env!("CARGO_PKG_VERSION");

/// Istio release whose istiod and ztunnel this build is tested against.
pub const ISTIO: &str = "1.31.0";
