//! The dynamic forward proxy: the host a client names is resolved when it is first asked for, and kept while it is in use.
//! Envoy: `envoy.clusters.dynamic_forward_proxy` and its DNS cache.
//!
//! Clients choose the names, so all of it is bounded, and names do not lead to this machine or its link: what listens
//! there (our own admin port, a cloud's metadata service) was never meant for them. Differs from Envoy, which goes there.

use crate::limits;
use crate::proxy::resolver::Resolver;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use waypoint_core::failure::Failure;
use waypoint_core::model::dns::{DnsFamily, DnsSettings};
use waypoint_core::model::endpoint::EndpointAddress;

/// Names clients asked for. Shared by all workers; cheap to clone.
#[derive(Clone)]
pub struct DynamicNames {
    resolver: Resolver,
    names: Arc<Mutex<HashMap<Key, Entry>>>,
}

type Key = (Box<str>, DnsFamily);
type Addresses = Arc<[IpAddr]>;
/// What those who wait for one look-up get.
type Outcome = watch::Receiver<Option<Result<Addresses, String>>>;

struct Entry {
    /// The last good answer.
    addresses: Option<Addresses>,
    fresh_until: Instant,
    used: Instant,
    asking: Option<Outcome>,
}

/// What a request has to do.
enum Turn {
    Known(Addresses),
    Wait(Outcome),
    Full,
}

impl DynamicNames {
    #[must_use]
    pub fn new(resolver: Resolver) -> Self {
        Self { resolver, names: Arc::default() }
    }

    /// Where `host` (with or without port) is.
    ///
    /// # Errors
    /// When it does not resolve, or to nothing a client may reach; or when too many names are in use.
    pub async fn resolve(
        &self,
        host: &str,
        default_port: u16,
        settings: &DnsSettings,
    ) -> Result<EndpointAddress, Failure> {
        let (name, port) = split(host, default_port).ok_or_else(Failure::dns_resolution_failed)?;
        let addresses = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => Arc::from([ip]),
            Err(_) => self.addresses(name, settings).await?,
        };
        let mut allowed = addresses.iter().filter(|ip| reachable(**ip)).map(|ip| SocketAddr::new(*ip, port));
        let address = allowed.next().ok_or_else(Failure::dns_resolution_failed)?;
        Ok(EndpointAddress::Direct { address, additional: allowed.collect() })
    }

    async fn addresses(&self, name: &str, settings: &DnsSettings) -> Result<Addresses, Failure> {
        let mut outcome = match self.turn(name, settings) {
            Turn::Known(addresses) => return Ok(addresses),
            Turn::Full => return Err(Failure::dns_cache_overflow()),
            Turn::Wait(outcome) => outcome,
        };
        let found = outcome.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(reason)) => {
                tracing::debug!(name, reason, "name does not resolve");
                Err(Failure::dns_resolution_failed())
            }
            None => Err(Failure::dns_resolution_failed()),
        }
    }

    /// A fresh answer, or one that is just being renewed, or the look-up everybody waits for.
    fn turn(&self, name: &str, settings: &DnsSettings) -> Turn {
        let now = Instant::now();
        let key: Key = (name.to_ascii_lowercase().into(), settings.family);
        let mut names = self.lock();
        if !names.contains_key(&key) && names.len() >= limits::DYNAMIC_NAMES {
            names.retain(|_, entry| entry.used + limits::DYNAMIC_NAME_IDLE > now);
            if names.len() >= limits::DYNAMIC_NAMES {
                return Turn::Full;
            }
        }
        let entry = names.entry(key.clone()).or_insert_with(|| Entry {
            addresses: None,
            fresh_until: now,
            used: now,
            asking: None,
        });
        entry.used = now;
        if entry.fresh_until <= now && entry.asking.is_none() {
            entry.asking = Some(self.ask(key, *settings));
        }
        match (&entry.addresses, &entry.asking) {
            // The last good answer serves while a new one is fetched.
            (Some(addresses), _) => Turn::Known(addresses.clone()),
            (None, Some(outcome)) => Turn::Wait(outcome.clone()),
            // Failed a moment ago.
            (None, None) => Turn::Wait(watch::channel(Some(Err("failed before".to_owned()))).1),
        }
    }

    /// One look-up on the control runtime, whoever goes away meanwhile.
    fn ask(&self, key: Key, settings: DnsSettings) -> Outcome {
        let (done, outcome) = watch::channel(None);
        let (resolver, names) = (self.resolver.clone(), self.names.clone());
        self.resolver.spawn(async move {
            let answer = resolver.look_up(&key.0, settings.family).await;
            let now = Instant::now();
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            let result = match answer {
                Ok(answer) => {
                    let addresses = Addresses::from(answer.addresses);
                    if let Some(entry) = names.get_mut(&key) {
                        entry.addresses = Some(addresses.clone());
                        let life = answer.valid_until.saturating_duration_since(now);
                        entry.fresh_until = now
                            + life.clamp(
                                limits::DNS_REFRESH_MIN,
                                settings.refresh.max(limits::DNS_REFRESH_MIN),
                            );
                        entry.asking = None;
                    }
                    Ok(addresses)
                }
                Err(reason) => {
                    let failed = names.get_mut(&key);
                    if let Some(entry) = failed {
                        entry.fresh_until = now + limits::DNS_REFRESH_MIN;
                        entry.asking = None;
                    }
                    Err(reason)
                }
            };
            drop(names);
            done.send_replace(Some(result));
        });
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn split(host: &str, default_port: u16) -> Option<(&str, u16)> {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => Some((name, port.parse().ok()?)),
        _ => Some((host, default_port)),
    }
}

fn reachable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests;
