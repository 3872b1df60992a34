//! `docs/xds-fields.md`: rows of `message`, fields that are read, and rows of `field`, and why it is without effect.

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    None,
}

/// By field. A row names a message in its first cell and, in its second, fields between backticks; one with a third
/// cell says why they are without effect.
pub(crate) fn read(text: &str) -> BTreeMap<String, Effect> {
    let mut listed = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (message, fields) = (cells[0].trim_matches('`'), cells[1]);
        let effect = if cells.len() == 2 { Effect::Read } else { Effect::None };
        assert!(effect == Effect::Read || !cells[2].is_empty(), "no reason in {row}");
        for field in fields.split('`').skip(1).step_by(2) {
            let twice = listed.insert(format!("{message}.{field}"), effect);
            assert_eq!(twice, None, "{message}.{field} is listed twice");
        }
    }
    assert!(!listed.is_empty(), "no rows found");
    listed
}

pub(crate) fn compare(listed: &BTreeMap<String, Effect>, measured: &BTreeMap<String, Effect>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (field, effect) in measured {
        match listed.get(field) {
            None => complaints.push(format!("{field} is not listed; measured: {effect:?}")),
            Some(said) if said != effect => {
                complaints.push(format!("{field} is listed as {said:?}; measured: {effect:?}"));
            }
            Some(_) => {}
        }
    }
    let gone = listed.keys().filter(|field| !measured.contains_key(*field));
    complaints.extend(gone.map(|field| format!("{field} is listed, but istiod does not send it")));
    complaints
}
