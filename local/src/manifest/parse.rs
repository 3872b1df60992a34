//! YAML text to objects: several documents, `List`s, comments only. Errors say where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::object::{FieldError, Object};
use super::typed;
use crate::limits::{MANIFEST_BYTES_MAX, MANIFEST_DOCUMENTS_MAX};

/// Where an object came from: the file and the document in it, from 1; documents that hold nothing do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub file: String,
    pub document: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (document {})", self.file, self.document)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{file}: {message}")]
    File { file: String, message: String },
    #[error("{origin}: {object}{error}")]
    Field { origin: Origin, object: String, error: FieldError },
}

/// The manifest files a path stands for: itself, or the *.yaml and *.yml of a folder, sorted.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let failed =
        |e: std::io::Error| ManifestError::File { file: path.display().to_string(), message: e.to_string() };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.is_file() && file.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(ManifestError::File {
            file: path.display().to_string(),
            message: "has no *.yaml".to_owned(),
        });
    }
    Ok(found)
}

/// All objects of a file.
pub fn read(path: &Path, namespace: &str) -> Result<Vec<(Origin, Object)>, ManifestError> {
    let file = path.display().to_string();
    let failed = |message: String| ManifestError::File { file: file.clone(), message };
    let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if size > MANIFEST_BYTES_MAX {
        return Err(failed(format!("{size} bytes; at most {MANIFEST_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    parse(&file, &text, namespace)
}

/// All objects of a text; the first mistake ends it.
pub fn parse(file: &str, text: &str, namespace: &str) -> Result<Vec<(Origin, Object)>, ManifestError> {
    let budget = serde_saphyr::budget! { max_documents: MANIFEST_DOCUMENTS_MAX };
    let options = serde_saphyr::options! { budget: budget };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|e| ManifestError::File { file: file.to_owned(), message: e.to_string() })?;
    let mut objects = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let origin = Origin { file: file.to_owned(), document: index + 1 };
        match document {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").and_then(Value::as_str).is_some_and(is_list) => {
                let Some(Value::Array(items)) = list.remove("items") else {
                    let error = FieldError::new("items", "a List needs an array");
                    return Err(ManifestError::Field { origin, object: String::new(), error });
                };
                for (at, item) in items.into_iter().enumerate() {
                    objects.push((origin.clone(), one(&origin, item, namespace, &format!("items[{at}]: "))?));
                }
            }
            document => objects.push((origin.clone(), one(&origin, document, namespace, "")?)),
        }
    }
    Ok(objects)
}

fn is_list(kind: &str) -> bool {
    matches!(kind, "List" | "PodList" | "ServiceList" | "DeploymentList" | "ConfigMapList" | "NamespaceList")
}

fn one(origin: &Origin, json: Value, namespace: &str, place: &str) -> Result<Object, ManifestError> {
    let field = |object: String, error| ManifestError::Field { origin: origin.clone(), object, error };
    let kind = json["kind"].as_str().unwrap_or_default().to_owned();
    let object = Object::from_json(json, namespace).map_err(|e| match kind.as_str() {
        "" => field(place.to_owned(), e),
        kind => field(format!("{place}{kind}: "), e),
    })?;
    typed::check(&object).map_err(|e| field(format!("{}: ", object.key), e))?;
    Ok(object)
}

#[cfg(test)]
mod tests;
