//! Pods: a network namespace with processes in it, as a kubelet and a container runtime would keep them.
//! Knows no Kubernetes objects: `spec` is everything it is told.

pub mod capture;
mod container;
pub mod exec;
pub mod log;
pub mod pod;
pub mod probe;
pub mod sandbox;
pub mod spec;
pub mod state;
pub mod volumes;
