//! Moments as playlists write them: `2026-11-21T11:00:00.123Z` (ISO 8601, as RFC 8216, 4.3.2.6 asks for). Pure.

use crate::human::times::{read_of_day, show_of_day};

/// Microseconds since 1970-01-01T00:00:00Z as text, to the millisecond.
#[must_use]
pub fn show(micros: i64) -> String {
    let millis = micros.div_euclid(1_000);
    let (seconds, millis) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    format!("{}.{millis:03}Z", show_of_day(seconds).trim_end_matches('Z'))
}

/// Reads what [`show`] has written.
#[must_use]
pub fn read(text: &str) -> Option<i64> {
    let (_, millis) = text.strip_suffix('Z')?.split_once('.')?;
    let moment = read_of_day(text).filter(|_| millis.len() == 3)?;
    i64::try_from(moment.div_euclid(1_000)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(show(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(show(951_782_399_999_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(show(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(read("2026-11-21T11:00:00.123Z"), Some(1_795_258_800_123_000));
        for bad in
            ["", "2026-11-21", "2026-11-21T11:00:00Z", "2026-13-21T11:00:00.000Z", "99999999999999999-1-1T1:1:1.000Z"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(millis in 0i64..250_000_000_000_000) {
            prop_assert_eq!(read(&show(millis * 1_000)), Some(millis * 1_000));
        }
    }
}
