//! Addresses of names outside the mesh, from the pod's own name servers. No cache: who asks keeps what it needs.
//!
//! Look-ups run on the control runtime, so that no connection to a name server belongs to one worker.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use waypoint_core::model::dns::DnsFamily;

/// Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    runtime: Handle,
    /// One for each way of asking; `None` without usable name servers.
    resolvers: Option<Arc<[TokioResolver; 5]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Never empty.
    pub addresses: Vec<IpAddr>,
    pub valid_until: Instant,
}

impl Resolver {
    /// By `/etc/resolv.conf` and `/etc/hosts`; look-ups run on `runtime`.
    #[must_use]
    pub fn system(runtime: Handle) -> Self {
        let build = |strategy| {
            let mut builder = TokioResolver::builder_tokio()?;
            let options = builder.options_mut();
            options.cache_size = 0;
            options.ip_strategy = strategy;
            builder.build()
        };
        let all = || {
            Ok::<_, hickory_resolver::net::NetError>([
                build(LookupIpStrategy::Ipv6thenIpv4)?,
                build(LookupIpStrategy::Ipv4Only)?,
                build(LookupIpStrategy::Ipv6Only)?,
                build(LookupIpStrategy::Ipv4thenIpv6)?,
                build(LookupIpStrategy::Ipv4AndIpv6)?,
            ])
        };
        let resolvers =
            all().inspect_err(|error| tracing::warn!(%error, "no name servers: no name will resolve"));
        Self { runtime, resolvers: resolvers.ok().map(Arc::new) }
    }

    /// Runs a look-up to its end, whether anybody waits for it or not.
    pub fn spawn(&self, lookup: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(lookup);
    }

    /// # Errors
    /// In words, when the name has no address of the family, or nobody answers.
    pub async fn look_up(&self, name: &str, family: DnsFamily) -> Result<Answer, String> {
        let resolvers = self.resolvers.as_ref().ok_or("no name servers")?;
        let resolver = match family {
            DnsFamily::Auto => &resolvers[0],
            DnsFamily::V4Only => &resolvers[1],
            DnsFamily::V6Only => &resolvers[2],
            DnsFamily::V4Preferred => &resolvers[3],
            DnsFamily::All => &resolvers[4],
        };
        let found = resolver.lookup_ip(name).await.map_err(|error| error.to_string())?;
        let mut addresses = Vec::new();
        for ip in found.iter() {
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if addresses.is_empty() {
            return Err("no address".to_owned());
        }
        Ok(Answer { addresses, valid_until: found.valid_until() })
    }
}
