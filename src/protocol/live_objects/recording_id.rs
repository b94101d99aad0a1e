//! The name of one recording of a key: when it was started, and 32 random bits. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::human::times::{read_of_day, show_of_day};

/// 9999-12-31T23:59:59Z: what lies after it has no name of this form.
const LAST_SECOND: i64 = 253_402_300_799;

/// `20261121T143349Z-9f3c2a7b`: the start in UTC, and 32 random bits. Two recordings never share one, so that what belongs
/// to one cannot be taken for the other's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(String);

/// A text that is no recording's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form 20261121T143349Z-9f3c2a7b")]
pub struct RecordingIdError;

impl RecordingId {
    /// The length of all of them in bytes.
    pub const LEN: usize = 25;

    /// Of a recording that is started at `seconds` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new(seconds: i64, random: u32) -> Self {
        let date = show_of_day(seconds.clamp(0, LAST_SECOND));
        let digits: String = date.chars().filter(|char| !matches!(char, '-' | ':')).collect();
        Self(format!("{digits}-{random:08x}"))
    }

    /// `text` as such a name, or `None` where it differs from one in as much as a letter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::LEN || !text.is_ascii() {
            return None;
        }
        let random = u32::from_str_radix(text.get(17..)?, 16).ok()?;
        (Self::new(started(text)?, random).0 == text).then(|| Self(text.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was started by its writer's clock, in seconds since 1970. For people: nothing may depend on that clock.
    #[must_use]
    pub fn started(&self) -> i64 {
        started(&self.0).unwrap_or_default()
    }
}

/// The moment at the beginning of `20261121T143349Z-…`.
fn started(text: &str) -> Option<i64> {
    let at = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (at(0, 4)?, at(4, 6)?, at(6, 8)?);
    let (hour, minute, second) = (at(9, 11)?, at(11, 13)?, at(13, 15)?);
    let date = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    read_of_day(&date).and_then(|nanos| i64::try_from(nanos.div_euclid(1_000_000_000)).ok())
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RecordingId> for String {
    fn from(id: RecordingId) -> Self {
        id.0
    }
}

impl TryFrom<String> for RecordingId {
    type Error = RecordingIdError;

    fn try_from(text: String) -> Result<Self, RecordingIdError> {
        Self::parse(&text).ok_or(RecordingIdError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_the_start_and_random_bits() {
        let id = RecordingId::new(1_795_271_629, 0x9f3c_2a7b);
        assert_eq!(id.as_str(), "20261121T143349Z-9f3c2a7b");
        assert_eq!(id.started(), 1_795_271_629);
        assert_eq!(RecordingId::new(-5, 1).as_str(), "19700101T000000Z-00000001");
        assert_eq!(RecordingId::new(i64::MAX, 1).as_str(), "99991231T235959Z-00000001");
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        for text in [
            "",
            "now",
            "b.mp4",
            "20261121T143349Z-9F3C2A7B",
            "20261121T143349Z-9f3c2a7",
            "20261121T143349Z-9f3c2a7b/",
            "20261121T143349Z-9f3c2a7bc",
            "20261321T143349Z-9f3c2a7b",
            "20261121T253349Z-9f3c2a7b",
            "20261121 143349Z-9f3c2a7b",
            "20261121T143349Z_9f3c2a7b",
            "20261121T143349Z-+f3c2a7b",
            "20261121T143349é-9f3c2a7b",
        ] {
            assert_eq!(RecordingId::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn each_is_read_again(seconds in 0..=LAST_SECOND, random: u32) {
            let id = RecordingId::new(seconds, random);
            prop_assert_eq!(id.as_str().len(), RecordingId::LEN);
            prop_assert_eq!(RecordingId::parse(id.as_str()), Some(id.clone()));
            prop_assert_eq!(id.started(), seconds);
        }

        #[test]
        fn later_ones_sort_later(earlier in 0..LAST_SECOND, more in 1..1_000i64, a: u32, b: u32) {
            prop_assert!(RecordingId::new(earlier, a) < RecordingId::new(earlier + more, b) || earlier + more > LAST_SECOND);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = RecordingId::parse(&text);
        }
    }
}
