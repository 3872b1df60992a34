//! The node: its namespaces, links, packet filter rules, and istio-cni's half of ZDS. Knows no Kubernetes objects.

pub mod enter;
pub mod links;
pub mod netns;
pub mod network;
pub mod nft;
pub mod redirection;
pub mod services;
pub(crate) mod watched;
pub mod zds_server;
