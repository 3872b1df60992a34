//! Keys the IO fetched: what a request may rely on at one moment.

use crate::model::jwks::Jwks;
use crate::model::jwt::RemoteJwks;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct RemoteKeys {
    pub fetched: HashMap<Arc<RemoteJwks>, Fetched>,
}

#[derive(Clone, Debug)]
pub enum Fetched {
    Keys(Arc<Jwks>),
    /// The last attempt failed, and there are no keys from before that could still be used.
    Failed,
}

impl RemoteKeys {
    /// `None`: the first fetch has not ended yet.
    #[must_use]
    pub fn of(&self, source: &RemoteJwks) -> Option<&Fetched> {
        self.fetched.get(source)
    }
}
