//! Retry policies as tests write them.

use crate::model::route::{RetryOn, RetryPolicy};
use std::time::Duration;

pub(crate) fn policy(on: RetryOn, retries: u32) -> RetryPolicy {
    RetryPolicy {
        on,
        retries,
        per_try_timeout: None,
        per_try_idle_timeout: None,
        status_codes: vec![],
        retriable_headers: vec![],
        back_off_base: Duration::from_millis(25),
        back_off_max: Duration::from_millis(250),
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        previous_priorities: None,
    }
}
