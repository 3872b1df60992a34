//! Layer 2: which route a request takes and everything that follows from it, decided before any upstream is touched.
//!
//! `choose` finds the route, `pick` also its cluster, `plan` turns it into what the IO does; `retry` judges each attempt. Pure: randomness is
//! `Dice`, and no clock is read.

pub mod choose;
pub mod hash;
pub mod headers;
pub mod pick;
pub mod plan;
pub mod redirect;
pub mod retry;
pub mod rewrite;
pub mod timeouts;
pub mod trace_context;
