//! What a call to istiod says about its caller.

use crate::channel::ChannelError;
use crate::limits;
use std::path::PathBuf;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

/// Where the bearer token comes from.
#[derive(Clone, Default)]
pub enum TokenSource {
    /// A projected service account token; read again for each call, since kubelet replaces it.
    File(PathBuf),
    /// The token itself.
    Literal(String),
    /// No token, no `authorization` header.
    #[default]
    None,
}

/// Credentials of the calls to istiod.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// The bearer token.
    pub token: TokenSource,
    /// `clusterid`; empty sends none.
    pub cluster_id: String,
    /// Extra headers (`XDS_HEADER_*`, `CA_HEADER_*`).
    pub headers: Vec<(String, String)>,
}

impl Auth {
    /// Adds the headers to one call's metadata.
    pub fn apply(&self, metadata: &mut MetadataMap) -> Result<(), ChannelError> {
        if let Some(token) = self.token.read()? {
            let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}"))
                .map_err(|_| ChannelError::Header("authorization".into()))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        if !self.cluster_id.is_empty() {
            insert(metadata, "clusterid", &self.cluster_id)?;
        }
        for (name, value) in &self.headers {
            insert(metadata, name, value)?;
        }
        Ok(())
    }
}

fn insert(metadata: &mut MetadataMap, name: &str, value: &str) -> Result<(), ChannelError> {
    let error = || ChannelError::Header(name.to_owned());
    let key = AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| error())?;
    metadata.insert(key, AsciiMetadataValue::try_from(value).map_err(|_| error())?);
    Ok(())
}

impl TokenSource {
    /// The token as it is now. A file that is missing or empty is an error: a call without credentials would be refused
    /// by istiod with less to say.
    pub fn read(&self) -> Result<Option<String>, ChannelError> {
        match self {
            Self::None => Ok(None),
            Self::Literal(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let text = super::connect::read_bounded(path, limits::CREDENTIAL_FILE)?;
                let token = String::from_utf8_lossy(&text).trim().to_owned();
                if token.is_empty() { Err(ChannelError::EmptyFile(path.clone())) } else { Ok(Some(token)) }
            }
        }
    }
}

/// Tokens must not reach a log or a config dump.
impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Literal(_) => f.write_str("Literal(..)"),
            Self::None => f.write_str("None"),
        }
    }
}

#[cfg(test)]
mod tests;
