//! Which program of this machine stands in for an image. The table is `images.yaml`; there is no container registry.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

pub const EMBEDDED: &str = include_str!("../../images.yaml");

#[derive(Debug)]
pub struct Images(Vec<Image>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    image: String,
    program: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Image {
    pattern: Regex,
    pub run: Run,
    /// Set before the pod's own variables.
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Run {
    /// This program, with these arguments first; in place of the image's entrypoint and the pod's command.
    Program { name: String, args: Vec<String> },
    /// The pod's command, or this if it has none.
    Entrypoint(Vec<String>),
}

#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    #[error("{0}")]
    Yaml(String),
    #[error("image {image:?}: {message}")]
    Entry { image: String, message: String },
}

impl Images {
    pub fn parse(text: &str) -> Result<Self, ImagesError> {
        let entries: Vec<Entry> =
            serde_saphyr::from_str(text).map_err(|e| ImagesError::Yaml(e.to_string()))?;
        entries.into_iter().map(image).collect::<Result<_, _>>().map(Self)
    }

    /// The first entry whose pattern matches.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Image> {
        self.0.iter().find(|image| image.pattern.is_match(name))
    }
}

fn image(entry: Entry) -> Result<Image, ImagesError> {
    let wrong = |message: String| ImagesError::Entry { image: entry.image.clone(), message };
    let pattern = Regex::new(&entry.image).map_err(|e| wrong(e.to_string()))?;
    let run = match (entry.program, entry.entrypoint.is_empty()) {
        (Some(name), true) => Run::Program { name, args: entry.args },
        (None, false) if entry.args.is_empty() => Run::Entrypoint(entry.entrypoint),
        _ => return Err(wrong("needs either `program` (with `args`) or `entrypoint`".to_owned())),
    };
    Ok(Image { pattern, run, env: entry.env })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_covers_bookinfo_and_istio() {
        let images = Images::parse(EMBEDDED).unwrap();
        let check = |name: &str, expect: &str| {
            let run = images.find(name).map(|image| match &image.run {
                Run::Program { name, args } => format!("{name} {}", args.join(" ")),
                Run::Entrypoint(argv) => format!("[{}]", argv.join(" ")),
            });
            assert_eq!(run.as_deref().unwrap_or("none").trim(), expect, "{name}");
        };
        check("registry.istio.io/release/examples-bookinfo-productpage-v1:1.20.3", "bookinfo productpage");
        check("docker.io/istio/examples-bookinfo-details-v2:1.20.3", "bookinfo details");
        check("docker.io/istio/examples-bookinfo-ratings-v1:1.20.3", "bookinfo ratings");
        check("docker.io/istio/examples-bookinfo-reviews-v3:1.20.3", "bookinfo reviews");
        check("docker.io/istio/proxyv2:latest", "waypoint");
        check("docker.io/istio/ztunnel:1.31", "ztunnel");
        check("curlimages/curl", "[sleep infinity]");
        check("fairway/ingress", "fairway pause");
        check("docker.io/library/nginx", "none");
    }

    #[test]
    fn versions_of_reviews_differ_by_environment() {
        let images = Images::parse(EMBEDDED).unwrap();
        let check = |version: &str, expect: &[(&str, &str)]| {
            let image =
                images.find(&format!("docker.io/istio/examples-bookinfo-reviews-{version}:1")).unwrap();
            let env: Vec<_> = image.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(env, expect, "{version}");
        };
        check("v1", &[("ENABLE_RATINGS", "false"), ("SERVICE_VERSION", "v1")]);
        check("v2", &[("ENABLE_RATINGS", "true"), ("SERVICE_VERSION", "v2"), ("STAR_COLOR", "black")]);
        check("v3", &[("ENABLE_RATINGS", "true"), ("SERVICE_VERSION", "v3"), ("STAR_COLOR", "red")]);
    }

    #[test]
    fn mistakes_are_told() {
        let check = |text: &str, expect: &str| {
            let error = Images::parse(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("- {image: a}", "needs either");
        check("- {image: a, program: b, entrypoint: [c]}", "needs either");
        check("- {image: '(', program: b}", "image \"(\": ");
        check("- {image: a, programm: b}", "programm");
    }
}
