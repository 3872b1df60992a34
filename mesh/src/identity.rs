//! Who a workload is: its SPIFFE id, the request it signs for a certificate, and the certificate it holds.
//!
//! Plain values and pure functions; nothing here fetches, waits or opens a connection (that is `secrets`).
//! Spec: <https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>, and Istio's `spiffe://TD/ns/NS/sa/SA` form.

mod certificate;
mod csr;
mod spiffe;

pub(crate) use certificate::uri_sans;
pub use certificate::{Certificate, CertificateError, CertificateInfo};
pub use csr::{CsrError, SigningRequest};
pub use spiffe::{ParseSpiffeIdError, SpiffeId};
