//! How a process comes by its certificates: the CA client and the store that keeps every identity's certificate fresh.
//!
//! Invariant: an identity that once had a certificate keeps the last one until it expires, whatever the CA says meanwhile.
//! Spec: Istio's `IstioCertificateService` (`security/v1alpha1/ca.proto`), ztunnel `src/identity`.

mod ca_client;
mod crl;
mod schedule;
mod store;

pub use ca_client::{CaClient, CaError, CaOptions};
pub use schedule::Schedule;
pub use store::{CertificateState, CertificateStatus, SecretStore, StoreOptions};
