//! Manifests: YAML files to `Object`s, and the typed views of the kinds fairway acts on.
//!
//! Objects stay JSON; what fairway does not act on passes through to istiod untouched. Nothing here knows the cluster.

pub mod kinds;
pub mod object;
pub mod parse;
pub mod typed;

pub use object::{Key, Object};
