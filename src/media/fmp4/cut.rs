//! Where a fragmented MP4 stream can be cut so that each piece plays by itself, given the stream's header again.
//!
//! A piece can begin with a fragment that starts with a sync sample of the video track (ISO/IEC 14496-12, 8.8); without
//! a video track every fragment will do. The boxes that describe a fragment from before its `moof` (`styp`, `sidx`,
//! `prft`, `emsg`) belong to it. The header is all from the `ftyp` to the end of the `moov`.
//!
//! Some streams tell where samples are by their place in the whole stream (base-data-offset). In a piece that place is
//! another one, so [`Cutter::fields`] names the fields and [`shift`] moves them, there and back.
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
pub enum Kind {
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
    kind: Kind,
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
    movie: Movie,
    header: Bytes,
    collecting: Option<Collect>,
    /// Where the contents of a `tfhd` begin that are not all there.
    tfhd: Option<u64>,
    /// Where there are places in the whole stream, each in eight bytes.
    fields: Vec<u64>,
}

/// A fragment of which it is not known yet whether it can begin a piece.
#[derive(Debug)]
struct Moof {
    first: u64,
    end: u64,
    track: Option<Fragment>,
}

/// What a `tfhd` says.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    video: bool,
    flags: u32,
}

/// What the `moov` says.
#[derive(Debug, Default)]
struct Movie {
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
            kind: Kind::Unknown,
            reason: None,
            offset: 0,
            top_end: Some(0),
            lead: None,
            moof: None,
            fragments: false,
            movie: Movie::default(),
            header: Bytes::new(),
            collecting: Some(Collect::default()),
            tfhd: None,
            fields: Vec::new(),
        }
    }
}

/// Moves the place in the whole stream that is in `field` back by `by` bytes; by a negative number, forth.
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
        if self.kind != Kind::Plain {
            let from = self.offset;
            let mut walker = std::mem::take(&mut self.walker);
            for event in walker.feed(data) {
                if self.kind != Kind::Plain {
                    self.take(event, from, data, &mut found);
                }
            }
            self.walker = walker;
            self.collect(from, data, u64::MAX);
        }
        self.offset += data.len() as u64;
        if self.moof.as_ref().is_some_and(|moof| self.offset >= moof.end) {
            // It is over and had no sample of the video track.
            self.moof = None;
        }
        if self.offset.saturating_sub(self.undecided()) > UNDECIDED_MAX as u64 {
            (self.lead, self.moof) = (None, None);
        }
        found
    }

    /// Up to where the bytes fed so far are free of places for a cut that may still turn up.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.undecided().min(self.offset)
    }

    /// What the stream is, as far as is known.
    #[must_use]
    pub fn kind(&self) -> Kind {
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

    /// Offsets of the places in the whole stream that were found since the last call; none is before what was
    /// [`settled`](Self::settled) by then.
    pub fn fields(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.fields)
    }

    /// Up to where the bytes fed so far are free of such places that may still turn up.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.tfhd.unwrap_or(self.offset)
    }

    fn undecided(&self) -> u64 {
        self.unplaced().min(self.settled())
    }

    /// Where a place for a cut may still turn up.
    fn unplaced(&self) -> u64 {
        match (self.kind, &self.moof, self.lead, self.top_end) {
            (Kind::Unknown | Kind::Plain, ..) | (_, None, None, None) => self.offset,
            (_, Some(moof), ..) => moof.first,
            (_, None, Some(lead), _) => lead,
            // Perhaps a part of a box's header.
            (_, None, None, Some(end)) => end,
        }
    }

    fn plain(&mut self, reason: Option<&'static str>) {
        self.kind = Kind::Plain;
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
                    if field && bytes.len() >= 16 && self.kind == Kind::Fragmented {
                        self.fields.push(head.offset + u64::from(head.header_len) + 8);
                    }
                    self.take_tfhd(&bytes, found);
                }
                b"trun" => self.take_trun(&bytes, found),
                _ => {}
            },
            Event::Off { .. } => {
                let broken = "its boxes are broken";
                self.plain((self.kind == Kind::Fragmented).then_some(broken));
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
                self.movie = Movie::default();
                self.fragments = false;
                match (head.end(), &mut self.collecting) {
                    (Some(end), Some(collecting)) => collecting.end = Some(end),
                    _ => self.plain(None),
                }
            }
            b"moof" if self.kind == Kind::Fragmented => {
                let first = self.lead.unwrap_or(head.offset);
                self.fragments = true;
                // A header that its `moov` did not follow is none.
                self.collecting = None;
                match head.end() {
                    Some(end) => self.moof = Some(Moof { first, end, track: None }),
                    None => self.plain(Some("its boxes are broken")),
                }
            }
            b"moof" => self.plain(None),
            b"mdat" if self.kind == Kind::Unknown => self.plain(None),
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
        moof.track = Some(Fragment { video, flags: own.unwrap_or_else(default) });
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
        if self.kind == Kind::Plain || to <= collecting.next {
            return self.close_header();
        }
        let place = |offset: u64| usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX);
        let news = data.get(place(collecting.next)..place(to)).unwrap_or_default();
        if collecting.bytes.len() + news.len() > HEADER_MAX {
            // Of something that is not MP4 at all this is no news.
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
            self.kind = Kind::Fragmented;
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::fmp4::{bx, words};

    const KEY: u32 = 0x0200_0000;
    const OTHER: u32 = 0x0101_0000;
    const VIDEO: u32 = 1;
    const AUDIO: u32 = 2;

    fn trak(id: u32, handler: [u8; 4]) -> Vec<u8> {
        let hdlr = bx(*b"hdlr", &[vec![0; 8], handler.to_vec(), vec![0; 13]]);
        let tkhd = words(*b"tkhd", &[7, 0, 0, id, 0, 0, 0]);
        bx(*b"trak", &[tkhd, bx(*b"mdia", &[words(*b"mdhd", &[0; 5]), hdlr])])
    }

    /// A header; its video samples are by default no sync samples.
    fn header(video: bool) -> Vec<u8> {
        let trex = |id, flags| words(*b"trex", &[0, id, 1, 0, 0, flags]);
        let mut parts = vec![bx(*b"mvhd", &[vec![0; 100]])];
        if video {
            parts.push(trak(VIDEO, *b"vide"));
        }
        parts.push(trak(AUDIO, *b"soun"));
        parts.push(bx(*b"mvex", &[trex(VIDEO, OTHER), trex(AUDIO, KEY)]));
        [bx(*b"ftyp", &[b"isom\0\0\x02\0isomiso6".to_vec()]), bx(*b"moov", &parts)].concat()
    }

    /// How a fragment says whether its first sample is a sync sample.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Says {
        First,
        Each,
        Default,
        Movie,
    }

    fn traf(track: u32, flags: u32, says: Says) -> Vec<u8> {
        let (tfhd, trun) = match says {
            Says::First => (vec![0x02_0038, track, 1, 2, OTHER], vec![0x205, 2, 100, flags, 7, 8]),
            Says::Each => (vec![0x02_0000, track], vec![0xf01, 2, 100, 1, 2, flags, 3, 1, 2, OTHER, 3]),
            Says::Default => (vec![0x02_002a, track, 1, 9, flags], vec![0x201, 2, 100, 7, 8]),
            Says::Movie => (vec![0x02_0000, track], vec![0x201, 2, 100, 7, 8]),
        };
        bx(*b"traf", &[words(*b"tfhd", &tfhd), words(*b"tfdt", &[0, 1]), words(*b"trun", &trun)])
    }

    fn moof(trafs: &[Vec<u8>]) -> Vec<u8> {
        bx(*b"moof", &[vec![words(*b"mfhd", &[0, 1])], trafs.to_vec()].concat())
    }

    fn mdat(len: usize) -> Vec<u8> {
        bx(*b"mdat", &[vec![0xab; len]])
    }

    /// A stream out of pieces, and where those begin that are places for a cut.
    fn stream(pieces: &[(bool, Vec<u8>)]) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for (place, piece) in pieces {
            if *place {
                places.push(bytes.len() as u64);
            }
            bytes.extend_from_slice(piece);
        }
        (bytes, places)
    }

    fn sample() -> (Vec<u8>, Vec<u64>) {
        let audio = || traf(AUDIO, KEY, Says::Movie);
        let lead = [bx(*b"styp", &[b"msdh\0\0\0\0msix".to_vec()]), words(*b"sidx", &[0; 11])].concat();
        let emsg = bx(*b"emsg", &[vec![3; 40]]);
        stream(&[
            (false, header(true)),
            (true, [moof(&[traf(VIDEO, KEY, Says::First), audio()]), mdat(50)].concat()),
            (false, [moof(&[traf(VIDEO, OTHER, Says::First), audio()]), mdat(50)].concat()),
            (true, [lead, moof(&[audio(), traf(VIDEO, KEY, Says::Each)]), mdat(9)].concat()),
            (false, [moof(&[audio()]), mdat(9)].concat()),
            (false, [emsg.clone(), moof(&[traf(VIDEO, OTHER, Says::Each)]), mdat(0)].concat()),
            (false, [moof(&[traf(VIDEO, KEY, Says::Movie)]), mdat(1)].concat()),
            (true, [emsg, moof(&[traf(VIDEO, KEY, Says::Default)]), mdat(1)].concat()),
            (false, [moof(&[traf(VIDEO, OTHER, Says::Default)]), mdat(300)].concat()),
            (true, [moof(&[traf(VIDEO, KEY, Says::First)]), mdat(5)].concat()),
            (false, bx(*b"mfra", &[vec![0; 30]])),
        ])
    }

    /// Cuts a stream that comes in these slices at each place that is found, as the writer does.
    fn cut<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Cutter) {
        let (mut cutter, mut pieces, mut held, mut base) = (Cutter::default(), vec![Vec::new()], Vec::new(), 0);
        for slice in slices {
            let found = cutter.feed(slice);
            held.extend_from_slice(slice);
            let place = |offset: u64| usize::try_from(offset - base).unwrap();
            let mut from = 0;
            for boundary in found {
                let at = place(boundary.at);
                pieces.last_mut().unwrap().extend_from_slice(&held[from..at]);
                pieces.push(Vec::new());
                from = at;
                assert_eq!(boundary.header, cutter.header());
            }
            let to = place(cutter.decided());
            pieces.last_mut().unwrap().extend_from_slice(&held[from..to]);
            held.drain(..to);
            base += to as u64;
        }
        pieces.last_mut().unwrap().extend_from_slice(&held);
        (pieces, cutter)
    }

    fn starts(pieces: &[Vec<u8>]) -> Vec<u64> {
        let ends = pieces.iter().scan(0, |at, piece| {
            *at += piece.len() as u64;
            Some(*at)
        });
        ends.take(pieces.len() - 1).collect()
    }

    #[test]
    fn key_frames_are_found_however_they_are_told_and_at_every_slicing() {
        let (bytes, places) = sample();
        let (whole, cutter) = cut([&bytes[..]]);
        assert_eq!(starts(&whole), places);
        assert_eq!(cutter.header(), header(true));
        assert_eq!(cutter.kind(), Kind::Fragmented);
        for slice in 1..bytes.len() {
            assert_eq!(cut(bytes.chunks(slice)).0, whole, "slices of {slice}");
        }
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(cut([a, b]).0, whole, "cut at {at}");
        }
    }

    #[test]
    fn without_video_every_fragment_will_do() {
        let fragment = || [moof(&[traf(AUDIO, KEY, Says::Movie)]), mdat(20)].concat();
        let (bytes, places) = stream(&[(false, header(false)), (true, fragment()), (true, fragment())]);
        for slice in 1..bytes.len() {
            assert_eq!(starts(&cut(bytes.chunks(slice)).0), places, "slices of {slice}");
        }
    }

    #[test]
    fn a_second_header_takes_the_place_of_the_first() {
        let (audio, video) = (header(false), header(true));
        let first = [moof(&[traf(AUDIO, KEY, Says::Movie)]), mdat(20)].concat();
        let second = [moof(&[traf(VIDEO, KEY, Says::First)]), mdat(20)].concat();
        let (bytes, places) =
            stream(&[(false, audio), (true, first.clone()), (true, first), (false, video.clone()), (true, second)]);
        for slice in 1..bytes.len() {
            let mut cutter = Cutter::default();
            let found: Vec<Boundary> = bytes.chunks(slice).flat_map(|slice| cutter.feed(slice)).collect();
            assert_eq!(found.iter().map(|found| found.at).collect::<Vec<_>>(), places, "slices of {slice}");
            assert_eq!(found.last().unwrap().header, video);
            assert_eq!(found[0].header, header(false));
        }
    }

    #[test]
    fn what_cannot_be_cut_is_plain_and_all_of_it_decided() {
        let good = || [moof(&[traf(VIDEO, KEY, Says::First)]), mdat(20)].concat();
        let no_mvex = [bx(*b"ftyp", &[]), bx(*b"moov", &[trak(VIDEO, *b"vide")])].concat();
        for (told, bytes) in [
            (false, b"any text at all, which is no MP4".to_vec()),
            (false, [no_mvex, mdat(100)].concat()),
            (false, [bx(*b"ftyp", &[]), mdat(100)].concat()),
            (false, good()),
            (true, [header(true), mdat(100), good()].concat()),
            (true, [header(true), good(), vec![0; 100]].concat()),
            (true, [bx(*b"ftyp", &[]), bx(*b"moov", &[bx(*b"free", &[vec![0; HEADER_MAX]])])].concat()),
        ] {
            let slices = if bytes.len() > HEADER_MAX { 1_000_000 } else { 5 };
            let (pieces, mut cutter) = cut(bytes.chunks(slices));
            assert_eq!(cutter.kind(), Kind::Plain);
            assert_eq!(cutter.decided(), bytes.len() as u64);
            assert_eq!(cutter.reason().is_some(), told);
            assert_eq!(pieces.concat(), bytes);
        }
    }

    #[test]
    fn places_in_the_whole_stream_are_found_at_every_slicing_and_move_there_and_back() {
        let absolute = |place: u32| {
            let tfhd = words(*b"tfhd", &[0x21, VIDEO, 0, place, KEY]);
            [moof(&[bx(*b"traf", &[tfhd, words(*b"trun", &[0, 1])]), traf(AUDIO, KEY, Says::Movie)]), mdat(9)].concat()
        };
        let bytes = [header(true), absolute(7_000_001), absolute(7_000_002)].concat();
        let at: Vec<u64> = (0..bytes.len() as u64)
            .filter(|at| {
                matches!(
                    bytes.get(usize::try_from(*at).unwrap()..).unwrap(),
                    [0, 0, 0, 0, 0, 0x6a, 0xcf, 0xc1 | 0xc2, ..]
                )
            })
            .collect();
        assert_eq!(at.len(), 2);
        for slice in 1..bytes.len() {
            let (mut cutter, mut found, mut before) = (Cutter::default(), Vec::new(), 0);
            for slice in bytes.chunks(slice) {
                cutter.feed(slice);
                for field in cutter.fields() {
                    assert!(field >= before, "{field} was settled");
                    found.push(field);
                }
                assert!(cutter.decided() <= cutter.settled());
                before = cutter.settled();
            }
            assert_eq!(found, at, "slices of {slice}");
            assert_eq!(before, bytes.len() as u64);
        }
        let mut field = 7_000_001_u64.to_be_bytes();
        shift(&mut field, 7_000_000);
        assert_eq!(field, 1_u64.to_be_bytes());
        shift(&mut field, -7_000_000);
        assert_eq!(field, 7_000_001_u64.to_be_bytes());
    }

    #[test]
    fn what_is_undecided_is_bounded() {
        let lead = bx(*b"emsg", &[vec![0; 3 * UNDECIDED_MAX]]);
        let bytes = [header(true), lead, moof(&[traf(VIDEO, KEY, Says::First)])].concat();
        let mut cutter = Cutter::default();
        let mut fed = 0;
        for slice in bytes.chunks(1000) {
            cutter.feed(slice);
            fed += slice.len() as u64;
            assert!(fed - cutter.decided() <= UNDECIDED_MAX as u64);
        }
    }

    proptest! {
        #[test]
        fn slicing_never_matters(cuts in prop::collection::vec(0usize..4000, 0..12)) {
            let (bytes, places) = sample();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut from = 0;
            let slices: Vec<&[u8]> = cuts.into_iter().map(|cut| &bytes[std::mem::replace(&mut from, cut)..cut]).collect();
            prop_assert_eq!(starts(&cut(slices).0), places);
        }

        #[test]
        fn damaged_streams_lose_no_byte_however_sliced(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            slice in 1usize..200,
        ) {
            let (mut bytes, _) = sample();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let (pieces, cutter) = cut(bytes.chunks(slice));
            prop_assert_eq!(pieces.concat(), bytes.clone());
            prop_assert!(cutter.decided() <= bytes.len() as u64);
        }
    }
}
