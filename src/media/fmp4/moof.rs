//! What a `moof` says of its samples (ISO/IEC 14496-12, 8.8.4 to 8.8.12).

use super::boxes::FourCc;
use super::fields::{Boxes, find, word};
use super::movie::Movie;
use super::traf::{BASE_AT, Entry, Tfhd, Trun, decode_time};

/// Sample flags: the sample is no sync sample (8.8.3.1).
pub(super) const NON_SYNC: u32 = 0x01_0000;

/// One track's samples in a fragment. Times are in ticks of the track's timescale; presentation times have the edit list
/// in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The track's id.
    pub track: u32,
    /// Ticks a second, at least one.
    pub timescale: u32,
    /// When the first sample is decoded.
    pub decode: u64,
    /// When the first sample is shown.
    pub first: i64,
    /// When the earliest of the samples is shown.
    pub earliest: i64,
    /// When the latest of the samples ends.
    pub latest: i64,
    /// How long the samples are together.
    pub duration: u64,
    /// How many samples there are, at least one.
    pub samples: u64,
    /// How many of them are sync samples.
    pub syncs: u64,
    /// Whether the first one is a sync sample.
    pub sync: bool,
    /// Bytes of all samples.
    pub bytes: u64,
    /// The first sample.
    pub lead: Sample,
}

/// One sample; times are in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Where its bytes begin in the stream, if that makes sense.
    pub place: Option<u64>,
    /// How many they are.
    pub bytes: u32,
    /// How long it lasts.
    pub duration: u32,
    /// How long after it is decoded it is shown.
    pub shown_after: i64,
}

impl Run {
    /// Ticks of this track as nanoseconds, rounded down.
    #[must_use]
    pub fn nanos(&self, ticks: i64) -> i64 {
        nanos(ticks, self.timescale)
    }
}

/// Ticks as nanoseconds, rounded down; for times out of reach, the furthest there is.
#[must_use]
pub fn nanos(ticks: i64, timescale: u32) -> i64 {
    let nanos = (i128::from(ticks) * 1_000_000_000).div_euclid(i128::from(timescale.max(1)));
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// Nanoseconds as ticks, rounded down; for times out of reach, the furthest there is.
#[must_use]
pub fn ticks(nanos: i64, timescale: u32) -> i64 {
    let ticks = (i128::from(nanos) * i128::from(timescale)).div_euclid(1_000_000_000);
    i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// What the places of samples are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The `moof`, said so for all tracks (default-base-is-moof): what browsers demand.
    Moof,
    /// The start of the whole stream, for some track at least (base-data-offset): to be changed when the fragment moves.
    Stream,
    /// The `moof` for the first track, the data of the track before for the others.
    Chained,
}

/// What a `moof` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moof {
    /// What there is of each track; tracks without a sample are left out, and so are unknown ones.
    pub(super) runs: Vec<Run>,
    pub(super) base: Base,
    pub(super) sequence: u32,
    /// Where the last byte of the last sample ends, if the places make sense.
    pub(super) data_end: Option<u64>,
    /// Whether all tracks tell their decode times.
    pub(super) timed: bool,
    /// Where it tells places in the whole stream, each in eight bytes.
    pub(super) fields: Vec<u64>,
}

/// Tracks' parts of one fragment past this many are not looked at.
const TRAFS_MAX: usize = 128;

impl Moof {
    /// Reads the contents of a `moof` that begins at `offset` and ends at `end`. `next` gives the decode time of a track's
    /// next sample where the fragment does not. `None` if it is none of this movie's, or broken.
    pub(super) fn parse(
        body: &[u8],
        offset: u64,
        end: u64,
        movie: &Movie,
        next: impl Fn(u32) -> Option<u64>,
    ) -> Option<Self> {
        if !Boxes::new(body).fit() {
            return None;
        }
        let sequence = word(find(body, *b"mfhd")?, 4)?;
        let mut moof =
            Self { runs: Vec::new(), base: Base::Moof, sequence, data_end: None, timed: true, fields: Vec::new() };
        let contents = end.saturating_sub(body.len() as u64);
        // The end of the data of the track before.
        let mut data = offset;
        let mut sound = true;
        for traf in Boxes::new(body).filter(|inner| inner.kind == FourCc::TRAF).take(TRAFS_MAX) {
            let head = Boxes::new(traf.body).find(|inner| inner.kind == FourCc::TFHD)?;
            let tfhd = Tfhd::parse(head.body)?;
            match tfhd.base {
                Some(base) => {
                    moof.base = Base::Stream;
                    moof.fields.push(contents + (traf.at + head.at + BASE_AT) as u64);
                    data = base;
                }
                None if tfhd.moof_based => data = offset,
                None if moof.base == Base::Moof => moof.base = Base::Chained,
                None => {}
            }
            let (run, stated, last) = parse_traf(traf.body, &tfhd, movie, &next, data)?;
            sound &= last.is_some();
            data = last.unwrap_or(data);
            moof.data_end = moof.data_end.max(last);
            if let Some(run) = run {
                moof.timed &= stated;
                moof.runs.push(run);
            }
        }
        moof.data_end = moof.data_end.filter(|data| sound && *data >= end);
        Some(moof)
    }
}

/// A track's samples; whether they tell their decode time; and where their data end, if that makes sense. `None` where
/// the boxes are broken.
fn parse_traf(
    traf: &[u8],
    tfhd: &Tfhd,
    movie: &Movie,
    next: &impl Fn(u32) -> Option<u64>,
    base: u64,
) -> Option<(Option<Run>, bool, Option<u64>)> {
    let track = movie.track(tfhd.track);
    let (defaults, tfdt) = (tfhd.defaults(track), decode_time(traf).ok()?);
    let decode = tfdt.or_else(|| next(tfhd.track));
    // Decode times come from people's clocks at most, so half of what the field can hold is enough.
    let start = i64::try_from(decode.unwrap_or(0)).ok()?;
    let mut sum = Sum { at: start, place: Some(base), ..Sum::default() };
    for trun in Boxes::new(traf).filter(|inner| &inner.kind.0 == b"trun") {
        sum.add(trun.body, &defaults, base)?;
    }
    let run = track.filter(|_| sum.samples > 0).map(|track| {
        let shown = |time: i64| time.saturating_add(track.edit_offset);
        Run {
            track: track.id,
            timescale: track.timescale,
            decode: start.unsigned_abs(),
            first: shown(sum.first),
            earliest: shown(sum.earliest),
            latest: shown(sum.latest),
            duration: sum.at.abs_diff(start),
            samples: sum.samples,
            syncs: sum.syncs,
            sync: sum.sync,
            bytes: sum.bytes,
            lead: sum.lead,
        }
    });
    Some((run, tfdt.is_some(), sum.place))
}

/// The samples of a track so far.
#[derive(Default)]
struct Sum {
    /// When the next sample is decoded.
    at: i64,
    first: i64,
    earliest: i64,
    latest: i64,
    samples: u64,
    syncs: u64,
    sync: bool,
    bytes: u64,
    lead: Sample,
    /// Where the next sample's data begin; `None` once that made no sense.
    place: Option<u64>,
}

impl Sum {
    /// Adds the samples of one `trun` (8.8.8); `None` if it claims more of them than it holds.
    fn add(&mut self, trun: &[u8], defaults: &Entry, base: u64) -> Option<()> {
        let trun = Trun::parse(trun)?;
        if let Some(offset) = trun.data_offset {
            self.place = base.checked_add_signed(i64::from(offset));
        }
        if trun.is_uniform() {
            self.uniform(trun.count, trun.entry(0, defaults).flags, defaults);
            return Some(());
        }
        for index in 0..trun.count {
            self.sample(trun.entry(index, defaults));
        }
        Some(())
    }

    fn sample(&mut self, Entry { duration, size, flags, composition }: Entry) {
        let shown = self.at.saturating_add(composition);
        let ends = shown.saturating_add(i64::from(duration));
        let sync = flags & NON_SYNC == 0;
        self.lead_with(size, duration, composition);
        self.note(shown, shown, ends, sync);
        self.at = self.at.saturating_add(i64::from(duration));
        self.samples = self.samples.saturating_add(1);
        self.syncs = self.syncs.saturating_add(u64::from(sync));
        self.grow(u64::from(size));
    }

    /// Samples that are all alike but the first: however many are claimed, they cost one step.
    fn uniform(&mut self, count: u32, first_flags: u32, defaults: &Entry) {
        if count == 0 {
            return;
        }
        let is_sync = |flags: u32| flags & NON_SYNC == 0;
        let sync = is_sync(first_flags);
        let ends = self.at.saturating_add(i64::from(count).saturating_mul(i64::from(defaults.duration)));
        self.lead_with(defaults.size, defaults.duration, 0);
        self.note(self.at, self.at, ends, sync);
        self.at = ends;
        self.samples = self.samples.saturating_add(u64::from(count));
        let others = if is_sync(defaults.flags) { u64::from(count) - 1 } else { 0 };
        self.syncs = self.syncs.saturating_add(u64::from(sync) + others);
        self.grow(u64::from(count).saturating_mul(u64::from(defaults.size)));
    }

    fn lead_with(&mut self, bytes: u32, duration: u32, shown_after: i64) {
        if self.samples == 0 {
            self.lead = Sample { place: self.place, bytes, duration, shown_after };
        }
    }

    fn note(&mut self, first: i64, earliest: i64, latest: i64, sync: bool) {
        if self.samples == 0 {
            (self.first, self.earliest, self.latest, self.sync) = (first, earliest, latest, sync);
        } else {
            self.earliest = self.earliest.min(earliest);
            self.latest = self.latest.max(latest);
        }
    }

    fn grow(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.place = self.place.and_then(|place| place.checked_add(bytes));
    }
}
