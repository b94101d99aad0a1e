//! The header and the fragments of a fragmented MP4, one after another, as its bytes come in.
//!
//! A fragment is a `moof` with the `mdat` after it, and the boxes before it that belong to it (`styp`, `sidx`, `prft`,
//! `emsg`). It is told of twice: as soon as its `moof` is whole, which is when its times are known, and when its last byte
//! is there. What is found depends only on the bytes, not on how they were sliced. Memory is bounded by
//! [`HEADER_MAX`] while there is no header yet, and by the longest `moof` after that
//! ([`WHOLE_MAX`]).

use std::sync::Arc;

use bytes::Bytes;

use super::boxes::{BoxHead, BoxWalker, Event, FourCc, OffReason, WHOLE_MAX, Wish};
use super::cut::HEADER_MAX;
use super::fields::{byte, long, word};
use super::moof::{Base, Moof, Run};
use super::movie::Movie;

/// What the stream begins with, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The bytes from `ftyp` to the end of `moov`.
    pub bytes: Bytes,
    /// What they say.
    pub movie: Arc<Movie>,
    /// Where the header ends, in bytes from the start of the stream.
    pub end: u64,
}

/// The time of day at a place in the stream (`prft`, 8.16.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// The track whose time is meant.
    pub track: u32,
    /// Seconds since 1900-01-01T00:00:00Z, times 2^32.
    pub ntp: u64,
    /// Decode time in ticks of the track.
    pub media_time: u64,
}

impl WallClock {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_nanos(&self) -> i64 {
        const UNIX_IN_NTP: i64 = 2_208_988_800;
        let seconds = i64::try_from(self.ntp >> 32).unwrap_or(0) - UNIX_IN_NTP;
        let fraction = (u128::from(self.ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(fraction).unwrap_or(0))
    }
}

/// One fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Where it begins, in bytes from the start of the stream: at its first `styp`, `sidx`, `prft` or `emsg`, else its
    /// `moof`.
    pub first: u64,
    /// Where its `moof` begins.
    pub moof: u64,
    /// Where its `moof` ends.
    pub moof_end: u64,
    /// Where it ends, once that is known.
    pub end: Option<u64>,
    /// Where the data of its samples end as its `moof` tells it, if that makes sense; known before `end` is.
    pub data_end: Option<u64>,
    /// The `mfhd` sequence number.
    pub sequence: u32,
    /// What there is of each track, in the order of the `moof`.
    pub runs: Vec<Run>,
    /// Whether it has samples of the [main track](Movie::main), the first of which is a sync sample.
    pub key: bool,
    /// What the places of its samples are counted from.
    pub base: Base,
    /// Whether it tells its decode times (`tfdt`); else they go on from the fragment before, if that is known.
    pub timed: bool,
    /// The time of day, where a `prft` tells it.
    pub wall: Option<WallClock>,
}

impl Fragment {
    /// What there is of one track.
    #[must_use]
    pub fn run(&self, track: u32) -> Option<&Run> {
        self.runs.iter().find(|run| run.track == track)
    }
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The header, as soon as it is whole. A later one takes the place of the one before.
    Header(Arc<Header>),
    /// A fragment whose `moof` is whole; its `end` is not known yet.
    Begun(Fragment),
    /// The fragment begun last is whole, and its `end` known.
    Ended(Fragment),
    /// Nothing follows.
    Off(NotFragments),
}

/// Why no fragments are found in a stream, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFragments {
    /// It is something else, or broken.
    #[error("{0}")]
    Boxes(OffReason),
    /// Media data or fragments come before the header, or the header does not announce fragments.
    #[error("it is an MP4, but not a fragmented one")]
    NotFragmented,
    /// The header describes no track that can be understood.
    #[error("its header has no track")]
    NoTrack,
    /// The first samples are in the `moov`.
    #[error(
        "its moov has samples of its own, so that no part of it plays without them; with ffmpeg, add empty_moov to -movflags"
    )]
    SamplesInMoov,
    /// The header is too long to be kept.
    #[error("its header is longer than {HEADER_MAX} bytes")]
    HeaderTooLong,
    /// A `moof` is too long to be kept.
    #[error("one of its fragments has an index longer than {WHOLE_MAX} bytes")]
    MoofTooLong,
    /// A `moof` is broken.
    #[error("the index of one of its fragments (moof) is broken")]
    BadMoof,
}

/// Finds the header and the fragments in a stream that is fed to it slice by slice; see the [module](self).
#[derive(Debug)]
pub struct Scanner {
    walker: BoxWalker,
    off: bool,
    /// The bytes of the first header so far; `None` once it is whole.
    collecting: Option<Vec<u8>>,
    /// The newest `ftyp`, for a later header.
    ftyp: Bytes,
    movie: Option<Arc<Movie>>,
    /// Decode times of the tracks' next samples.
    next: Vec<(u32, u64)>,
    /// Where the boxes begin that belong to the fragment to come.
    lead: Option<u64>,
    wall: Option<WallClock>,
    /// The fragment begun last, until it has ended.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    fragment: Fragment,
    /// Where the last box of it ends so far.
    so_far: u64,
    has_data: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

fn wish(head: &BoxHead) -> Wish {
    match &head.kind.0 {
        b"ftyp" | b"moov" | b"moof" => Wish::Whole,
        b"prft" => Wish::Keep(32),
        _ => Wish::Skip,
    }
}

impl Scanner {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            walker: BoxWalker::new(wish),
            off: false,
            collecting: Some(Vec::new()),
            ftyp: Bytes::new(),
            movie: None,
            next: Vec::new(),
            lead: None,
            wall: None,
            pending: None,
        }
    }

    /// In the middle of a stream whose header says `movie`, where a box of the top level begins at byte `at`.
    #[must_use]
    pub fn starting_at(movie: Arc<Movie>, at: u64) -> Self {
        Self { walker: BoxWalker::starting_at(wish, at), collecting: None, movie: Some(movie), ..Self::new() }
    }

    /// Where the next byte to be fed is, in bytes from the start of the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.walker.offset()
    }

    /// How many of the next bytes it passes over whatever they are: those of pictures and sound.
    #[must_use]
    pub fn passes_over(&self) -> u64 {
        if self.collecting.is_some() { 0 } else { self.walker.passes_over() }
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Where the media data end that the next byte belongs to, if it does: nothing is found before that.
    #[must_use]
    pub fn nothing_before(&self) -> Option<u64> {
        let pending = self.pending.as_ref().filter(|pending| pending.has_data)?;
        Some(pending.so_far).filter(|end| *end > self.walker.offset())
    }

    /// Whether the next byte belongs to a box header, or to a box that is kept, which has begun.
    #[must_use]
    pub fn is_inside_index(&self) -> bool {
        !self.off && self.walker.is_gathering()
    }

    /// Takes the next bytes of the stream; gives what they complete, in order.
    pub fn feed(&mut self, data: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        let from = self.walker.offset();
        let mut walker = std::mem::take(&mut self.walker);
        for event in walker.feed(data) {
            if !self.off {
                self.take(event, from, data, &mut found);
            }
        }
        self.walker = walker;
        if self.off {
            return found;
        }
        if self.header_is_too_long(self.walker.offset()) {
            self.turn_off(NotFragments::HeaderTooLong, &mut found);
            return found;
        }
        if let Some(collecting) = &mut self.collecting {
            collecting.extend_from_slice(data);
        }
        self.end_if_whole(&mut found);
        found
    }

    /// Whether there is no header yet, so far into the stream.
    fn header_is_too_long(&self, offset: u64) -> bool {
        self.collecting.is_some() && offset > HEADER_MAX as u64
    }

    fn turn_off(&mut self, reason: NotFragments, found: &mut Vec<Found>) {
        self.off = true;
        (self.collecting, self.pending) = (None, None);
        found.push(Found::Off(reason));
    }

    fn take(&mut self, event: Event, from: u64, data: &[u8], found: &mut Vec<Found>) {
        match event {
            Event::Start(head) => self.start(&head, found),
            Event::Kept(head, bytes) => match &head.kind.0 {
                b"ftyp" => self.ftyp = bytes,
                b"moov" => self.take_moov(&head, &bytes, from, data, found),
                b"moof" => self.take_moof(&head, &bytes, found),
                b"prft" => self.wall = wall_clock(&bytes),
                _ => {}
            },
            Event::Off { reason, offset } => {
                self.end_pending(found);
                let too_long = self.header_is_too_long(offset);
                let reason = if too_long { NotFragments::HeaderTooLong } else { NotFragments::Boxes(reason) };
                self.turn_off(reason, found);
            }
        }
    }

    /// Takes note of a box that begins.
    fn start(&mut self, head: &BoxHead, found: &mut Vec<Found>) {
        self.end_if_whole_at(head.offset, found);
        if self.header_is_too_long(head.offset) {
            return self.turn_off(NotFragments::HeaderTooLong, found);
        }
        match &head.kind.0 {
            b"mdat" => {
                if self.movie.is_none() {
                    return self.turn_off(NotFragments::NotFragmented, found);
                }
                if let Some(pending) = &mut self.pending {
                    pending.has_data = true;
                    match head.end() {
                        Some(end) => pending.so_far = end,
                        // It never ends.
                        None => self.pending = None,
                    }
                }
                (self.lead, self.wall) = (None, None);
                return;
            }
            b"moof" => {
                self.end_pending(found);
                if self.movie.is_none() {
                    return self.turn_off(NotFragments::NotFragmented, found);
                }
                if head.content_len().is_none_or(|len| len > WHOLE_MAX as u64) {
                    self.turn_off(NotFragments::MoofTooLong, found);
                }
                return;
            }
            b"styp" | b"sidx" | b"prft" | b"emsg" => {
                self.end_pending(found);
                self.lead.get_or_insert(head.offset);
                return;
            }
            b"moov" if head.content_len().is_none_or(|len| len > WHOLE_MAX as u64) => {
                return self.turn_off(NotFragments::HeaderTooLong, found);
            }
            _ => {}
        }
        self.end_pending(found);
        (self.lead, self.wall) = (None, None);
    }

    fn take_moov(&mut self, head: &BoxHead, body: &Bytes, from: u64, data: &[u8], found: &mut Vec<Found>) {
        let end = head.end().unwrap_or(u64::MAX);
        let bytes = match self.collecting.take() {
            Some(mut collected) => {
                let here = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
                collected.extend_from_slice(data.get(..here).unwrap_or(data));
                collected
            }
            // A later header, without what may be between its two boxes.
            None => [boxed(*b"ftyp", &self.ftyp), boxed(*b"moov", body)].concat(),
        };
        if bytes.len() > HEADER_MAX {
            return self.turn_off(NotFragments::HeaderTooLong, found);
        }
        let Some(movie) = Movie::parse(&bytes) else {
            return self.turn_off(NotFragments::NoTrack, found);
        };
        if !movie.fragmented {
            return self.turn_off(NotFragments::NotFragmented, found);
        }
        if movie.has_samples {
            return self.turn_off(NotFragments::SamplesInMoov, found);
        }
        let movie = Arc::new(movie);
        self.movie = Some(movie.clone());
        // Where the stream does not tell its times, it begins at zero.
        self.next = movie.tracks.iter().map(|track| (track.id, 0)).collect();
        found.push(Found::Header(Arc::new(Header { bytes: Bytes::from(bytes), movie, end })));
    }

    fn take_moof(&mut self, head: &BoxHead, body: &Bytes, found: &mut Vec<Found>) {
        let (Some(movie), Some(end)) = (self.movie.clone(), head.end()) else { return };
        let next = |track: u32| self.next.iter().find(|(id, _)| *id == track).map(|(_, next)| *next);
        let Some(moof) = Moof::parse(body, head.offset, end, &movie, next) else {
            return self.turn_off(NotFragments::BadMoof, found);
        };
        for run in &moof.runs {
            let after = run.decode.saturating_add(run.duration);
            match self.next.iter_mut().find(|(id, _)| *id == run.track) {
                Some((_, next)) => *next = after,
                None => self.next.push((run.track, after)),
            }
        }
        let main = movie.main().map(|track| track.id);
        let fragment = Fragment {
            first: self.lead.take().unwrap_or(head.offset),
            moof: head.offset,
            moof_end: end,
            end: None,
            data_end: moof.data_end,
            sequence: moof.sequence,
            key: moof.runs.iter().any(|run| Some(run.track) == main && run.sync),
            runs: moof.runs,
            base: moof.base,
            timed: moof.timed,
            wall: self.wall.take(),
        };
        found.push(Found::Begun(fragment.clone()));
        self.pending = Some(Pending { fragment, so_far: end, has_data: false });
    }

    /// Ends the fragment if its data are all there, at the end of what was fed.
    fn end_if_whole(&mut self, found: &mut Vec<Found>) {
        self.end_if_whole_at(self.walker.offset(), found);
    }

    fn end_if_whole_at(&mut self, offset: u64, found: &mut Vec<Found>) {
        let whole = self.pending.as_ref().is_some_and(|pending| {
            let covered = pending.fragment.data_end.is_none_or(|end| end <= pending.so_far);
            pending.has_data && covered && offset >= pending.so_far
        });
        if whole {
            self.end_pending(found);
        }
    }

    fn end_pending(&mut self, found: &mut Vec<Found>) {
        if let Some(Pending { mut fragment, so_far, .. }) = self.pending.take() {
            fragment.end = Some(so_far);
            found.push(Found::Ended(fragment));
        }
    }
}

/// A box out of its contents, which are at most a few MiB.
fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(0);
    [&size.to_be_bytes()[..], &kind, body].concat()
}

fn wall_clock(prft: &[u8]) -> Option<WallClock> {
    let media_time = if byte(prft, 0)? == 0 { word(prft, 16).map(u64::from) } else { long(prft, 16) };
    Some(WallClock { track: word(prft, 4)?, ntp: long(prft, 8)?, media_time: media_time? })
}

/// Where the first fragment of `movie` begins in bytes from the middle of a stream, the first of which is at `from`: its
/// `moof` and the header of the box after it are all there, and both make sense.
///
/// The bytes of a picture can look like a box by accident, but hardly like one with a sane size, an `mfhd` and a track of
/// this movie in it, and a box right after it.
#[must_use]
pub fn find_moof(bytes: &[u8], from: u64, movie: &Movie) -> Option<u64> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let place = at + rest.windows(4).position(|window| window == b"moof")?;
        if let Some(start) = place.checked_sub(4)
            && is_moof(bytes.get(start..)?, from.saturating_add(start as u64), movie)
        {
            return Some(from.saturating_add(start as u64));
        }
        at = place + 1;
    }
    None
}

fn is_moof(bytes: &[u8], offset: u64, movie: &Movie) -> bool {
    let size = match word(bytes, 0) {
        Some(size @ 24..) => usize::try_from(size).ok().filter(|size| *size <= WHOLE_MAX),
        _ => None,
    };
    let Some(size) = size else { return false };
    let Some(body) = bytes.get(8..size) else { return false };
    if body.get(4..8) != Some(b"mfhd") {
        return false;
    }
    let parsed = Moof::parse(body, offset, offset.saturating_add(size as u64), movie, |_| None);
    let known = parsed.is_some_and(|moof| !moof.runs.is_empty());
    let next = bytes.get(size..).and_then(|next| Some((word(next, 0)?, FourCc(*next.get(4..)?.first_chunk()?))));
    known
        && next.is_some_and(|(size, kind)| match &kind.0 {
            b"mdat" => size != 0 && (size == 1 || size >= 8),
            b"moof" | b"styp" | b"sidx" | b"prft" | b"emsg" | b"free" | b"uuid" => size >= 8,
            _ => false,
        })
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
pub(crate) mod tests;
