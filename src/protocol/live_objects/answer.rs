//! What an answer under the next name means: bytes, the end, or nothing yet. Pure.

use crate::protocol::live_read::{MAX_OBJECT_SIZE, MAX_PART_SIZE};

/// What lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// A live object with so many bytes.
    Bytes(u64),
    /// The end mark: no run has bytes at this offset, or behind it, unless the head names a later run.
    End,
    /// An object before it is whole, or before its metadata, or one that is none of ours: as good as nothing yet.
    NotYet,
}

/// What an answer under the name of `offset` is: `length` and `end` are its metadata
/// ([`LENGTH_METADATA`](super::LENGTH_METADATA), [`END_METADATA`](super::END_METADATA)), and `body` is how many bytes it has.
///
/// Stores exist that show an object before its metadata, or what was stored of one whose upload broke off.
#[must_use]
pub fn met(offset: u64, length: Option<&str>, end: Option<&str>, body: u64) -> Met {
    match (length.map(number), end.map(number)) {
        (Some(Some(length)), None) if length == body && (1..=MAX_PART_SIZE).contains(&length) => Met::Bytes(length),
        (None, Some(Some(end))) if end == offset && body == EndMark(end).body().len() as u64 => Met::End,
        _ => Met::NotYet,
    }
}

/// Digits, and nothing else, for a number of bytes that an object can have.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= MAX_OBJECT_SIZE)
}

/// The mark behind the last byte of an input with so many bytes. It lies under the name that a live object of that offset
/// would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndMark(pub u64);

impl EndMark {
    /// What its metadata say.
    #[must_use]
    pub fn metadata(self) -> String {
        self.0.to_string()
    }

    /// Its bytes: never none, since some stores refuse an object without.
    #[must_use]
    pub fn body(self) -> String {
        format!("end {}\n", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_whole_counts() {
        let table = [
            (0, Some("750000"), None, 750_000, Met::Bytes(750_000)),
            (750_000, Some("1"), None, 1, Met::Bytes(1)),
            (0, Some("750000"), None, 749_999, Met::NotYet),
            (0, Some("750000"), None, 0, Met::NotYet),
            (0, Some("749999"), None, 750_000, Met::NotYet),
            (0, None, None, 750_000, Met::NotYet),
            (0, Some("0"), None, 0, Met::NotYet),
            (0, Some("+1"), None, 1, Met::NotYet),
            (0, Some(" 1"), None, 1, Met::NotYet),
            (0, Some("5368709121"), None, 5_368_709_121, Met::NotYet),
            (0, Some("99999999999999999999999"), None, 1, Met::NotYet),
            (1_500_000, None, Some("1500000"), 12, Met::End),
            (1_500_000, None, Some("1500000"), 11, Met::NotYet),
            (1_500_000, None, Some("1500001"), 12, Met::NotYet),
            (1_500_000, Some("12"), Some("1500000"), 12, Met::NotYet),
            (0, None, Some(""), 6, Met::NotYet),
        ];
        for (offset, length, end, body, expected) in table {
            assert_eq!(met(offset, length, end, body), expected, "{offset} {length:?} {end:?} {body}");
        }
    }

    proptest! {
        #[test]
        fn an_end_mark_is_met_under_its_own_name_alone(size in 0..=MAX_OBJECT_SIZE, other in 0..=MAX_OBJECT_SIZE) {
            let mark = EndMark(size);
            let (metadata, body) = (mark.metadata(), mark.body().len() as u64);
            prop_assert_eq!(met(size, None, Some(&metadata), body), Met::End);
            let there = if other == size { Met::End } else { Met::NotYet };
            prop_assert_eq!(met(other, None, Some(&metadata), body), there);
            prop_assert_eq!(met(size, None, None, body), Met::NotYet);
        }
    }
}
