//! When an object is full, and when it is time to go on in the next. Pure.

use std::time::Duration;

use crate::human::sizes;
use crate::protocol::limits;
use crate::protocol::part::PartSize;

/// When to go on in another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollover {
    /// Just before the parts are used up.
    Auto,
    /// Before an object would have more bytes than this.
    Size(u64),
    /// At the first opportunity after this time.
    Duration(Duration),
}

impl Rollover {
    /// Parses `auto`, a size or a duration. `30m` are minutes and `30M` megabytes; a bare number is bytes.
    ///
    /// # Errors
    /// In words, for anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        if matches!(unit, "ms" | "s" | "sec" | "m" | "min" | "h" | "d") {
            let duration = sizes::duration(text)?;
            let enough = duration >= Duration::from_secs(1);
            return if enough { Ok(Self::Duration(duration)) } else { Err("at least 1s".to_owned()) };
        }
        let bad = |_| format!("{text:?} is neither a size nor a duration nor `auto`; examples: 50GB, 1h, 30m, auto");
        sizes::size(text).map(Self::Size).map_err(bad)
    }

    /// Checks a size against the part size.
    ///
    /// # Errors
    /// In words, when not even one part would fit.
    pub fn check(self, part_size: PartSize) -> Result<(), String> {
        match self {
            Self::Size(size) if size < part_size.get() => {
                Err(format!("--rollover {size} is less than one part of {part_size} bytes; see --part-size"))
            }
            _ => Ok(()),
        }
    }
}

/// When an object is full, and when it is time to go on in the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The most bytes in an object.
    limit: u64,
    after: Option<Duration>,
    part_size: u64,
    /// Whether there is a next object at all.
    goes_on: bool,
}

impl Policy {
    /// All goes into one object.
    pub(crate) fn never(part_size: PartSize) -> Self {
        Self { limit: u64::MAX, after: None, part_size: part_size.get(), goes_on: false }
    }

    pub(crate) fn new(rollover: Rollover, part_size: PartSize, max_parts: u32) -> Self {
        let capacity = part_size.get() * u64::from(max_parts);
        let (limit, after) = match rollover {
            Rollover::Auto => (capacity, None),
            Rollover::Size(size) => (size.min(capacity), None),
            Rollover::Duration(duration) => (capacity, Some(duration)),
        };
        Self { limit, after, part_size: part_size.get(), goes_on: true }
    }

    /// Whether there is a next object at all.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// How many more bytes fit into an object that has `size`.
    pub(super) fn left(&self, size: u64) -> u64 {
        self.limit.saturating_sub(size)
    }

    /// How long one object is to last; `None` where it is full in its own time.
    pub(super) fn lasts(&self) -> Option<Duration> {
        if self.goes_on { self.after } else { Some(limits::LONG_ENOUGH) }
    }

    /// Between two parts of plain bytes, with `size` bytes in the object.
    pub(super) fn at_part(&self, size: u64, age: Duration) -> bool {
        self.goes_on && (size.saturating_add(self.part_size) > self.limit || self.is_due(age))
    }

    /// At a fragment that starts with a key frame, when the group of pictures to come may have `group` bytes.
    pub(super) fn at_fragment(&self, size: u64, group: u64, age: Duration) -> bool {
        self.goes_on && (size.saturating_add(group) > self.limit || self.is_due(age))
    }

    fn is_due(&self, age: Duration) -> bool {
        self.after.is_some_and(|after| age >= after)
    }
}

/// About how large a group of pictures can be, from those so far: an object is to end before one that would not fit.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Bytes of the current group.
    current: Option<u64>,
    /// From the largest so far.
    usual: u64,
}

impl Groups {
    /// So many bytes of the stream were taken.
    pub(super) fn took(&mut self, bytes: u64) {
        if let Some(current) = &mut self.current {
            *current += bytes;
        }
    }

    /// The next group begins; how large it may be.
    pub(super) fn next(&mut self, policy: &Policy) -> u64 {
        if let Some(group) = self.current.replace(0).filter(|group| *group <= policy.limit) {
            // Falls slowly after a large group, so that one such group does not make all later objects small.
            self.usual = group.max(self.usual / 8 * 7);
        }
        self.usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let minutes = |n: u64| Ok(Rollover::Duration(Duration::from_secs(n * 60)));
        assert_eq!(Rollover::parse("auto"), Ok(Rollover::Auto));
        assert_eq!(Rollover::parse("50GB"), Ok(Rollover::Size(50_000_000_000)));
        assert_eq!(Rollover::parse("5242880"), Ok(Rollover::Size(5_242_880)));
        assert_eq!(Rollover::parse("30M"), Ok(Rollover::Size(30_000_000)));
        assert_eq!(Rollover::parse("30m"), minutes(30));
        assert_eq!(Rollover::parse("1h"), minutes(60));
        assert_eq!(Rollover::parse("1.5 h"), minutes(90));
        for bad in ["", "never", "0s", "10ms", "5XB", "-1h", "h"] {
            assert!(Rollover::parse(bad).is_err(), "{bad:?}");
        }
        let part = PartSize::new(5_000_000).expect("in range");
        assert!(Rollover::Size(4_999_999).check(part).is_err());
        assert!(Rollover::Size(5_000_000).check(part).is_ok());
    }

    #[test]
    fn no_object_is_larger_than_asked_for_nor_than_its_parts_allow() {
        let part = PartSize::new(5_000_000).expect("in range");
        let policy = |rollover| Policy::new(rollover, part, 3);
        let none = Duration::ZERO;
        let auto = policy(Rollover::Auto);
        assert!(!auto.at_part(10_000_000, none));
        assert!(auto.at_part(15_000_000, none));
        assert!(!auto.at_fragment(12_000_000, 3_000_000, none));
        assert!(auto.at_fragment(12_000_001, 3_000_000, none));
        let size = policy(Rollover::Size(12_000_000));
        assert!(!size.at_part(5_000_000, none));
        assert!(size.at_part(10_000_000, none));
        assert_eq!(policy(Rollover::Size(1 << 40)).left(4_000_000), 11_000_000);
        let hour = policy(Rollover::Duration(Duration::from_secs(3600)));
        assert!(!hour.at_part(5_000_000, Duration::from_secs(3599)));
        assert!(hour.at_part(5_000_000, Duration::from_secs(3600)));
        assert!(hour.at_part(15_000_000, none));
        assert_eq!((auto.lasts(), hour.lasts()), (None, Some(Duration::from_secs(3600))));
    }

    #[test]
    fn without_a_rollover_there_is_no_next_object() {
        let policy = Policy::never(PartSize::new(5_000_000).expect("in range"));
        let long = Duration::from_secs(1 << 30);
        assert!(!policy.at_part(u64::MAX - 1, long) && !policy.at_fragment(u64::MAX - 1, 1 << 40, long));
        assert!(policy.left(1 << 50) > 1 << 60);
    }
}
