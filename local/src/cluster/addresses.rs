//! The addresses of the cluster, and who has which. Freed ones come back last, so that nobody meets a stale connection.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

pub const NODE_NAME: &str = "fairway-node";
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// Where kubelet's probes come from. istio-cni exempts it from capture.
pub const PROBE_SOURCE: Ipv4Addr = Ipv4Addr::new(169, 254, 7, 127);
pub const ISTIOD_VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 2);

/// A block of addresses handed out in turn.
#[derive(Debug)]
pub struct Pool {
    first: u32,
    last: u32,
    next: u32,
    used: BTreeSet<Ipv4Addr>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("no free address in {first} to {last}")]
    Exhausted { first: Ipv4Addr, last: Ipv4Addr },
    #[error("{0} is in use")]
    InUse(Ipv4Addr),
    #[error("{0} is not in the range {1} to {2}")]
    Outside(Ipv4Addr, Ipv4Addr, Ipv4Addr),
}

impl Pool {
    #[must_use]
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Self {
        let first = u32::from(first);
        Self { first, last: u32::from(last), next: first, used: BTreeSet::new() }
    }

    /// 10.244.0.10 onwards.
    #[must_use]
    pub fn pods() -> Self {
        Self::new(Ipv4Addr::new(10, 244, 0, 10), Ipv4Addr::new(10, 244, 255, 254))
    }

    /// 10.96.0.10 onwards; istiod's lies below.
    #[must_use]
    pub fn services() -> Self {
        Self::new(Ipv4Addr::new(10, 96, 0, 10), Ipv4Addr::new(10, 96, 255, 254))
    }

    pub fn take(&mut self) -> Result<Ipv4Addr, AddressError> {
        let size = self.last - self.first + 1;
        for step in 0..size {
            let number = self.first + (self.next - self.first + step) % size;
            let address = Ipv4Addr::from(number);
            if self.used.insert(address) {
                self.next = self.first + (number - self.first + 1) % size;
                return Ok(address);
            }
        }
        Err(AddressError::Exhausted { first: self.first.into(), last: self.last.into() })
    }

    /// Takes the address a manifest asks for.
    pub fn claim(&mut self, address: Ipv4Addr) -> Result<(), AddressError> {
        if !(self.first..=self.last).contains(&u32::from(address)) {
            return Err(AddressError::Outside(address, self.first.into(), self.last.into()));
        }
        if self.used.insert(address) { Ok(()) } else { Err(AddressError::InUse(address)) }
    }

    pub fn free(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn freed_addresses_come_back_last() {
        let mut pool = Pool::new(ip(1), ip(3));
        assert_eq!((pool.take(), pool.take()), (Ok(ip(1)), Ok(ip(2))));
        pool.free(ip(1));
        assert_eq!((pool.take(), pool.take()), (Ok(ip(3)), Ok(ip(1))));
        assert_eq!(pool.take(), Err(AddressError::Exhausted { first: ip(1), last: ip(3) }));
    }

    #[test]
    fn claimed_addresses_are_not_handed_out() {
        let mut pool = Pool::new(ip(1), ip(3));
        assert_eq!(pool.claim(ip(1)), Ok(()));
        assert_eq!(pool.claim(ip(1)), Err(AddressError::InUse(ip(1))));
        assert_eq!(pool.claim(ip(9)), Err(AddressError::Outside(ip(9), ip(1), ip(3))));
        assert_eq!(pool.take(), Ok(ip(2)));
    }
}
