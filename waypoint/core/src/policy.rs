//! Layer 2: whether a request may pass, and what is done to it on purpose: RBAC, CORS, fault injection.
//!
//! Pure: what a decision reads comes as a view, randomness as `Dice`; the IO carries the decision out.

pub mod cors;
pub mod fault;
pub mod rbac;
