//! Times as people read them. Pure.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// A time from the start for people: `00:10:00.040`.
#[must_use]
pub fn show(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let millis = nanos.unsigned_abs() / 1_000_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{sign}{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A time of day for people: `2026-01-31T12:00:00Z`.
#[must_use]
pub fn show_of_day(seconds: i64) -> String {
    DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_else(|_| format!("{seconds} s after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn times_for_people() {
        assert_eq!(show(0), "00:00:00.000");
        assert_eq!(show(36_000 * SECOND + 61 * SECOND + 5_000_000), "10:01:01.005");
        assert_eq!(show(-SECOND), "-00:00:01.000");
        assert_eq!(show_of_day(0), "1970-01-01T00:00:00Z");
    }
}
