//! Evaluates expressions over a [`RequestRecord`]. Envoy: `source/extensions/filters/common/expr/`.
//!
//! Only where a configuration has one: nothing of this runs for other requests.
//! Invariant: evaluation never fails outwards. What has no value here has no value in Envoy either, and says so the same way.

pub mod attributes;
mod values;

use super::peer::UNKNOWN;
use super::record::RequestRecord;
use crate::limits::METRIC_TAG_BYTES_MAX;
use crate::model::expression::Expression;
use attributes::Attributes;
use cel::{Context, Env, ExecutionError, Value};
use std::sync::{Arc, LazyLock};

/// The standard library's functions, for all evaluations.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Whether a filter lets the record through. Envoy: an error, or anything but a boolean, does not.
#[must_use]
pub fn holds(expression: &Expression, record: &RequestRecord<'_>) -> bool {
    matches!(evaluate(expression, record), Ok(Value::Bool(true)))
}

/// The value of a metric's tag. Envoy: `unknown` where the expression has none.
#[must_use]
pub fn label(expression: &Expression, record: &RequestRecord<'_>) -> Box<str> {
    let Ok(value) = evaluate(expression, record) else { return UNKNOWN.into() };
    let mut text = values::print(&value);
    if text.len() > METRIC_TAG_BYTES_MAX {
        text.truncate(text.floor_char_boundary(METRIC_TAG_BYTES_MAX));
    }
    text.into()
}

/// What `%CEL()%` prints; `None` where the expression has no value.
#[must_use]
pub fn text(expression: &Expression, record: &RequestRecord<'_>) -> Option<String> {
    evaluate(expression, record).ok().map(|value| values::print(&value))
}

fn evaluate(expression: &Expression, record: &RequestRecord<'_>) -> Result<Value, ExecutionError> {
    let attributes = Attributes(record);
    let mut context = Context::with_env(LIBRARY.clone());
    context.set_variable_resolver(&attributes);
    expression.program().execute(&context)
}

#[cfg(test)]
mod tests;
