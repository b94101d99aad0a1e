//! Where a fragmented MP4 stream can be cut so that each piece plays by itself, given the stream's header again.
//!
//! A piece can begin with a fragment that starts with a sync sample of the video track (ISO/IEC 14496-12, 8.8); without
//! a video track every fragment will do. The boxes that describe a fragment from before its `moof` (`styp`, `sidx`,
//! `prft`, `emsg`) belong to it. The header is all from the `ftyp` to the end of the `moov`.
//!
//! Some streams give the places of samples as offsets in the whole stream (base-data-offset). In a piece those offsets are
//! wrong, so [`Cutter::fields`] says where they are and [`shift`] corrects them, or undoes that.
//!
//! Whether a fragment is such a one is known some hundred bytes after its beginning, so a few bytes at the end of what
//! was fed can be undecided: see [`Cutter::decided`].

use bytes::Bytes;

use super::boxes::{BoxHead, BoxWalker, Event, FourCc, Wish};
use super::fields::word;

/// The longest header that is kept, in bytes.
pub const HEADER_MAX: usize = 4 << 20;

/// The most bytes of a fragment that are undecided; a fragment that has told nothing by then is no place for a cut.
pub const UNDECIDED_MAX: usize = 1 << 20;

/// `tfhd` flags: base-data-offset, sample-description-index, default duration, size and flags are present (8.8.7.1).
const BASE_DATA_OFFSET: u32 = 0x01;
const SAMPLE_DESCRIPTION: u32 = 0x02;
const DEFAULT_DURATION: u32 = 0x08;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;

/// `trun` flags: data-offset, first-sample-flags, and per sample duration, size and flags are present (8.8.8.1).
const DATA_OFFSET: u32 = 0x001;
const FIRST_FLAGS: u32 = 0x004;
const EACH_DURATION: u32 = 0x100;
const EACH_SIZE: u32 = 0x200;
const EACH_FLAGS: u32 = 0x400;

/// Sample flags: the sample is no sync sample (8.8.3.1).
const NON_SYNC: u32 = 0x01_0000;

/// A place where the stream can be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// Where the fragment begins, in bytes from the start of the stream.
    pub at: u64,
    /// What a piece that begins there has to begin with.
    pub header: Bytes,
}

/// What the stream is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Its header has not ended yet.
    Unknown,
    /// A fragmented MP4.
    Fragmented,
    /// Anything else, or one that cannot be cut so that its pieces play.
    Plain,
}

/// Finds the places where a stream can be cut, as it is fed in slices of any size; see the [module](self).
#[derive(Debug)]
pub struct Cutter {
    walker: BoxWalker,
    kind: StreamKind,
    /// Why a fragmented stream is taken as plain, until it has been told.
    reason: Option<&'static str>,
    offset: u64,
    /// Where the next box of the top level begins; `None` if the last one has no end.
    top_end: Option<u64>,
    /// Where the boxes begin that belong to the fragment to come.
    lead: Option<u64>,
    moof: Option<Moof>,
    /// Whether a fragment has come since the `moov`.
    fragments: bool,
    movie: Moov,
    header: Bytes,
    collecting: Option<Collect>,
    /// Where the contents of a `tfhd` begin that are not all there.
    tfhd: Option<u64>,
    /// Where the stream holds offsets in the whole stream, each in eight bytes.
    fields: Vec<u64>,
}

/// A fragment of which it is not known yet whether it can begin a piece.
#[derive(Debug)]
struct Moof {
    first: u64,
    end: u64,
    track: Option<TrackFragment>,
}

/// What a `tfhd` says.
#[derive(Debug, Clone, Copy)]
struct TrackFragment {
    video: bool,
    flags: u32,
}

/// What the `moov` says.
#[derive(Debug, Default)]
struct Moov {
    /// Track ids; the second says whether it is a video track.
    tracks: Vec<(u32, bool)>,
    /// Default sample flags by track id.
    defaults: Vec<(u32, u32)>,
    fragmented: bool,
}

/// A header that is being kept.
#[derive(Debug, Default)]
struct Collect {
    bytes: Vec<u8>,
    /// Where the next byte of it is in the stream.
    next: u64,
    /// Where it ends, once its `moov` has begun.
    end: Option<u64>,
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            walker: BoxWalker::new(wish),
            kind: StreamKind::Unknown,
            reason: None,
            offset: 0,
            top_end: Some(0),
            lead: None,
            moof: None,
            fragments: false,
            movie: Moov::default(),
            header: Bytes::new(),
            collecting: Some(Collect::default()),
            tfhd: None,
            fields: Vec::new(),
        }
    }
}

/// Subtracts `by` from the offset in the whole stream that `field` begins with.
pub fn shift(field: &mut [u8], by: i64) {
    if let Some(bytes) = field.first_chunk_mut::<8>() {
        *bytes = u64::from_be_bytes(*bytes).wrapping_sub(by.cast_unsigned()).to_be_bytes();
    }
}

/// What is looked into: the tracks in `moov`, and in `moof` what tells about first samples.
fn wish(head: &BoxHead) -> Wish {
    match (head.depth, &head.kind.0) {
        (0, b"moov" | b"moof") | (1, b"trak" | b"traf" | b"mvex") | (2, b"mdia") => Wish::Enter,
        (2, b"tkhd" | b"trex") => Wish::Keep(24),
        (2, b"tfhd") => Wish::Keep(28),
        (2, b"trun") => Wish::Keep(32),
        (3, b"hdlr") => Wish::Keep(12),
        _ => Wish::Skip,
    }
}

impl Cutter {
    /// Takes the next bytes of the stream; gives the places for a cut that are known now, by rising offset and none
    /// before what was [`decided`](Self::decided) earlier.
    pub fn feed(&mut self, data: &[u8]) -> Vec<Boundary> {
        let mut found = Vec::new();
        if self.kind != StreamKind::Plain {
            let from = self.offset;
            let mut walker = std::mem::take(&mut self.walker);
            for event in walker.feed(data) {
                if self.kind != StreamKind::Plain {
                    self.take(event, from, data, &mut found);
                }
            }
            self.walker = walker;
            self.collect(from, data, u64::MAX);
        }
        self.offset += data.len() as u64;
        if self.moof.as_ref().is_some_and(|moof| self.offset >= moof.end) {
            // It has ended without a sample of the video track.
            self.moof = None;
        }
        if self.offset.saturating_sub(self.undecided()) > UNDECIDED_MAX as u64 {
            (self.lead, self.moof) = (None, None);
        }
        found
    }

    /// Up to where all places for a cut, and all fields, have been found.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.undecided().min(self.offset)
    }

    /// What the stream is, as far as is known.
    #[must_use]
    pub fn kind(&self) -> StreamKind {
        self.kind
    }

    /// The newest header; empty before there is one.
    #[must_use]
    pub fn header(&self) -> Bytes {
        self.header.clone()
    }

    /// Why a fragmented stream cannot be cut so that its pieces play; told once.
    pub fn reason(&mut self) -> Option<&'static str> {
        self.reason.take()
    }

    /// Where such fields (offsets in the whole stream) were found since the last call; none lies before what was
    /// [`settled`](Self::settled) by then.
    pub fn fields(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.fields)
    }

    /// Up to where all such fields have been found.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.tfhd.unwrap_or(self.offset)
    }

    fn undecided(&self) -> u64 {
        self.unplaced().min(self.settled())
    }

    /// The earliest offset at which a place for a cut may still be found.
    fn unplaced(&self) -> u64 {
        match (self.kind, &self.moof, self.lead, self.top_end) {
            (StreamKind::Unknown | StreamKind::Plain, ..) | (_, None, None, None) => self.offset,
            (_, Some(moof), ..) => moof.first,
            (_, None, Some(lead), _) => lead,
            // Perhaps a part of a box's header.
            (_, None, None, Some(end)) => end,
        }
    }

    fn plain(&mut self, reason: Option<&'static str>) {
        self.kind = StreamKind::Plain;
        self.reason = reason;
        self.collecting = None;
        (self.lead, self.moof, self.tfhd) = (None, None, None);
    }

    fn take(&mut self, event: Event, from: u64, data: &[u8], found: &mut Vec<Boundary>) {
        match event {
            Event::Start(head) if head.depth == 0 => {
                self.moof = None;
                self.collect(from, data, head.offset);
                self.take_top(&head);
            }
            Event::Start(head) if head.depth == 1 && head.kind == FourCc::MVEX && self.moof.is_none() => {
                self.movie.fragmented = true;
            }
            Event::Start(head) if head.kind == FourCc::TFHD && head.depth == 2 => {
                self.tfhd = Some(head.offset + u64::from(head.header_len));
            }
            Event::Start(_) => {}
            Event::Kept(head, bytes) => match &head.kind.0 {
                b"tkhd" => {
                    let at = if bytes.first() == Some(&1) { 20 } else { 12 };
                    if let Some(id) = word(&bytes, at) {
                        self.movie.tracks.push((id, false));
                    }
                }
                b"hdlr" => {
                    if let Some((_, video)) = self.movie.tracks.last_mut() {
                        *video |= bytes.get(8..12) == Some(b"vide");
                    }
                }
                b"trex" => {
                    if let (Some(id), Some(flags)) = (word(&bytes, 4), word(&bytes, 20)) {
                        self.movie.defaults.push((id, flags));
                    }
                }
                b"tfhd" => {
                    self.tfhd = None;
                    let field = word(&bytes, 0).is_some_and(|flags| flags & BASE_DATA_OFFSET != 0);
                    if field && bytes.len() >= 16 && self.kind == StreamKind::Fragmented {
                        self.fields.push(head.offset + u64::from(head.header_len) + 8);
                    }
                    self.take_tfhd(&bytes, found);
                }
                b"trun" => self.take_trun(&bytes, found),
                _ => {}
            },
            Event::Off { .. } => {
                let broken = "its boxes are broken";
                self.plain((self.kind == StreamKind::Fragmented).then_some(broken));
            }
        }
    }

    fn take_top(&mut self, head: &BoxHead) {
        self.top_end = head.end();
        match &head.kind.0 {
            b"styp" | b"sidx" | b"prft" | b"emsg" => {
                self.lead.get_or_insert(head.offset);
                return;
            }
            b"ftyp" | b"moov" if self.collecting.is_none() => {
                let mut bytes = Vec::new();
                let short = head.size.map_or(0, |size| u32::try_from(size).unwrap_or(1));
                let short = if head.header_len > 8 { 1 } else { short };
                bytes.extend_from_slice(&short.to_be_bytes());
                bytes.extend_from_slice(&head.kind.0);
                if head.header_len > 8 {
                    bytes.extend_from_slice(&head.size.unwrap_or(0).to_be_bytes());
                }
                self.collecting = Some(Collect { next: head.offset + bytes.len() as u64, bytes, end: None });
            }
            _ => {}
        }
        match &head.kind.0 {
            b"moov" => {
                self.movie = Moov::default();
                self.fragments = false;
                match (head.end(), &mut self.collecting) {
                    (Some(end), Some(collecting)) => collecting.end = Some(end),
                    _ => self.plain(None),
                }
            }
            b"moof" if self.kind == StreamKind::Fragmented => {
                let first = self.lead.unwrap_or(head.offset);
                self.fragments = true;
                // An `ftyp` without a `moov` before this fragment is no header.
                self.collecting = None;
                match head.end() {
                    Some(end) => self.moof = Some(Moof { first, end, track: None }),
                    None => self.plain(Some("its boxes are broken")),
                }
            }
            b"moof" => self.plain(None),
            b"mdat" if self.kind == StreamKind::Unknown => self.plain(None),
            b"mdat" if !self.fragments => self.plain(Some(
                "its moov has samples of its own; with ffmpeg, add empty_moov and default_base_moof to -movflags",
            )),
            _ => {}
        }
        self.lead = None;
    }

    fn take_tfhd(&mut self, bytes: &Bytes, found: &mut Vec<Boundary>) {
        let (Some(flags), Some(id)) = (word(bytes, 0), word(bytes, 4)) else { return };
        let Some(moof) = &mut self.moof else { return };
        let own = word(bytes, default_flags_at(flags)).filter(|_| flags & DEFAULT_FLAGS != 0);
        let default = || self.movie.defaults.iter().find(|(track, _)| *track == id).map_or(0, |(_, flags)| *flags);
        let video = self.movie.tracks.iter().any(|(track, video)| *track == id && *video);
        moof.track = Some(TrackFragment { video, flags: own.unwrap_or_else(default) });
        if !self.movie.tracks.iter().any(|(_, video)| *video) {
            self.decide(true, found);
        }
    }

    fn take_trun(&mut self, bytes: &Bytes, found: &mut Vec<Boundary>) {
        let (Some(flags), Some(count)) = (word(bytes, 0), word(bytes, 4)) else { return };
        let Some(track) = self.moof.as_ref().and_then(|moof| moof.track) else { return };
        if !track.video || count == 0 {
            return;
        }
        let present = |flag: u32| if flags & flag != 0 { 4 } else { 0 };
        let first = 8 + present(DATA_OFFSET);
        let sample = if flags & FIRST_FLAGS != 0 {
            word(bytes, first)
        } else if flags & EACH_FLAGS != 0 {
            word(bytes, first + present(EACH_DURATION) + present(EACH_SIZE))
        } else {
            Some(track.flags)
        };
        self.decide(sample.is_some_and(|flags| flags & NON_SYNC == 0), found);
    }

    fn decide(&mut self, good: bool, found: &mut Vec<Boundary>) {
        if let Some(moof) = self.moof.take().filter(|_| good) {
            found.push(Boundary { at: moof.first, header: self.header.clone() });
        }
    }

    /// Keeps what of `data`, which begins at `from`, belongs to the header and is before `limit`.
    fn collect(&mut self, from: u64, data: &[u8], limit: u64) {
        let Some(collecting) = &mut self.collecting else { return };
        let to = collecting.end.unwrap_or(u64::MAX).min(from + data.len() as u64).min(limit);
        if self.kind == StreamKind::Plain || to <= collecting.next {
            return self.close_header();
        }
        let place = |offset: u64| usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX);
        let news = data.get(place(collecting.next)..place(to)).unwrap_or_default();
        if collecting.bytes.len() + news.len() > HEADER_MAX {
            // Say so only if a `moov` has begun: else it is no MP4 at all, and no warning is due.
            let is_mp4 = collecting.end.is_some();
            return self.plain(is_mp4.then_some("its header is too large to be kept"));
        }
        collecting.bytes.extend_from_slice(news);
        collecting.next = to;
        self.close_header();
    }

    /// The header is over when its last byte is there and what comes next can tell whether the movie is fragmented.
    fn close_header(&mut self) {
        let over = self.collecting.as_ref().is_some_and(|collecting| collecting.end == Some(collecting.next));
        if !over {
            return;
        }
        let bytes = self.collecting.take().map(|collecting| collecting.bytes).unwrap_or_default();
        if self.movie.fragmented {
            self.header = Bytes::from(bytes);
            self.kind = StreamKind::Fragmented;
        } else {
            self.plain(None);
        }
    }
}

/// Where the default sample flags are in a `tfhd`.
fn default_flags_at(flags: u32) -> usize {
    let present = |flag: u32, length: usize| if flags & flag != 0 { length } else { 0 };
    8 + present(BASE_DATA_OFFSET, 8)
        + present(SAMPLE_DESCRIPTION, 4)
        + present(DEFAULT_DURATION, 4)
        + present(DEFAULT_SIZE, 4)
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
