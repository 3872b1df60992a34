//! Reading typed values out of environment variables.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{name}={value:?}: expected {expected}")]
    Invalid { name: String, value: String, expected: &'static str },
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

/// Settings of Istio's ztunnel that we do not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct Unsupported {
    pub name: &'static str,
    pub reason: &'static str,
}

#[derive(Debug)]
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// An empty variable counts as not set, as in Istio.
    pub(super) fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(vars.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// # Errors
    /// Names the first setting that would not be honoured.
    pub(super) fn refuse_unsupported(&self) -> Result<(), Unsupported> {
        let refuse = |name, reason, set: bool| if set { Err(Unsupported { name, reason }) } else { Ok(()) };
        let is =
            |name: &str, value: &str| self.text(name).is_some_and(|text| text.eq_ignore_ascii_case(value));
        refuse("PROXY_MODE", "dedicated mode is not supported, only shared", is("PROXY_MODE", "dedicated"))?;
        refuse("INPOD_ENABLED", "pods are only served from inside", is("INPOD_ENABLED", "false"))?;
        refuse("CRL_PATH", "certificate revocation lists are not checked", self.text("CRL_PATH").is_some())?;
        refuse(
            "XDS_ON_DEMAND",
            "addresses are always subscribed to as a whole",
            is("XDS_ON_DEMAND", "true"),
        )?;
        refuse("FAKE_CA", "certificates come from a CA only", is("FAKE_CA", "true"))?;
        refuse(
            "LOCAL_XDS_PATH",
            "configuration comes from istiod only",
            self.text("LOCAL_XDS_PATH").is_some(),
        )?;
        refuse("LOCAL_XDS", "configuration comes from istiod only", self.text("LOCAL_XDS").is_some())?;
        refuse("TLS12_ENABLED", "tunnels speak TLS 1.3 only", is("TLS12_ENABLED", "true"))?;
        refuse(
            "COMPLIANCE_POLICY",
            "no compliance policy is offered",
            self.text("COMPLIANCE_POLICY").is_some(),
        )
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    pub(super) fn invalid(&self, name: &str, expected: &'static str) -> ConfigError {
        let value = self.text(name).unwrap_or_default().to_owned();
        ConfigError::Invalid { name: name.to_owned(), value, expected }
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        let parse = |text: &str| text.parse().map_err(|_| self.invalid(name, "a number"));
        self.text(name).map(parse).transpose()
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(self.invalid(name, "true or false")),
        }
    }

    /// `30s`, `1h30m`, or Go's `86400s`.
    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        let parse = |text: &str| {
            humantime::parse_duration(text).map_err(|_| self.invalid(name, "a duration like 5s"))
        };
        self.text(name).map(parse).transpose()
    }

    /// Whole CPUs of a number the downward API rounded up, or of a quantity like `500m`.
    pub(super) fn cpus(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = match text.strip_suffix('m') {
            Some(milli) => milli.parse::<usize>().map(|milli| milli.div_ceil(1000)),
            None => text.parse(),
        };
        parsed.map(Some).map_err(|_| self.invalid(name, "a number of CPUs"))
    }

    /// What follows the prefix, with its value.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let strip =
            |(name, value): (&String, &String)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone()));
        self.0.iter().filter_map(strip).collect()
    }

    /// The node's metadata as the environment has it.
    pub(super) fn metadata(&self) -> Result<Vec<(String, serde_json::Value)>, ConfigError> {
        let mut metadata: Vec<_> =
            self.with_prefix("ISTIO_META_").into_iter().map(|(k, v)| (k, v.into())).collect();
        for (key, json) in self.with_prefix("ISTIO_METAJSON_") {
            let value = serde_json::from_str(&json);
            let name = format!("ISTIO_METAJSON_{key}");
            metadata.push((key, value.map_err(|_| self.invalid(&name, "JSON"))?));
        }
        Ok(metadata)
    }
}
