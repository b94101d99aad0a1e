//! What this machine's clock says, counted from 1970. A clock before that counts as 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in whole seconds.
#[must_use]
pub fn seconds() -> i64 {
    i64::try_from(now().as_secs()).unwrap_or(i64::MAX)
}

/// The same in microseconds.
#[must_use]
pub fn micros() -> i64 {
    i64::try_from(now().as_micros()).unwrap_or(i64::MAX)
}
