use serde_json::json;

use super::*;
use crate::manifest::kinds::{CONFIG_MAP, POD, SECRET};

fn config(name: &str, data: &str) -> Object {
    Object::ours(&CONFIG_MAP, "n", name, json!({"data": {"x": data}}))
}

#[test]
fn an_equal_object_is_no_change() {
    let mut store = Store::default();
    assert!(store.put(config("a", "1")));
    assert!(!store.put(config("a", "1")));
    assert!(store.put(config("a", "2")));
    assert_eq!(store.find(&CONFIG_MAP, "n", "a").unwrap().str("/metadata/resourceVersion"), "2");
}

#[test]
fn changes_are_told_once_and_end_in_the_latest_state() {
    let mut store = Store::default();
    store.put(config("a", "1"));
    store.put(config("a", "2"));
    store.put(config("b", "1"));
    store.remove(&Key::new(&CONFIG_MAP, "n", "b"));
    store.put_quietly(config("istiod", "1"));
    let changes = store.take_changes();
    assert_eq!(changes.apply.len(), 1);
    assert_eq!(changes.apply[0]["data"]["x"], "2");
    assert_eq!(changes.delete, [(Key::new(&CONFIG_MAP, "n", "b"), "v1".to_owned())]);
    assert!(store.take_changes().is_empty());
    store.remove(&Key::new(&CONFIG_MAP, "n", "a"));
    store.put(config("a", "3"));
    let changes = store.take_changes();
    assert_eq!((changes.apply.len(), changes.delete.len()), (1, 0));
}

#[test]
fn kinds_are_listed_apart() {
    let mut store = Store::default();
    store.put(config("a", "1"));
    store.put(Object::ours(&POD, "n", "p", json!({})));
    store.put(Object::ours(&SECRET, "n", "s", json!({})));
    let names = |kind| store.of_kind(kind).map(|o| o.key.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&CONFIG_MAP), names(&POD), names(&SECRET)),
        (vec!["a".into()], vec!["p".into()], vec!["s".into()])
    );
}
