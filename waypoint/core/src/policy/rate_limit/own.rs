//! Buckets one connection has for itself. Envoy: `local_rate_limit_per_downstream_connection`.
//!
//! Differs from Envoy, where the limit a connection meets first serves for all it meets later: here each has its own.

use crate::model::rate_limit::Tokens;
use std::sync::Arc;

/// The shared tokens that stand for a limit, and the connection's own instead of them.
#[derive(Debug, Default)]
pub struct OwnBuckets(Vec<(Arc<Tokens>, Arc<Tokens>)>);

impl OwnBuckets {
    pub(super) fn of(&mut self, shared: &Arc<Tokens>) -> Arc<Tokens> {
        if let Some((_, own)) = self.0.iter().find(|(known, _)| Arc::ptr_eq(known, shared)) {
            return own.clone();
        }
        // Limits that are no longer configured: nobody else knows them.
        self.0.retain(|(known, _)| Arc::strong_count(known) > 1);
        let own = Arc::<Tokens>::default();
        self.0.push((shared.clone(), own.clone()));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_for_each_limit_as_long_as_it_is_configured() {
        let mut own = OwnBuckets::default();
        let (first, second) = (Arc::default(), Arc::default());
        let of_first = own.of(&first);
        assert!(Arc::ptr_eq(&of_first, &own.of(&first)));
        assert!(!Arc::ptr_eq(&of_first, &own.of(&second)) && !Arc::ptr_eq(&of_first, &first));
        drop(first);
        own.of(&Arc::default());
        assert_eq!(own.0.len(), 2);
    }
}
