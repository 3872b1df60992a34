//! Whether a record is logged, and the line it makes. Writing lines is the IO's.

use super::record::RequestRecord;
use super::{cel, format};
use crate::model::access_log::{AccessLog, AccessLogFilter, AccessLogFormat, Comparison};

/// The line of a format, with its line end.
#[must_use]
pub fn line(format: &AccessLogFormat, record: &RequestRecord<'_>) -> String {
    let mut out = String::with_capacity(256);
    match format {
        AccessLogFormat::Text(format) => format::text(format, record, &mut out),
        AccessLogFormat::Json { fields, omit_empty } => {
            out.push_str(&format::json(fields, *omit_empty, record).to_string());
            out.push('\n');
        }
    }
    out
}

/// Whether the logger wants the record.
#[must_use]
pub fn is_wanted(log: &AccessLog, record: &RequestRecord<'_>) -> bool {
    log.filter.as_ref().is_none_or(|filter| wants(filter, record))
}

#[must_use]
pub fn wants(filter: &AccessLogFilter, record: &RequestRecord<'_>) -> bool {
    match filter {
        AccessLogFilter::Status { op, value } => {
            let status = record.response.map_or(0, |response| response.status);
            compare(*op, u64::from(status), u64::from(*value))
        }
        AccessLogFilter::Duration { op, millis } => {
            compare(*op, u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX), u64::from(*millis))
        }
        AccessLogFilter::ResponseFlags(flags) if flags.is_empty() => !record.flags.is_empty(),
        AccessLogFilter::ResponseFlags(flags) => flags.iter().any(|flag| record.flags.contains(*flag)),
        // No request that reaches a waypoint is Envoy's own health check.
        AccessLogFilter::NotHealthCheck => true,
        AccessLogFilter::Expression(expression) => cel::holds(expression, record),
        AccessLogFilter::And(all) => all.iter().all(|filter| wants(filter, record)),
        AccessLogFilter::Or(any) => any.iter().any(|filter| wants(filter, record)),
    }
}

fn compare(op: Comparison, have: u64, want: u64) -> bool {
    match op {
        Comparison::Eq => have == want,
        Comparison::Ge => have >= want,
        Comparison::Le => have <= want,
        Comparison::Ne => have != want,
    }
}

#[cfg(test)]
mod tests;
