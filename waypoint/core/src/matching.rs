//! Layer 1: matchers as functions over what a request is, shared by routing and policy so that the two cannot disagree.
//!
//! Everything here is pure and total: a matcher that cannot apply to a value does not match it.

pub mod header;
pub mod ip;
pub mod metadata;
pub mod path;
pub mod query;
pub mod regex;
pub mod string;
pub mod template;
pub mod view;
