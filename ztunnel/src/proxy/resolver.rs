//! Addresses of workloads that istiod knows by name only (external services), from the node's own name servers.

use crate::limits;
use hickory_resolver::TokioResolver;
use std::net::IpAddr;
use std::sync::Arc;

/// Cheap to clone; one cache.
#[derive(Clone, Debug)]
pub struct Resolver(Option<Arc<TokioResolver>>);

impl Resolver {
    /// By `/etc/resolv.conf`. Without a usable one every name fails, which the first connection to one then reports.
    #[must_use]
    pub fn system() -> Self {
        let build = || {
            let mut builder = TokioResolver::builder_tokio()?;
            builder.options_mut().cache_size = limits::RESOLVED_NAMES;
            builder.build()
        };
        match build() {
            Ok(resolver) => Self(Some(Arc::new(resolver))),
            Err(error) => {
                tracing::warn!(%error, "no name servers: workloads known by name only cannot be reached");
                Self(None)
            }
        }
    }

    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// One address of `name`, of the client's family where there is one. `random` is in [0, 1).
    ///
    /// # Errors
    /// In words, when there is none.
    pub async fn resolve(&self, name: &str, ipv4: bool, random: f64) -> Result<IpAddr, String> {
        let resolver = self.0.as_ref().ok_or("no name servers")?;
        let answer = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| error.to_string())?;
        let all: Vec<IpAddr> = answer.iter().collect();
        let family: Vec<IpAddr> = all.iter().copied().filter(|ip| ip.is_ipv4() == ipv4).collect();
        let from = if family.is_empty() { all } else { family };
        // Truncation is the point: an index below the length.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (random * from.len() as f64) as usize;
        from.get(index).or_else(|| from.last()).copied().ok_or_else(|| "no address".to_owned())
    }
}
