//! Places in a recording as people write them: `live`, `live-30s`, `00:10:00`, `2026-01-31T12:00:00Z`. Pure.

use std::time::Duration;

use crate::human::{sizes, times};
use crate::object::place::{Place, When};

/// Parses where to begin.
///
/// # Errors
/// In words.
pub fn place(text: &str) -> Result<Place, String> {
    match text.strip_prefix("live") {
        Some("") => Ok(Place::Live { back: Duration::ZERO }),
        Some(rest) => match rest.strip_prefix('-').map(sizes::duration) {
            Some(Ok(back)) => Ok(Place::Live { back }),
            _ => Err(format!("{text:?} is not a place; write live, live-30s, or a time as in 00:10:00")),
        },
        None => when(text).map(Place::At),
    }
}

/// Parses a time in the recording: `HH:MM:SS`, `MM:SS`, seconds or a duration with a unit, or a time of day with its date.
///
/// # Errors
/// In words.
pub fn when(text: &str) -> Result<When, String> {
    let bad = || {
        format!(
            "{text:?} is not a time; write it from the start of the recording, as in 00:10:00, 10:00 or 600s, or as a date and \
             time of day, as in 2026-01-31T12:00:00Z"
        )
    };
    if text.contains(['T', 't', ' ']) {
        let moment = times::read_of_day(&text.replace(' ', "T")).ok_or_else(bad)?;
        return i64::try_from(moment).map(When::OfDay).map_err(|_| bad());
    }
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).map(When::After).map_err(|_| bad());
    if !text.contains(':') {
        return sizes::duration(text).map_err(|_| bad()).and_then(nanos);
    }
    let mut seconds = 0.0;
    let fields: Vec<&str> = text.split(':').collect();
    if fields.len() > 3 {
        return Err(bad());
    }
    for (index, field) in fields.iter().enumerate() {
        let last = index + 1 == fields.len();
        let whole = !field.is_empty() && field.chars().all(|c| c.is_ascii_digit() || (last && c == '.'));
        let value: f64 = field.parse().ok().filter(|_| whole).ok_or_else(bad)?;
        // Only the first field may be as large as it likes.
        if index > 0 && value >= 60.0 {
            return Err(bad());
        }
        seconds = seconds * 60.0 + value;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| bad()).and_then(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn times_as_people_write_them() {
        assert_eq!(when("00:10:00"), Ok(When::After(600 * SECOND)));
        assert_eq!(when("10:00.5"), Ok(When::After(600 * SECOND + SECOND / 2)));
        assert_eq!(when("100:00:00"), Ok(When::After(360_000 * SECOND)));
        assert_eq!(when("600"), Ok(When::After(600 * SECOND)));
        assert_eq!(when("1.5m"), Ok(When::After(90 * SECOND)));
        assert_eq!(when("1970-01-01T00:01:00Z"), Ok(When::OfDay(60 * SECOND)));
        assert_eq!(when("1970-01-01 01:01:00.5+01:00"), Ok(When::OfDay(60 * SECOND + SECOND / 2)));
        for bad in [
            "",
            ":",
            "1:",
            "1:60",
            "1:2:3:4",
            "-1",
            "1:-2",
            "now",
            "1:2e1",
            "2026-13-01T00:00:00Z",
            "T",
            "99999999999:0:0",
        ] {
            assert!(when(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn places_as_people_write_them() {
        assert_eq!(place("live"), Ok(Place::Live { back: Duration::ZERO }));
        assert_eq!(place("live-30s"), Ok(Place::Live { back: Duration::from_secs(30) }));
        assert_eq!(place("live-2m"), Ok(Place::Live { back: Duration::from_secs(120) }));
        assert_eq!(place("00:01"), Ok(Place::At(When::After(SECOND))));
        for bad in ["live+1", "live-", "livestream", "live-x"] {
            assert!(place(bad).is_err(), "{bad:?}");
        }
    }
}
