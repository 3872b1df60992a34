//! The lines of the conversation, as data.

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::store::Changes;
use crate::manifest::{Key, Object};

/// A line to istiod.
#[must_use]
pub fn line(id: u64, changes: &Changes) -> String {
    let delete: Vec<Value> = changes
        .delete
        .iter()
        .map(|(key, api)| json!({"apiVersion": api, "kind": key.kind, "namespace": key.namespace, "name": key.name}))
        .collect();
    json!({"id": id, "apply": changes.apply, "delete": delete}).to_string()
}

/// A line from istiod.
#[derive(Debug)]
pub enum FromIstiod {
    Reply(Reply),
    Ready {
        root_cert: String,
    },
    Changed(Box<Object>),
    Removed(Key),
    Nack {
        proxy: String,
        message: String,
    },
    /// Of a later protocol: logged, not acted on.
    Other(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    pub id: u64,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub rejected: Vec<Rejection>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub warnings: Vec<String>,
    /// The line itself was unusable: nothing was applied.
    pub error: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    #[serde(default)]
    pub api_version: String,
    pub kind: String,
    #[serde(default)]
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub field: String,
    pub message: String,
}

impl Rejection {
    #[must_use]
    pub fn key(&self) -> Key {
        key(&self.api_version, &self.kind, &self.namespace, &self.name)
    }

    /// `spec.rules[0]: message`
    #[must_use]
    pub fn text(&self) -> String {
        if self.field.is_empty() || self.message.starts_with(&self.field) {
            self.message.clone()
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

fn key(api: &str, kind: &str, namespace: &str, name: &str) -> Key {
    let group = api.split_once('/').map(|(group, _)| group).unwrap_or_default();
    Key { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
}

impl FromIstiod {
    pub fn read(mut value: Value) -> anyhow::Result<Self> {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let event = text(&value, "event");
        Ok(match event.as_str() {
            "" => Self::Reply(serde_json::from_value(value).context("a reply")?),
            "ready" => Self::Ready { root_cert: text(&value, "rootCert") },
            "changed" => {
                let object = Object::from_json(value["object"].take(), "").context("a changed object")?;
                Self::Changed(Box::new(object))
            }
            "removed" => Self::Removed(key(
                &text(&value, "apiVersion"),
                &text(&value, "kind"),
                &text(&value, "namespace"),
                &text(&value, "name"),
            )),
            "nack" => Self::Nack { proxy: text(&value, "proxy"), message: text(&value, "message") },
            _ => Self::Other(event),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::kinds::POD;

    #[test]
    fn lines_are_read() {
        let read = |text: &str| FromIstiod::read(serde_json::from_str(text).unwrap());
        let reply = r#"{"id":7,"rejected":[{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","namespace":"n","name":"v","field":"spec.http[0]","message":"is empty"}],"warnings":null}"#;
        let FromIstiod::Reply(reply) = read(reply).unwrap() else { panic!() };
        assert_eq!(reply.id, 7);
        assert_eq!(reply.rejected[0].key().to_string(), "VirtualService n/v");
        assert_eq!(reply.rejected[0].text(), "spec.http[0]: is empty");
        let FromIstiod::Ready { root_cert } = read(r#"{"event":"ready","rootCert":"PEM"}"#).unwrap() else {
            panic!()
        };
        assert_eq!(root_cert, "PEM");
        let changed = r#"{"event":"changed","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"}}}"#;
        let FromIstiod::Changed(object) = read(changed).unwrap() else { panic!() };
        assert_eq!(object.key.to_string(), "ConfigMap n/a");
        assert!(matches!(read(r#"{"event":"new"}"#), Ok(FromIstiod::Other(_))));
        assert!(read(r#"{"rejected":[]}"#).is_err());
    }

    #[test]
    fn a_line_is_one_line() {
        let changes = Changes {
            apply: vec![json!({"data": {"a": "x\ny"}})],
            delete: vec![(Key::new(&POD, "n", "p"), "v1".to_owned())],
        };
        let line = line(3, &changes);
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value["delete"][0],
            json!({"apiVersion": "v1", "kind": "Pod", "namespace": "n", "name": "p"})
        );
        assert_eq!((value["id"].as_u64(), &value["apply"][0]["data"]["a"]), (Some(3), &json!("x\ny")));
    }
}
