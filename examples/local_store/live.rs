//! The rules of Live Read: header names, limits, which parts are taken, and which bytes can be read. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use s3s::{S3Error, S3Result};

use crate::disk::PartFile;
use crate::errors::{invalid_argument, invalid_range};
use crate::read::Segment;

/// On requests: use Live Read. On answers: this is Live Read.
pub const ENABLED: &str = "x-backblaze-live-read-enabled";
/// The size of all parts but the last.
pub const PART_SIZE: &str = "x-backblaze-live-read-part-size";
/// 5 MB, decimal.
pub const MIN_PART_SIZE: u64 = 5_000_000;
/// 5 GiB.
pub const MAX_PART_SIZE: u64 = 5_368_709_120;

/// Whether the request asks for Live Read. Any other value than true means no.
pub fn wanted(headers: &HeaderMap) -> bool {
    headers.get(ENABLED).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// The part size that the request declares.
pub fn declared_part_size(headers: &HeaderMap) -> S3Result<Option<u64>> {
    let Some(value) = headers.get(PART_SIZE) else {
        return Ok(None);
    };
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let Some(digits) = digits else {
        return Err(invalid_argument(format!("Invalid Live Read part size provided in header {PART_SIZE}.")));
    };
    // A number that does not even fit is too large, not malformed.
    let size = digits.parse().unwrap_or(u64::MAX);
    if size < MIN_PART_SIZE {
        return Err(invalid_argument(format!(
            "The Live Read part size provided in header {PART_SIZE} is smaller than the minimum allowed size of \
             {MIN_PART_SIZE} bytes."
        )));
    }
    if size > MAX_PART_SIZE {
        return Err(invalid_argument(format!(
            "The Live Read part size provided in header {PART_SIZE} is larger than the maximum allowed size of \
             {MAX_PART_SIZE} bytes."
        )));
    }
    Ok(Some(size))
}

/// The answer to a part, or a list of parts, that breaks the rule of equal sizes.
pub fn wrong_part_size(part_size: u64) -> S3Error {
    invalid_argument(format!("This Live Read upload requires parts of size {part_size} for all but the last part."))
}

/// The parts of an open Live Read upload.
#[derive(Debug, Default, Clone)]
pub struct LiveParts {
    /// Declared, or the size of the part that came first.
    pub part_size: Option<u64>,
    /// How many parts of the full size there are from the first one on without a gap.
    run: u32,
}

impl LiveParts {
    /// With a declared size and the parts that a restart finds.
    pub fn new(part_size: Option<u64>, parts: &BTreeMap<u32, Arc<PartFile>>) -> Self {
        let mut live = Self { part_size, run: 0 };
        live.extend_run(parts);
        live
    }

    /// Whether part `number` with `size` bytes may join `parts`.
    pub fn check(
        &self,
        parts: &BTreeMap<u32, Arc<PartFile>>,
        number: u32,
        size: u64,
        tail_replace: bool,
    ) -> S3Result<()> {
        let Some(part_size) = self.part_size else {
            return Ok(());
        };
        let highest = parts.last_key_value().map_or(0, |(number, _)| *number);
        if size > part_size || (size < part_size && number < highest) {
            return Err(wrong_part_size(part_size));
        }
        if !tail_replace && parts.get(&number).is_some_and(|old| old.size < size) {
            return Err(invalid_argument(format!(
                "Part {number} of this Live Read upload cannot be replaced by a longer one."
            )));
        }
        Ok(())
    }

    /// Part `number` has been stored or replaced.
    pub fn stored(&mut self, parts: &BTreeMap<u32, Arc<PartFile>>, number: u32) {
        if self.part_size.is_none() {
            self.part_size = parts.get(&number).map(|part| part.size);
        }
        self.run = self.run.min(number.saturating_sub(1));
        self.extend_run(parts);
    }

    fn extend_run(&mut self, parts: &BTreeMap<u32, Arc<PartFile>>) {
        let Some(part_size) = self.part_size else {
            return;
        };
        while parts.get(&(self.run + 1)).is_some_and(|part| part.size == part_size) {
            self.run += 1;
        }
    }

    /// The bytes of `first..=last` that are there: from the first byte of the upload without a gap.
    pub fn range(&self, parts: &BTreeMap<u32, Arc<PartFile>>, first: u64, last: u64) -> S3Result<Vec<Segment>> {
        let part_size = self.part_size.filter(|size| *size > 0).ok_or_else(not_yet)?;
        let tail = parts.get(&(self.run + 1)).map_or(0, |part| part.size);
        let end = (u64::from(self.run) * part_size + tail).min(last.saturating_add(1));
        if first >= end {
            return Err(not_yet());
        }
        let mut segments = Vec::new();
        let mut at = first;
        while at < end {
            let part = u32::try_from(at / part_size + 1).ok().and_then(|number| parts.get(&number));
            let Some(part) = part else { break };
            let offset = at % part_size;
            let len = (part.size - offset).min(end - at);
            segments.push(Segment { file: Arc::clone(part), offset, len });
            at += len;
        }
        Ok(segments)
    }

    /// Part `number`, and the position of its first byte.
    pub fn part(&self, parts: &BTreeMap<u32, Arc<PartFile>>, number: u32) -> S3Result<(u64, Segment)> {
        let part_size = self.part_size.ok_or_else(not_yet)?;
        let part = parts.get(&number).filter(|part| part.size > 0).ok_or_else(not_yet)?;
        let first = u64::from(number.saturating_sub(1)) * part_size;
        Ok((first, Segment { file: Arc::clone(part), offset: 0, len: part.size }))
    }
}

/// 416: the data has not arrived.
pub fn not_yet() -> S3Error {
    invalid_range("The requested range is not satisfiable: it has not been uploaded yet.")
}
