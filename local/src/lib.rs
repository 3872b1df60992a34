//! `fairway` as a library: pods as network namespaces (`pods`), the node they live on (`node`), and the cluster above.

pub mod agent;
pub mod cli;
pub mod cluster;
pub mod control;
pub mod dns;
pub mod ingress;
pub mod istiod;
pub mod limits;
pub mod manifest;
pub mod node;
pub mod pods;
