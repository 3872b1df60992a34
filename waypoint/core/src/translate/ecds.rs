//! Extension configurations that arrive by ECDS. istiod sends Wasm only, and we run none of it.
//!
//! What matters is what their author wants when they cannot run: `FAIL_OPEN` skips the filter, all else refuses its
//! chain; so does one that has not arrived (Envoy: `initial_fetch_timeout: 0`, block until loaded, "may be security
//! critical"). Istio: `pkg/wasm/convert.go`, `pilot/pkg/model/extensions.go`.

use super::pb::{core, http_wasm, wasm};
use super::problem::{Problem, Rejection, Result, Translated, Warnings};
use super::wire;
use std::collections::HashMap;
use std::sync::Arc;
use xds_client::type_url::EXTENSION_CONFIG;

/// What to do about an extension that cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    Open,
    Closed,
}

/// The extensions that have arrived, by resource name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extensions {
    pub policies: HashMap<Arc<str>, FailurePolicy>,
}

pub fn translate(name: &str, bytes: &[u8]) -> std::result::Result<Translated<FailurePolicy>, Rejection> {
    let mut warnings = Warnings::default();
    let policy = policy(bytes, &mut warnings).map_err(|problem| problem.reject(EXTENSION_CONFIG, name))?;
    Ok(Translated { value: policy, warnings: warnings.into_list() })
}

fn policy(bytes: &[u8], warnings: &mut Warnings) -> Result<FailurePolicy> {
    let config: core::TypedExtensionConfig = wire::decode(bytes, warnings)?;
    let any = config.typed_config.ok_or_else(|| Problem::invalid("extension without configuration"))?;
    let plugin = match wire::type_name(&any) {
        "envoy.extensions.filters.http.wasm.v3.Wasm" => {
            wire::unpack::<http_wasm::Wasm>(&any, warnings)?.config
        }
        "envoy.extensions.filters.network.wasm.v3.Wasm" => {
            wire::unpack::<super::pb::network_wasm::Wasm>(&any, warnings)?.config
        }
        _ => return Ok(FailurePolicy::Closed),
    };
    let plugin = plugin.unwrap_or_default();
    let policy = wasm::FailurePolicy::try_from(plugin.failure_policy);
    Ok(match policy {
        Ok(wasm::FailurePolicy::FailOpen) => FailurePolicy::Open,
        Ok(wasm::FailurePolicy::Unspecified) if plugin.fail_open => FailurePolicy::Open,
        _ => FailurePolicy::Closed,
    })
}

/// The extensions as one chain asks for them, remembering which it asked for.
pub(super) struct Asked<'a> {
    known: &'a Extensions,
    pub(super) names: Vec<Arc<str>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(known: &'a Extensions) -> Self {
        Self { known, names: Vec::new() }
    }

    /// Whether the filter of this name may be left out.
    pub(super) fn skip(&mut self, name: &str, warnings: &mut Warnings) -> Result<()> {
        self.names.push(name.into());
        match self.known.policies.get(name) {
            Some(FailurePolicy::Open) => {
                warnings.push(format!("extension {name} cannot run here and is skipped (FAIL_OPEN)"));
                Ok(())
            }
            Some(FailurePolicy::Closed) | None => Err(super::http_filters::unsupported(name)),
        }
    }
}

#[cfg(test)]
mod tests;
