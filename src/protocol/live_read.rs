//! Facts of the Live Read protocol: header names, limits, and the shape of an answer's range.
//!
//! Everything here is pure. The source of each fact is Backblaze's documentation of the S3-compatible API
//! ("Enable Live Read with the S3-Compatible API", S3 Create Multipart Upload, Upload Part, Get Object).

/// Request header that starts a Live Read upload and that asks for data of one which is still open.
pub const ENABLED_HEADER: &str = "x-backblaze-live-read-enabled";

/// Request header that declares the part size of an upload; answers to live reads carry it too.
pub const PART_SIZE_HEADER: &str = "x-backblaze-live-read-part-size";

/// Metadata (`x-amz-meta-…`) that the objects of one input have in common where it goes into several (`--rollover`), and no
/// others.
pub const RECORDING_METADATA: &str = "live-read-recording";

/// The smallest part size in bytes: 5 MB, decimal.
pub const MIN_PART_SIZE: u64 = 5_000_000;

/// The largest part size in bytes: 5 GiB.
pub const MAX_PART_SIZE: u64 = 5 * 1024 * 1024 * 1024;

/// The highest part number that S3 accepts; the lowest is 1.
pub const MAX_PARTS: u32 = 10_000;

/// The most bytes that an upload, and so any object, can have.
pub const MAX_OBJECT_SIZE: u64 = MAX_PART_SIZE * MAX_PARTS as u64;

/// The `Content-Range` of an answer: the first and last byte that it carries, and the object's size if that is known.
///
/// The total is `*` while an upload is open on some stores and a number that grows on others, so nothing may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, inclusive.
    pub last: u64,
    /// Size of the whole object, where the store states it.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Parses `bytes 0-9/100` or `bytes 0-9/*`. Anything else is `None`, and so is a last byte before the first
    /// or beyond what any object can have, so that sums with it do not overflow.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let total = match total.trim() {
            "*" => None,
            number => Some(number.parse::<u64>().ok()?),
        };
        let sound = first <= last
            && last < MAX_OBJECT_SIZE
            && total.is_none_or(|total| last < total && total <= MAX_OBJECT_SIZE);
        sound.then_some(Self { first, last, total })
    }

    /// Number of bytes in the range.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// A content range is never empty; the method is here because clippy expects it beside `len`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_takes_a_number_or_a_star() {
        let parsed = |text| ContentRange::parse(text);
        assert_eq!(parsed("bytes 0-9/100"), Some(ContentRange { first: 0, last: 9, total: Some(100) }));
        assert_eq!(parsed("bytes 5-5/*"), Some(ContentRange { first: 5, last: 5, total: None }));
    }

    #[test]
    fn content_range_refuses_nonsense() {
        for text in
            ["", "bytes", "bytes 9-0/100", "bytes 0-100/100", "bytes */100", "items 0-1/2", "bytes 0-9", "bytes -9/10"]
        {
            assert_eq!(ContentRange::parse(text), None, "{text:?}");
        }
        for last in [u64::MAX, u64::MAX - 1, MAX_OBJECT_SIZE] {
            assert_eq!(ContentRange::parse(&format!("bytes 0-{last}/*")), None);
            assert_eq!(ContentRange::parse(&format!("bytes 0-1/{}", last.max(MAX_OBJECT_SIZE + 1))), None);
        }
        assert!(ContentRange::parse(&format!("bytes 0-{}/{MAX_OBJECT_SIZE}", MAX_OBJECT_SIZE - 1)).is_some());
    }
}
