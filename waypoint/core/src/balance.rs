//! Layer 2: which endpoint of a cluster a request goes to, and how much a cluster may be asked at once.
//!
//! A [`HostSet`] is one version of a cluster's endpoints with everything a pick needs computed in advance. What is learnt
//! at run time (load, failures, ejection) lives in atomics that outlive the version. Time comes in as `now`, a monotonic
//! duration since process start; randomness as `Dice`.

mod avoid;
mod breaker;
mod health;
mod host;
mod least_request;
mod maglev;
mod outlier;
mod pool;
mod ring_hash;
mod round_robin;
mod set;
mod slow_start;
mod weights;

pub use avoid::Avoid;
pub use breaker::{Breakers, Permit};
pub use host::{ActiveRequest, Host, HostId};
pub use outlier::Observed;
pub use set::{HostSet, HostSettings};
