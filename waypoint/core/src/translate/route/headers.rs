//! Header additions and removals. Envoy: `core.v3.HeaderValueOption`, evaluated by `Router::HeaderParser`.

use super::super::pb::core;
use super::super::problem::{At, Problem, Result};
use super::super::{format, values, wire};
use crate::model::access_log::Segment;
use crate::model::route::{HeaderAdd, HeaderAppendAction, HeaderMutations, HeaderText};
use std::sync::Arc;

/// Takes both lists out of their message.
///
/// Differs from Envoy, which refuses the listener, because one typing error in a VirtualService would keep every new
/// pod of the waypoint from becoming ready: what these changes belong to is refused instead.
pub(in crate::translate) fn mutations(
    add: &mut Vec<core::HeaderValueOption>,
    remove: &mut Vec<String>,
) -> Result<HeaderMutations> {
    read(add, remove).map_err(|problem| match problem {
        Problem::Invalid { path, reason } if path.is_empty() => {
            Problem::unsupported("invalid_header", reason)
        }
        Problem::Invalid { path, reason } => {
            Problem::unsupported("invalid_header", format!("{path}: {reason}"))
        }
        unsupported @ Problem::Unsupported { .. } => unsupported,
    })
}

fn read(add: &mut Vec<core::HeaderValueOption>, remove: &mut Vec<String>) -> Result<HeaderMutations> {
    let remove = std::mem::take(remove);
    let remove = remove.iter().map(|name| match name.to_ascii_lowercase().as_str() {
        pseudo if pseudo.starts_with(':') || pseudo == "host" => {
            Err(Problem::invalid(format_args!("{pseudo} cannot be removed"))) // as in Envoy
        }
        _ => values::header_name(name),
    });
    let remove = remove.collect::<Result<_>>()?;
    let add = std::mem::take(add);
    let add = add.into_iter().map(appended).filter_map(Result::transpose);
    Ok(HeaderMutations { remove, add: add.collect::<Result<_>>()? })
}

/// One addition; `None` when its value is empty and empty values are not kept.
fn appended(mut option: core::HeaderValueOption) -> Result<Option<HeaderAdd>> {
    use core::header_value_option::HeaderAppendAction as Action;
    let mut header =
        option.header.take().ok_or_else(|| Problem::invalid("header addition without header"))?;
    let action = match wire::enum_value(std::mem::take(&mut option.append_action), "append_action")? {
        Action::AppendIfExistsOrAdd => HeaderAppendAction::AppendIfExistsOrAdd,
        Action::AddIfAbsent => HeaderAppendAction::AddIfAbsent,
        Action::OverwriteIfExistsOrAdd => HeaderAppendAction::OverwriteIfExistsOrAdd,
        Action::OverwriteIfExists => HeaderAppendAction::OverwriteIfExists,
    };
    // The deprecated `append`, which wins over the default action when it is there.
    let action = match option.append.take() {
        Some(append) if !append.value => HeaderAppendAction::OverwriteIfExistsOrAdd,
        _ => action,
    };
    let key = std::mem::take(&mut header.key);
    if key.starts_with(':') || key.eq_ignore_ascii_case("host") {
        return Err(Problem::invalid(format_args!("{key} cannot be set"))); // as in Envoy
    }
    let name = values::header_name(&key)?;
    let text = std::mem::take(&mut header.value);
    wire::nothing_left(&header)?;
    let keep_empty = std::mem::take(&mut option.keep_empty_value);
    wire::nothing_left(&option)?;
    if text.is_empty() && !keep_empty {
        return Ok(None);
    }
    Ok(Some(HeaderAdd { name, value: value(&text).at(&key)?, action }))
}

fn value(text: &str) -> Result<HeaderText> {
    if !text.contains('%') {
        return values::header_text(text).map(HeaderText::Literal);
    }
    let parsed = format::parse(text)?;
    if let Some(operator) = format::unavailable(&parsed).next() {
        return Err(Problem::unsupported("unsupported_operator", operator));
    }
    match parsed.segments.as_slice() {
        [Segment::Literal(literal)] => values::header_text(literal).map(HeaderText::Literal),
        _ => Ok(HeaderText::Format(Arc::new(parsed))),
    }
}

/// Mutations of an inner level (route), then those of the level around it (virtual host, table).
///
/// Envoy runs the levels one after the other, each removing before it adds; so what an outer level removes, an inner
/// one need not add.
pub(super) fn join(mut inner: HeaderMutations, outer: &HeaderMutations) -> HeaderMutations {
    inner.add.retain(|add| !outer.remove.contains(&add.name));
    inner
        .remove
        .extend(outer.remove.iter().filter(|name| !inner.remove.contains(name)).cloned().collect::<Vec<_>>());
    inner.add.extend(outer.add.iter().cloned());
    inner
}
