//! Part numbers, part sizes and the bytes that a part covers. Pure arithmetic.

use std::fmt;

use crate::protocol::live_read::{MAX_PART_SIZE, MAX_PARTS, MIN_PART_SIZE};

/// The fixed size in bytes of all parts of an upload but the last: 5,000,000 to 5,368,709,120.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartSize(u64);

/// A part size outside the limits of Live Read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a part size of {0} bytes is outside the limits: 5000000 (5 MB) to 5368709120 (5 GiB) bytes")]
pub struct PartSizeError(u64);

impl PartSize {
    /// What is taken where nobody asks for another: 5 MiB.
    pub const DEFAULT: Self = Self(5 * 1024 * 1024);

    /// Checks `bytes` against the limits.
    ///
    /// # Errors
    /// When `bytes` is below 5 MB or above 5 GiB.
    pub fn new(bytes: u64) -> Result<Self, PartSizeError> {
        if (MIN_PART_SIZE..=MAX_PART_SIZE).contains(&bytes) { Ok(Self(bytes)) } else { Err(PartSizeError(bytes)) }
    }

    /// `bytes`, as somebody else has stated them, if they are within the limits.
    pub(crate) fn checked(bytes: u64) -> Option<u64> {
        Self::new(bytes).ok().map(Self::get)
    }

    /// The size in bytes.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The size as a length in memory.
    ///
    /// Part sizes go up to 5 GiB, more than a 32-bit machine can address; there the length saturates and the
    /// allocation fails with a message instead of wrapping round.
    #[must_use]
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Offset of the first byte of part `number`.
    #[must_use]
    pub fn start_of(self, number: PartNumber) -> u64 {
        u64::from(number.get() - 1) * self.0
    }

    /// The part that holds the byte at `offset`, or `None` past the last part that S3 allows.
    #[must_use]
    pub fn part_at(self, offset: u64) -> Option<PartNumber> {
        u32::try_from(offset / self.0 + 1).ok().and_then(PartNumber::new)
    }

    /// The most bytes that one upload with this part size can hold.
    #[must_use]
    pub fn capacity(self) -> u64 {
        u64::from(MAX_PARTS) * self.0
    }
}

impl fmt::Display for PartSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a part: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u32);

impl PartNumber {
    /// The first part of an upload.
    pub const FIRST: Self = Self(1);

    /// `number` as a part number, or `None` outside 1 to 10,000.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (1..=MAX_PARTS).contains(&number).then_some(Self(number))
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The number as the SDK wants it.
    #[must_use]
    pub(crate) fn as_i32(self) -> i32 {
        // At most 10,000, so the conversion cannot fail; saturating keeps it free of panics all the same.
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }

    /// The next part, or `None` after part 10,000.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_of_the_part_size_are_inclusive() {
        assert!(PartSize::new(4_999_999).is_err());
        assert!(PartSize::new(5_000_000).is_ok());
        assert!(PartSize::new(5_368_709_120).is_ok());
        assert!(PartSize::new(5_368_709_121).is_err());
    }

    #[test]
    fn part_ten_thousand_is_the_last() {
        let last = PartNumber::new(10_000).expect("10,000 is allowed");
        assert_eq!(last.next(), None);
        assert_eq!(PartNumber::new(0), None);
        assert_eq!(PartNumber::new(10_001), None);
    }

    proptest! {
        #[test]
        fn every_offset_lies_in_the_part_that_claims_it(size in MIN_PART_SIZE..=MAX_PART_SIZE, share in 0.0..1.0f64) {
            let size = PartSize::new(size).expect("in range");
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let offset = (share * size.capacity() as f64) as u64;
            let part = size.part_at(offset).expect("below the capacity");
            prop_assert!(size.start_of(part) <= offset);
            prop_assert!(offset < size.start_of(part) + size.get());
            prop_assert_eq!(size.part_at(size.capacity()), None);
        }
    }
}
