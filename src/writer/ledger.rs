//! Which parts the store holds. It refuses to be closed with a gap, so that no object is completed without a part.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::protocol::part::{PartNumber, PartSize};
use crate::store::ETag;

/// The parts of one upload that the store has confirmed.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    stored: BTreeMap<PartNumber, (ETag, u64)>,
}

/// The entity tag of the object that some first parts make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WholeTag {
    /// The MD5 of their MD5s, and their number.
    Is(String),
    /// No first parts have so many bytes.
    NoSuchSize,
    /// It does not follow from theirs, which are no MD5s.
    Unknown,
}

/// A list of parts that would make a wrong object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// A part is missing.
    #[error("part {0} is missing")]
    Missing(PartNumber),
    /// A part in the middle is not of the part size, or the last one is larger.
    #[error("part {number} has {size} bytes where {part_size} are due")]
    Size {
        /// The part.
        number: PartNumber,
        /// Its size in bytes.
        size: u64,
        /// The part size of the upload.
        part_size: PartSize,
    },
    /// There is no part at all.
    #[error("there is no part")]
    Empty,
}

impl Ledger {
    /// Notes that the store holds part `number` of `size` bytes. A later note of the same part takes the earlier's place.
    pub fn note(&mut self, number: PartNumber, etag: ETag, size: u64) {
        self.stored.insert(number, (etag, size));
    }

    /// The size of part `number`, if it is noted.
    #[must_use]
    pub fn size_of(&self, number: PartNumber) -> Option<u64> {
        self.stored.get(&number).map(|(_, size)| *size)
    }

    /// The number of noted parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether no part is noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Bytes in all noted parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stored.values().map(|(_, size)| size).sum()
    }

    /// Bytes from the first one on without a gap, which is what can be read.
    #[must_use]
    pub fn readable(&self, part_size: PartSize) -> u64 {
        let mut bytes = 0;
        let mut due = Some(PartNumber::FIRST);
        while let Some((number, size)) = due.and_then(|number| Some((number, self.size_of(number)?))) {
            bytes += size;
            due = number.next().filter(|_| size == part_size.get());
        }
        bytes
    }

    /// Forgets the parts that reach beyond byte `end`, and those behind them.
    pub fn keep_up_to(&mut self, end: u64, part_size: PartSize) {
        self.stored.retain(|number, (_, size)| part_size.start_of(*number) + *size <= end);
    }

    /// The entity tag of the object of `size` bytes that is made of the first parts.
    #[must_use]
    pub fn tag_of_whole(&self, size: u64) -> WholeTag {
        let (mut md5, mut bytes, mut count) = (Md5::new(), 0, 0);
        for (etag, part) in self.stored.values() {
            let Some(digest) = md5_of(&etag.0) else { return WholeTag::Unknown };
            md5.update(digest);
            bytes += part;
            count += 1;
            if bytes >= size {
                break;
            }
        }
        if bytes != size {
            return WholeTag::NoSuchSize;
        }
        WholeTag::Is(format!("{}-{count}", hex::encode(md5.finalize())))
    }

    /// The parts in order, for completion: 1 to the last without a gap, all but the last of exactly `part_size`.
    ///
    /// # Errors
    /// [`Gap`], naming the part that is wrong.
    pub fn close(&self, part_size: PartSize) -> Result<Vec<(PartNumber, ETag)>, Gap> {
        let last = *self.stored.keys().next_back().ok_or(Gap::Empty)?;
        let mut parts = Vec::with_capacity(self.stored.len());
        let mut due = Some(PartNumber::FIRST);
        for (&number, (etag, size)) in &self.stored {
            match due {
                Some(due) if due == number => {}
                Some(due) => return Err(Gap::Missing(due)),
                None => return Err(Gap::Missing(number)),
            }
            let fits = if number == last { *size <= part_size.get() } else { *size == part_size.get() };
            if !fits {
                return Err(Gap::Size { number, size: *size, part_size });
            }
            parts.push((number, etag.clone()));
            due = number.next();
        }
        Ok(parts)
    }
}

/// The MD5 in a part's entity tag, with or without quotation marks, if it is one.
#[must_use]
pub fn md5_of(etag: &str) -> Option<[u8; 16]> {
    let etag = etag.trim_matches('"').as_bytes();
    let mut digest = [0; 16];
    if etag.len() != 32 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(etag.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PART: u64 = 5_000_000;

    fn note(ledger: &mut Ledger, number: u32, size: u64) {
        ledger.note(PartNumber::new(number).expect("in range"), ETag(format!("e{number}")), size);
    }

    fn close(ledger: &Ledger) -> Result<Vec<u32>, Gap> {
        let parts = ledger.close(PartSize::new(PART).expect("in range"))?;
        Ok(parts.iter().map(|(number, _)| number.get()).collect())
    }

    #[test]
    fn what_reaches_beyond_a_byte_is_forgotten() {
        let part_size = PartSize::new(PART).expect("in range");
        for (end, kept) in [(0, 0), (PART - 1, 0), (PART, 1), (2 * PART + 6, 2), (2 * PART + 7, 3)] {
            let mut ledger = Ledger::default();
            for (number, size) in [(1, PART), (2, PART), (3, 7)] {
                note(&mut ledger, number, size);
            }
            ledger.keep_up_to(end, part_size);
            assert_eq!(ledger.len(), kept, "{end}");
        }
    }

    #[test]
    fn a_short_part_may_only_be_the_last() {
        let mut ledger = Ledger::default();
        note(&mut ledger, 2, 7);
        note(&mut ledger, 1, PART);
        assert_eq!(close(&ledger), Ok(vec![1, 2]));
        assert_eq!(ledger.readable(PartSize::new(PART).expect("in range")), PART + 7);
        note(&mut ledger, 3, 7);
        assert_eq!(ledger.readable(PartSize::new(PART).expect("in range")), PART + 7);
        assert!(matches!(close(&ledger), Err(Gap::Size { number, .. }) if number.get() == 2));
        note(&mut ledger, 2, PART);
        assert_eq!(close(&ledger), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn an_etag_is_an_md5_only_if_it_looks_like_one() {
        let digest: [u8; 16] = Md5::digest(b"x").into();
        for etag in [
            "9dd4e461268c8034f5c8564e155c67a6",
            "9DD4E461268C8034F5C8564E155C67A6",
            "\"9dd4e461268c8034f5c8564e155c67a6\"",
        ] {
            assert_eq!(md5_of(etag), Some(digest), "{etag}");
        }
        for other in ["", "9dd4e461268c8034f5c8564e155c67a6-2", "+dd4e461268c8034f5c8564e155c67a6", "ééééééééééééééé"]
        {
            assert_eq!(md5_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn it_closes_exactly_when_no_part_is_missing(order in Just((1..=20u32).collect::<Vec<_>>()).prop_shuffle(), noted in 0..=20usize) {
            let mut ledger = Ledger::default();
            for &number in &order[..noted] {
                note(&mut ledger, number, PART);
            }
            let mut present = order[..noted].to_vec();
            present.sort_unstable();
            let whole = !present.is_empty() && present.iter().copied().eq(1..=u32::try_from(noted).expect("small"));
            match close(&ledger) {
                Ok(parts) => { prop_assert!(whole); prop_assert_eq!(parts, present); }
                Err(_) => prop_assert!(!whole),
            }
        }
    }
}
