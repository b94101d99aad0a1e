//! What the boxes of one track's part of a `moof` say (ISO/IEC 14496-12, 8.8.7, 8.8.8 and 8.8.12).

use super::fields::{find, long, word};
use super::movie::Track;

/// `tfhd` flags: base-data-offset, sample-description-index, default duration, size and flags are present; offsets count
/// from the `moof` (8.8.7.1).
pub(super) const BASE_DATA_OFFSET: u32 = 0x01;
/// Where the base-data-offset is in a `tfhd`.
pub(super) const BASE_AT: usize = 8;
pub(super) const SAMPLE_DESCRIPTION: u32 = 0x02;
pub(super) const DEFAULT_DURATION: u32 = 0x08;
const DEFAULT_SIZE: u32 = 0x10;
pub(super) const DEFAULT_FLAGS: u32 = 0x20;
pub(super) const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;

/// `trun` flags: data-offset, first-sample-flags, and per sample duration, size, flags and composition offset (8.8.8.1).
pub(super) const DATA_OFFSET: u32 = 0x001;
pub(super) const FIRST_FLAGS: u32 = 0x004;
pub(super) const EACH_DURATION: u32 = 0x100;
pub(super) const EACH_SIZE: u32 = 0x200;
pub(super) const EACH_FLAGS: u32 = 0x400;
pub(super) const EACH_COMPOSITION: u32 = 0x800;

/// What a `tfhd` says (8.8.7).
pub(super) struct Tfhd {
    pub(super) track: u32,
    pub(super) base: Option<u64>,
    pub(super) moof_based: bool,
    /// Which sample entry its samples go by.
    pub(super) description: Option<u32>,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

impl Tfhd {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let flags = word(body, 0)?;
        let track = word(body, 4)?;
        let has = |flag: u32| flags & flag != 0;
        let mut at = BASE_AT;
        let base = if has(BASE_DATA_OFFSET) {
            at += 8;
            Some(long(body, BASE_AT)?)
        } else {
            None
        };
        let mut field = |flag: u32| -> Option<Option<u32>> {
            if !has(flag) {
                return Some(None);
            }
            let value = word(body, at)?;
            at += 4;
            Some(Some(value))
        };
        let description = field(SAMPLE_DESCRIPTION)?;
        let (duration, size, sample_flags) = (field(DEFAULT_DURATION)?, field(DEFAULT_SIZE)?, field(DEFAULT_FLAGS)?);
        let moof_based = has(DEFAULT_BASE_IS_MOOF);
        Some(Self { track, base, moof_based, description, duration, size, flags: sample_flags })
    }

    /// What a sample is like for which a `trun` says nothing else.
    pub(super) fn defaults(&self, track: Option<&Track>) -> Entry {
        let default = |own: Option<u32>, of_track: u32| own.unwrap_or(of_track);
        Entry {
            duration: default(self.duration, track.map_or(0, |track| track.default_duration)),
            size: default(self.size, track.map_or(0, |track| track.default_size)),
            flags: default(self.flags, track.map_or(0, |track| track.default_flags)),
            composition: 0,
        }
    }
}

/// A box ends before what it says.
#[derive(Debug)]
pub(super) struct Short;

/// When the first sample is decoded, if a `tfdt` tells it (8.8.12).
pub(super) fn decode_time(traf: &[u8]) -> Result<Option<u64>, Short> {
    let Some(tfdt) = find(traf, *b"tfdt") else { return Ok(None) };
    let told = if tfdt.first() == Some(&1) { long(tfdt, 4) } else { word(tfdt, 4).map(u64::from) };
    told.map(Some).ok_or(Short)
}

/// What is said of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
    /// How long after it is decoded it is shown.
    pub(super) composition: i64,
}

/// What a `trun` says (8.8.8).
#[derive(Debug)]
pub(super) struct Trun<'a> {
    pub(super) count: u32,
    /// Where its data begin, counted from the base; none: after those of the one before.
    pub(super) data_offset: Option<i32>,
    flags: u32,
    first_flags: Option<u32>,
    signed: bool,
    /// What is said of each sample, in so many bytes; none where they are all alike but the first.
    each: usize,
    table: &'a [u8],
}

impl<'a> Trun<'a> {
    /// `None` if it claims more samples than it holds.
    pub(super) fn parse(trun: &'a [u8]) -> Option<Self> {
        let flags = word(trun, 0)?;
        let count = word(trun, 4)?;
        let has = |flag: u32| flags & flag != 0;
        let mut at = 8;
        let mut field = |flag: u32| -> Option<Option<u32>> {
            if !has(flag) {
                return Some(None);
            }
            let value = word(trun, at)?;
            at += 4;
            Some(Some(value))
        };
        let data_offset = field(DATA_OFFSET)?.map(u32::cast_signed);
        let first_flags = field(FIRST_FLAGS)?;
        let signed = trun.first() == Some(&1);
        let fields = [EACH_DURATION, EACH_SIZE, EACH_FLAGS, EACH_COMPOSITION];
        let each = 4 * fields.into_iter().filter(|flag| has(*flag)).count();
        let table = trun.get(at..)?;
        if each > 0 && usize::try_from(count).ok()? > table.len() / each {
            return None;
        }
        Some(Self { count, data_offset, flags, first_flags, signed, each, table })
    }

    /// Whether its samples are all alike but the first: then their number is only a claim.
    pub(super) fn is_uniform(&self) -> bool {
        self.each == 0
    }

    /// The sample with this number; for one that there is not, what is said of all.
    pub(super) fn entry(&self, index: u32, defaults: &Entry) -> Entry {
        let row = usize::try_from(index).ok().and_then(|index| index.checked_mul(self.each));
        let mut at = row.unwrap_or(usize::MAX);
        let mut field = |flag: u32| -> Option<u32> {
            if self.flags & flag == 0 {
                return None;
            }
            let value = self.table.get(at..).and_then(|rest| word(rest, 0));
            at = at.saturating_add(4);
            value
        };
        let duration = field(EACH_DURATION).unwrap_or(defaults.duration);
        let size = field(EACH_SIZE).unwrap_or(defaults.size);
        let own = field(EACH_FLAGS).unwrap_or(defaults.flags);
        let flags = self.first_flags.filter(|_| index == 0).unwrap_or(own);
        let composition = field(EACH_COMPOSITION).unwrap_or(0);
        let composition = if self.signed { i64::from(composition.cast_signed()) } else { i64::from(composition) };
        Entry { duration, size, flags, composition }
    }
}
