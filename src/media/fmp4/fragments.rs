//! The header and the fragments of a fragmented MP4, one after another, as its bytes come in: the one scan from which all
//! who look at a stream learn what is in it.
//!
//! A fragment is a `moof` with the `mdat` after it, and the boxes before it that belong to it (`styp`, `sidx`, `prft`,
//! `emsg`). It is told of twice: as soon as its `moof` is whole, which is when its times are known, and when its last byte
//! is there. What is found depends only on the bytes, not on how they were sliced. Memory is bounded by
//! [`HEADER_MAX`] while there is no header yet, and by the longest `moof` after that
//! ([`WHOLE_MAX`]).

use std::sync::Arc;

use bytes::Bytes;

use super::boxes::{BoxHead, BoxWalker, Event, FourCc, WHOLE_MAX, Wish};
use super::fields::{byte, long, word};
use super::found::{ANEW, Found, Fragment, HEADER_MAX, Header, NotFragments, WallClock};
use super::inspect::{Finding, Inspector, OBS_PLACEHOLDER};
use super::moof::Moof;
use super::movie::Movie;

/// Finds the header and the fragments in a stream that is fed to it slice by slice; see the [module](self).
#[derive(Debug)]
pub struct Scanner {
    walker: BoxWalker,
    off: bool,
    inspector: Option<Inspector>,
    /// What the stream is, until it has been told.
    finding: Option<Finding>,
    /// The header that is coming; `None` once it is whole.
    collecting: Option<Collect>,
    movie: Option<Arc<Movie>>,
    /// A fragment has come since the header.
    fragments: bool,
    /// Decode times of the tracks' next samples.
    next: Vec<(u32, u64)>,
    /// Where the boxes begin that belong to the fragment to come.
    lead: Option<u64>,
    wall: Option<WallClock>,
    /// Another encoder goes on with the fragment to come.
    anew: bool,
    /// The fragment begun last, until it has ended.
    pending: Option<Pending>,
}

/// A header that is coming.
#[derive(Debug, Default)]
struct Collect {
    bytes: Vec<u8>,
    /// Where it begins.
    first: u64,
    /// Where its next byte is.
    next: u64,
}

impl Collect {
    /// Begins with a box of which the header has come.
    fn at(head: &BoxHead) -> Self {
        let short = if head.header_len > 8 { 1 } else { head.size.unwrap_or(0) };
        let mut bytes = u32::try_from(short).unwrap_or(1).to_be_bytes().to_vec();
        bytes.extend_from_slice(&head.kind.0);
        if head.header_len > 8 {
            bytes.extend_from_slice(&head.size.unwrap_or(0).to_be_bytes());
        }
        Self { next: head.offset + bytes.len() as u64, first: head.offset, bytes }
    }

    /// Takes what of `data`, which begins at `from`, lies before `end`.
    fn take(&mut self, from: u64, data: &[u8], end: u64) {
        let place = |offset: u64| usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX).min(data.len());
        if let Some(news) = data.get(place(self.next)..place(end)) {
            self.bytes.extend_from_slice(news);
            self.next += news.len() as u64;
        }
    }
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

/// Bytes of an event box that are looked at: its fields and what it is.
const EVENT: usize = 24 + ANEW.len();

fn wish(head: &BoxHead) -> Wish {
    match &head.kind.0 {
        b"moov" | b"moof" => Wish::Whole,
        b"prft" => Wish::Keep(32),
        b"emsg" => Wish::Keep(EVENT),
        b"free" | b"wide" if head.size == Some(OBS_PLACEHOLDER) => Wish::Keep(16),
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
            inspector: None,
            finding: None,
            collecting: Some(Collect::default()),
            movie: None,
            fragments: false,
            next: Vec::new(),
            lead: None,
            wall: None,
            anew: false,
            pending: None,
        }
    }

    /// At the start of a stream of which it also tells [what it is](Self::finding).
    #[must_use]
    pub fn inspecting() -> Self {
        Self { inspector: Some(Inspector::default()), ..Self::new() }
    }

    /// At byte `at` of a stream, where another begins with a header of its own.
    #[must_use]
    pub fn beginning_at(at: u64) -> Self {
        let collecting = Some(Collect { first: at, next: at, ..Collect::default() });
        Self { walker: BoxWalker::starting_at(wish, at), collecting, ..Self::new() }
    }

    /// In the middle of a stream whose header says `movie`, where a box of the top level begins at byte `at`.
    #[must_use]
    pub fn starting_at(movie: Arc<Movie>, at: u64) -> Self {
        let walker = BoxWalker::starting_at(wish, at);
        Self { walker, collecting: None, movie: Some(movie), fragments: true, ..Self::new() }
    }

    /// Where the next byte to be fed is, in bytes from the start of the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.walker.offset()
    }

    /// Passes over those of the next bytes, before byte `to`, that are of no interest whatever they are, which are those of
    /// pictures and sound: at most 1 MiB at once. Gives how many, and what they complete; none where the next byte is needed.
    pub fn pass_over(&mut self, to: u64) -> Option<(u64, Vec<Found>)> {
        let zeros = if self.collecting.is_some() { &[] } else { self.walker.stand_in(to) };
        (!zeros.is_empty()).then(|| (zeros.len() as u64, self.feed(zeros)))
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// What the stream turned out to be; told once, and only by one that is [inspecting](Self::inspecting).
    pub fn finding(&mut self) -> Option<Finding> {
        self.finding.take()
    }

    /// Up to where all beginnings of fragments have been found.
    #[must_use]
    pub fn decided(&self) -> u64 {
        if self.off {
            return self.offset();
        }
        let moof = || self.walker.keeping().filter(|head| head.kind == FourCc::MOOF).map(|head| head.offset);
        self.lead.or_else(moof).or_else(|| self.walker.header_begun()).unwrap_or(self.offset())
    }

    /// Up to where all [`fields`](Fragment::fields) have been found.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let moof = self.walker.keeping().filter(|head| !self.off && head.kind == FourCc::MOOF);
        moof.map_or(self.offset(), |head| head.offset + u64::from(head.header_len))
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
            if let Some(finding) = self.inspector.as_mut().and_then(|inspector| inspector.add(&event)) {
                (self.inspector, self.finding) = (None, Some(finding));
            }
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
            collecting.take(from, data, u64::MAX);
        }
        self.end_if_whole(&mut found);
        found
    }

    /// Whether the header that is coming is not whole by `offset`, and too long.
    fn header_is_too_long(&self, offset: u64) -> bool {
        self.collecting.as_ref().is_some_and(|collecting| offset.saturating_sub(collecting.first) > HEADER_MAX as u64)
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
                b"moov" => self.take_moov(&head, from, data, found),
                b"moof" => self.take_moof(&head, &bytes, found),
                b"prft" => self.wall = wall_clock(&bytes),
                b"emsg" if tells_anew(&bytes) => self.anew = true,
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
        if matches!(&head.kind.0, b"ftyp" | b"moov") && self.collecting.is_none() {
            self.collecting = Some(Collect::at(head));
        }
        match &head.kind.0 {
            b"mdat" => {
                if self.movie.is_none() {
                    return self.turn_off(NotFragments::NotFragmented, found);
                }
                self.collecting = None;
                if !self.fragments {
                    found.push(Found::Bare);
                }
                if let Some(pending) = &mut self.pending {
                    pending.has_data = true;
                    match head.end() {
                        Some(end) => pending.so_far = end,
                        // It never ends.
                        None => self.pending = None,
                    }
                }
                (self.lead, self.wall, self.anew) = (None, None, false);
                return;
            }
            b"moof" => {
                self.end_pending(found);
                if self.movie.is_none() {
                    return self.turn_off(NotFragments::NotFragmented, found);
                }
                // An `ftyp` without a `moov` before this fragment is no header.
                (self.collecting, self.fragments) = (None, true);
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
        (self.lead, self.wall, self.anew) = (None, None, false);
    }

    fn take_moov(&mut self, head: &BoxHead, from: u64, data: &[u8], found: &mut Vec<Found>) {
        let end = head.end().unwrap_or(u64::MAX);
        // It is always there: the start of this `moov` has begun one where there was none.
        let mut header = self.collecting.take().unwrap_or_default();
        header.take(from, data, end);
        let bytes = header.bytes;
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
        (self.movie, self.fragments) = (Some(movie.clone()), false);
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
            anew: std::mem::take(&mut self.anew),
            fields: moof.fields,
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

pub(super) fn tells_anew(emsg: &[u8]) -> bool {
    byte(emsg, 0) == Some(1) && emsg.get(24..).is_some_and(|rest| rest.starts_with(ANEW))
}

pub(super) fn wall_clock(prft: &[u8]) -> Option<WallClock> {
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
