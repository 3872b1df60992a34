//! What of gRPC a proxy has to read: where messages begin, and how a browser writes them. Pure.

pub mod messages;
pub mod web;
