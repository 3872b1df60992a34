//! A pod's volumes, resolved: the content of ConfigMaps and Secrets, downward API files, tokens to be minted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Volume as KubeVolume,
};

use super::pod_env::field_value;
use super::pod_spec::{PodError, Sources};
use crate::limits::TOKEN_LIFE_DEFAULT;
use crate::pods::spec::{Projection, TokenSource, Volume, VolumeSource};

type Files = BTreeMap<String, Vec<u8>>;

pub fn volumes(pod: &Pod, sources: &Sources<'_>) -> Result<Vec<Volume>, PodError> {
    let spec = pod.spec.as_ref().and_then(|s| s.volumes.as_ref());
    spec.into_iter().flatten().map(|volume| one(pod, volume, sources)).collect()
}

fn one(pod: &Pod, volume: &KubeVolume, sources: &Sources<'_>) -> Result<Volume, PodError> {
    let files = |files| VolumeSource::Projected(vec![Projection::Files(files)]);
    let source = if let Some(map) = &volume.config_map {
        files(picked(sources.config_map(&map.name, map.optional)?, map.items.as_deref())?)
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        files(picked(sources.secret(name, secret.optional)?, secret.items.as_deref())?)
    } else if let Some(api) = &volume.downward_api {
        files(downward(pod, api.items.as_deref(), sources)?)
    } else if let Some(projected) = &volume.projected {
        VolumeSource::Projected(projections(pod, projected, sources)?)
    } else if let Some(host) = &volume.host_path {
        VolumeSource::HostPath(PathBuf::from(&host.path))
    } else if volume.empty_dir.is_some() || is_bare(volume) {
        VolumeSource::EmptyDir
    } else {
        return Err(PodError::Unsupported(format!("the type of volume {:?}", volume.name)));
    };
    Ok(Volume { name: volume.name.clone(), source })
}

/// `emptyDir:` with nothing after it, as istiod's waypoint template has it.
fn is_bare(volume: &KubeVolume) -> bool {
    *volume == KubeVolume { name: volume.name.clone(), ..KubeVolume::default() }
}

fn projections(
    pod: &Pod,
    projected: &ProjectedVolumeSource,
    sources: &Sources<'_>,
) -> Result<Vec<Projection>, PodError> {
    let mut list = Vec::new();
    for source in projected.sources.iter().flatten() {
        if let Some(token) = &source.service_account_token {
            let lifetime =
                token.expiration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
            list.push(Projection::Token(TokenSource {
                path: token.path.clone(),
                lifetime: lifetime.unwrap_or(TOKEN_LIFE_DEFAULT),
                mint: (sources.mint)(token.audience.as_deref().unwrap_or(super::tokens::ISSUER)),
            }));
        } else if let Some(map) = &source.config_map {
            let data = sources.config_map(&map.name, map.optional)?;
            list.push(Projection::Files(picked(data, map.items.as_deref())?));
        } else if let Some(secret) = &source.secret {
            let data = sources.secret(&secret.name, secret.optional)?;
            list.push(Projection::Files(picked(data, secret.items.as_deref())?));
        } else if let Some(api) = &source.downward_api {
            list.push(Projection::Files(downward(pod, api.items.as_deref(), sources)?));
        } else {
            return Err(PodError::Unsupported("this kind of projected volume source".to_owned()));
        }
    }
    Ok(list)
}

fn picked(data: Files, items: Option<&[KeyToPath]>) -> Result<Files, PodError> {
    let Some(items) = items.filter(|items| !items.is_empty()) else { return Ok(data) };
    let pick = |item: &KeyToPath| match data.get(&item.key) {
        Some(content) => Ok((item.path.clone(), content.clone())),
        None => Err(PodError::Missing(format!("references non-existent key {}", item.key))),
    };
    items.iter().map(pick).collect()
}

fn downward(
    pod: &Pod,
    items: Option<&[DownwardAPIVolumeFile]>,
    sources: &Sources<'_>,
) -> Result<Files, PodError> {
    let file = |item: &DownwardAPIVolumeFile| match &item.field_ref {
        Some(field) => Ok((item.path.clone(), field_value(pod, sources, &field.field_path)?.into_bytes())),
        None => Err(PodError::Unsupported(format!("downward API file {:?} without a fieldRef", item.path))),
    };
    items.into_iter().flatten().map(file).collect()
}
