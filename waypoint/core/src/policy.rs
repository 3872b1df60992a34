//! Layer 2: whether a request may pass, and what is done to it on purpose: JWT, RBAC, CORS, fault injection,
//! external authorization.
//!
//! Pure: what a decision reads comes as a view, randomness as `Dice`; the IO carries the decision out.

pub mod cors;
pub mod ext_authz;
pub mod fault;
pub mod jwt;
pub mod rate_limit;
pub mod rbac;
