//! One track of a fragmented MP4 as a stream of its own: its header, and of a stretch of fragments one fragment with the samples
//! of this track alone. Pure.
//!
//! No byte of a sample is looked at: where they are is told, so that whoever sends them need not hold them in memory. Samples
//! are those of the stretch one by one, with their times, flags and order; what is said of each in `tfhd` and `trex` is
//! said anew in as few bytes as that takes.

use std::ops::Range;

use bytes::Bytes;

use super::boxes::FourCc;
use super::fields::Boxes;
use super::movie::Track;
use super::traf::{
    DATA_OFFSET, DEFAULT_BASE_IS_MOOF, DEFAULT_DURATION, DEFAULT_FLAGS, EACH_COMPOSITION, EACH_DURATION, EACH_FLAGS,
    EACH_SIZE, Entry, FIRST_FLAGS, SAMPLE_DESCRIPTION, Tfhd, Trun, decode_time,
};
use super::writer::Writer;

/// Samples of one track in a stretch, at most.
const SAMPLES_MAX: usize = 1 << 17;

/// Why a track cannot be had alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSingle {
    /// What its boxes say cannot be.
    #[error("the index of one of its fragments (moof) is broken")]
    Broken,
    /// Places count from the start of the whole stream, or there is no decode time.
    #[error("one of its fragments cannot be played apart from the others")]
    NotApart,
    /// Samples lie where the stretch is not.
    #[error("samples of one of its fragments lie outside of it")]
    Elsewhere,
    /// There are too many samples, or bytes of them.
    #[error("one of its segments has too many samples")]
    TooMuch,
}

/// A header with this track alone, out of one with others.
#[must_use]
pub fn header(header: &[u8], track: &Track) -> Option<Bytes> {
    header_of(header, &[track.id])
}

/// A header with these tracks alone, out of one with others; none where it has none of them.
#[must_use]
pub fn header_of(header: &[u8], ids: &[u32]) -> Option<Bytes> {
    let mut writer = Writer::default();
    let mut found = false;
    for top in Boxes::new(header) {
        match &top.kind.0 {
            b"ftyp" => writer.boxed(top.kind.0, |w| w.raw(top.body)),
            b"moov" if !found => writer.boxed(top.kind.0, |w| found = movie(w, top.body, ids)),
            _ => {}
        }
    }
    found.then(|| writer.bytes.freeze())
}

/// The contents of a `moov` with these tracks; whether it has one of them.
fn movie(w: &mut Writer, moov: &[u8], ids: &[u32]) -> bool {
    let mut found = Vec::new();
    let wanted = |id: Option<u32>| id.filter(|id| ids.contains(id));
    for inner in Boxes::new(moov) {
        match &inner.kind.0 {
            b"mvhd" => w.boxed(inner.kind.0, |w| w.raw(inner.body)),
            b"trak" => {
                let Some(id) = wanted(track_id(inner.body)).filter(|id| !found.contains(id)) else { continue };
                found.push(id);
                w.boxed(inner.kind.0, |w| {
                    // What refers to other tracks refers to nothing here.
                    for part in Boxes::new(inner.body).filter(|part| &part.kind.0 != b"tref") {
                        w.boxed(part.kind.0, |w| w.raw(part.body));
                    }
                });
            }
            b"mvex" => w.boxed(inner.kind.0, |w| {
                let is_it = |body: &[u8]| wanted(super::fields::word(body, 4)).is_some();
                for trex in Boxes::new(inner.body).filter(|trex| &trex.kind.0 == b"trex" && is_it(trex.body)) {
                    w.boxed(trex.kind.0, |w| w.raw(trex.body));
                }
            }),
            _ => {}
        }
    }
    !found.is_empty()
}

fn track_id(trak: &[u8]) -> Option<u32> {
    let tkhd = super::fields::find(trak, *b"tkhd")?;
    super::fields::word(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })
}

/// Samples that follow one another without a gap in their decode times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    decode: u64,
    description: Option<u32>,
    duration: u64,
    bytes: u64,
    entries: Vec<Entry>,
    /// Where their bytes are in the stream.
    places: Vec<Range<u64>>,
}

/// The samples of one track in a stretch of fragments, gathered from one `moof` after another.
#[derive(Debug, Clone)]
pub struct Samples {
    track: Track,
    /// The stretch.
    within: Range<u64>,
    count: usize,
    runs: Vec<Run>,
}

/// A fragment of one track: all of it up to its samples, and where these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Single {
    /// `moof`, and the header of the `mdat`.
    pub head: Bytes,
    /// Where the samples are in the stream, one after another.
    pub places: Vec<Range<u64>>,
}

impl Samples {
    /// Of this track, in this stretch of the stream.
    #[must_use]
    pub fn new(track: Track, within: Range<u64>) -> Self {
        Self { track, within, count: 0, runs: Vec::new() }
    }

    /// Takes what the contents of a `moof` that begins at `offset` say of the track.
    ///
    /// # Errors
    /// [`NotSingle`]: nothing more is to be taken then.
    pub fn take(&mut self, moof: &[u8], offset: u64) -> Result<(), NotSingle> {
        if !Boxes::new(moof).fit() {
            return Err(NotSingle::Broken);
        }
        let mut others = false;
        for traf in Boxes::new(moof).filter(|inner| inner.kind == FourCc::TRAF) {
            let tfhd = Boxes::new(traf.body).find(|inner| inner.kind == FourCc::TFHD);
            let tfhd = tfhd.and_then(|tfhd| Tfhd::parse(tfhd.body)).ok_or(NotSingle::Broken)?;
            if tfhd.track == self.track.id {
                // Of the first track places count from the moof in any case (8.8.7.1).
                if tfhd.base.is_some() || (others && !tfhd.moof_based) {
                    return Err(NotSingle::NotApart);
                }
                self.take_track(traf.body, &tfhd, offset)?;
            }
            others = true;
        }
        Ok(())
    }

    fn take_track(&mut self, traf: &[u8], tfhd: &Tfhd, moof: u64) -> Result<(), NotSingle> {
        let defaults = tfhd.defaults(Some(&self.track));
        let decode = decode_time(traf).map_err(|_| NotSingle::Broken)?;
        let mut place = moof;
        let mut run = None;
        for trun in Boxes::new(traf).filter(|inner| &inner.kind.0 == b"trun") {
            let trun = Trun::parse(trun.body).ok_or(NotSingle::Broken)?;
            let count = usize::try_from(trun.count).unwrap_or(usize::MAX);
            self.count = self.count.saturating_add(count);
            if self.count > SAMPLES_MAX {
                return Err(NotSingle::TooMuch);
            }
            if let Some(offset) = trun.data_offset {
                place = moof.checked_add_signed(i64::from(offset)).ok_or(NotSingle::Elsewhere)?;
            }
            if trun.count == 0 {
                continue;
            }
            let run: &mut Run = match run {
                Some(ref mut run) => run,
                None => run.insert(Run {
                    decode: decode.ok_or(NotSingle::NotApart)?,
                    description: tfhd.description,
                    duration: 0,
                    bytes: 0,
                    entries: Vec::new(),
                    places: Vec::new(),
                }),
            };
            let first = place;
            for index in 0..trun.count {
                let entry = trun.entry(index, &defaults);
                place = place.checked_add(entry.size.into()).ok_or(NotSingle::Elsewhere)?;
                run.duration = run.duration.saturating_add(entry.duration.into());
                run.entries.push(entry);
            }
            if first < self.within.start || place > self.within.end {
                return Err(NotSingle::Elsewhere);
            }
            run.bytes = run.bytes.saturating_add(place - first);
            put(&mut run.places, first..place);
        }
        run.map_or(Ok(()), |run| self.add(run))
    }

    fn add(&mut self, run: Run) -> Result<(), NotSingle> {
        match self.runs.last_mut() {
            Some(last)
                if last.decode.checked_add(last.duration) == Some(run.decode)
                    && last.description == run.description =>
            {
                last.duration = last.duration.saturating_add(run.duration);
                last.bytes = last.bytes.saturating_add(run.bytes);
                last.entries.extend(run.entries);
                for place in run.places {
                    put(&mut last.places, place);
                }
            }
            _ => self.runs.push(run),
        }
        // An mdat with a short header, places that count from the moof, and room for what is said of the samples.
        let bytes = self.runs.iter().fold(0u64, |sum, run| sum.saturating_add(run.bytes));
        if bytes > 1 << 30 { Err(NotSingle::TooMuch) } else { Ok(()) }
    }

    /// Makes one run of all: where there are gaps in the decode times, or where they go back, the last sample before lasts as
    /// long as it takes. False where that cannot be.
    #[must_use]
    pub fn join(&mut self) -> bool {
        let runs = std::mem::take(&mut self.runs);
        for run in runs {
            if let Some(last) = self.runs.last_mut() {
                let ends = last.decode.saturating_add(last.duration);
                let before = last.entries.last_mut();
                let fits = before.and_then(|before| {
                    let longer = i64::try_from(run.decode).ok()?.checked_sub(i64::try_from(ends).ok()?)?;
                    before.duration = before.duration.checked_add_signed(i32::try_from(longer).ok()?)?;
                    last.duration.checked_add_signed(longer)
                });
                let Some(duration) = fits else { return false };
                last.duration = duration;
                if last.description != run.description {
                    return false;
                }
            }
            if self.add(run).is_err() {
                return false;
            }
        }
        self.runs.len() <= 1
    }

    /// When the first sample is decoded, and how long all of them last.
    #[must_use]
    pub fn time(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.runs.first()?, self.runs.last()?);
        Some((first.decode, last.decode.saturating_add(last.duration).saturating_sub(first.decode)))
    }

    /// The same samples as one run that begins at `begins`, of which each is shown so many ticks `later` after it is decoded than
    /// before; none where that cannot be. For streams without an edit list.
    #[must_use]
    pub fn moved(&self, begins: u64, later: i64) -> Option<Self> {
        let mut moved = self.clone();
        if !moved.join() {
            return None;
        }
        let run = moved.runs.first_mut()?;
        run.decode = begins;
        for entry in &mut run.entries {
            entry.composition = entry.composition.checked_add(later).filter(|after| i32::try_from(*after).is_ok())?;
        }
        Some(moved)
    }

    /// The same samples in ticks of another length, of which there are `to` where there were `from`: each of their times is rounded by
    /// itself, so that nothing adds up. None where that cannot be.
    #[must_use]
    pub fn in_ticks(&self, from: u32, to: u32) -> Option<Self> {
        if from == to {
            return Some(self.clone());
        }
        let scaled = |time: u64| scaled(time.try_into().ok()?, from, to)?.try_into().ok();
        let mut told = self.clone();
        for run in &mut told.runs {
            let mut decode = run.decode;
            run.decode = scaled(decode)?;
            let mut begins = run.decode;
            for entry in &mut run.entries {
                let shown = i64::try_from(decode).ok()?.checked_add(entry.composition)?;
                decode = decode.checked_add(entry.duration.into())?;
                let ends: u64 = scaled(decode)?;
                entry.composition = self::scaled(shown, from, to)?.checked_sub(begins.try_into().ok()?)?;
                entry.duration = u32::try_from(ends.checked_sub(begins)?).ok()?;
                begins = ends;
            }
            run.duration = begins.checked_sub(run.decode)?;
        }
        Some(told)
    }

    /// The samples as fragments of their own: one, and one more after each gap in the decode times. They are number
    /// `sequence`; `more` are boxes that go into the first `traf`.
    ///
    /// # Errors
    /// [`NotSingle`].
    pub fn fragments(&self, sequence: u32, more: &[u8]) -> Result<Vec<Single>, NotSingle> {
        let more = |index| if index == 0 { more } else { &[] };
        self.runs.iter().enumerate().map(|(index, run)| fragment(self.track.id, run, sequence, more(index))).collect()
    }
}

/// A time in ticks of another length, to the nearest.
#[must_use]
pub fn scaled(time: i64, from: u32, to: u32) -> Option<i64> {
    let twice = i128::from(time) * 2 * i128::from(to) + i128::from(from);
    i64::try_from(twice.div_euclid(2 * i128::from(from.max(1)))).ok()
}

/// Adds a place to others, as one with the last where it follows at once.
fn put(places: &mut Vec<Range<u64>>, place: Range<u64>) {
    match places.last_mut() {
        _ if place.is_empty() => {}
        Some(last) if last.end == place.start => last.end = place.end,
        _ => places.push(place),
    }
}

/// Which of the things that are said of samples are said once for all of them.
struct Shape {
    flags: u32,
    /// Of all, or of all but the first.
    usual: Entry,
    version: u8,
}

impl Shape {
    fn of(entries: &[Entry]) -> Result<Self, NotSingle> {
        let first = entries.first().copied().unwrap_or_default();
        let usual = Entry { duration: first.duration, ..entries.get(1).copied().unwrap_or(first) };
        let mut flags = DATA_OFFSET | EACH_SIZE;
        if entries.iter().any(|entry| entry.duration != usual.duration) {
            flags |= EACH_DURATION;
        }
        if entries.iter().skip(1).any(|entry| entry.flags != usual.flags) {
            flags |= EACH_FLAGS;
        } else if first.flags != usual.flags {
            flags |= FIRST_FLAGS;
        }
        if entries.iter().any(|entry| entry.composition != 0) {
            flags |= EACH_COMPOSITION;
        }
        let signed = entries.iter().any(|entry| entry.composition < 0);
        if signed && entries.iter().any(|entry| i32::try_from(entry.composition).is_err()) {
            return Err(NotSingle::Broken);
        }
        Ok(Self { flags, usual, version: u8::from(signed) })
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

fn fragment(track: u32, run: &Run, sequence: u32, more: &[u8]) -> Result<Single, NotSingle> {
    let shape = Shape::of(&run.entries)?;
    let usual = &shape.usual;
    let mut w = Writer::default();
    w.bytes.reserve(run.entries.len() * 16 + more.len() + 200);
    let mut place = 0;
    w.boxed(*b"moof", |w| {
        w.full(*b"mfhd", 0, 0, |w| w.u32(sequence));
        w.boxed(*b"traf", |w| {
            let description = if run.description.is_some() { SAMPLE_DESCRIPTION } else { 0 };
            let duration = if shape.has(EACH_DURATION) { 0 } else { DEFAULT_DURATION };
            let flags = if shape.has(EACH_FLAGS) { 0 } else { DEFAULT_FLAGS };
            w.full(*b"tfhd", 0, DEFAULT_BASE_IS_MOOF | description | duration | flags, |w| {
                w.u32(track);
                let told = [
                    run.description,
                    Some(usual.duration).filter(|_| duration != 0),
                    Some(usual.flags).filter(|_| flags != 0),
                ];
                told.into_iter().flatten().for_each(|value| w.u32(value));
            });
            w.full(*b"tfdt", 1, 0, |w| w.u64(run.decode));
            w.full(*b"trun", shape.version, shape.flags, |w| {
                w.u32(u32::try_from(run.entries.len()).unwrap_or(u32::MAX));
                place = w.bytes.len();
                w.u32(0);
                if let Some(first) = run.entries.first().filter(|_| shape.has(FIRST_FLAGS)) {
                    w.u32(first.flags);
                }
                for entry in &run.entries {
                    if shape.has(EACH_DURATION) {
                        w.u32(entry.duration);
                    }
                    w.u32(entry.size);
                    if shape.has(EACH_FLAGS) {
                        w.u32(entry.flags);
                    }
                    if shape.has(EACH_COMPOSITION) {
                        // One of the two, as it was read from as many bits.
                        w.raw(entry.composition.to_be_bytes().get(4..).unwrap_or_default());
                    }
                }
            });
            w.raw(more);
        });
    });
    w.put_u32(place, u32::try_from(w.bytes.len() + 8).unwrap_or(u32::MAX));
    let length = u32::try_from(run.bytes + 8).map_err(|_| NotSingle::TooMuch)?;
    w.u32(length);
    w.raw(b"mdat");
    Ok(Single { head: w.bytes.freeze(), places: run.places.clone() })
}

#[cfg(test)]
#[path = "single_tests.rs"]
mod tests;
