//! Times as people read and write them. Pure.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s after 1970"))
}

/// A time of day as RFC 3339 writes it, `2026-01-31T12:00:00.5+01:00`, in nanoseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn read_of_day(text: &str) -> Option<i128> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos)
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
        assert_eq!(show_of_day(i64::MAX), "9223372036854775807 s after 1970");
        assert_eq!(read_of_day("1970-01-01T01:00:00.5+01:00"), Some(500_000_000));
        assert_eq!(read_of_day("1970-01-01"), None);
    }
}
