//! An incremental walk over the boxes of an ISO base media (MP4, QuickTime) stream.
//!
//! Only box headers are read (ISO/IEC 14496-12, 4.2); contents are passed over unread, unless the [`Wish`]
//! for a box asks to keep the beginning of its contents, or all of them, or to walk the boxes inside it. Whatever
//! sizes a stream claims, the walker holds a header of at most 16 bytes and one kept prefix of at most [`KEEP_MAX`]
//! bytes (or one whole box of at most [`WHOLE_MAX`]), and uses at least eight bytes of input for each box it reports.
//!
//! A stream that breaks the rules turns the walker off: it says so once, with the reason, and then takes
//! any further bytes at no cost.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Fed in place of what is passed over.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// The most bytes of one box's contents that can be kept.
pub const KEEP_MAX: usize = 4096;

/// How many boxes can be open inside one another; a [`Wish::Enter`] deeper than this is taken as
/// [`Wish::Skip`].
pub const DEPTH_MAX: usize = 8;

/// The most bytes of a box that is kept whole; a longer one is passed over unread.
pub const WHOLE_MAX: usize = 4 << 20;

/// Bytes of a header without a 64-bit size: `u32` size, then the type.
const SHORT_HEADER: u8 = 8;
/// Bytes of a header with a 64-bit size after the type.
const LONG_HEADER: u8 = 16;
/// The extended type that the contents of a `uuid` box begin with (ISO/IEC 14496-12, 4.2).
const USER_TYPE: u64 = 16;

/// The boxes a stream may begin with. Any four printable characters could be a box type, and a wrong guess
/// costs a walk through text or another container, so the first box has to be a known one.
const FIRST: [FourCc; 15] = [
    FourCc::FTYP,
    FourCc::STYP,
    FourCc::MOOV,
    FourCc::MOOF,
    FourCc::MDAT,
    FourCc::FREE,
    FourCc::SKIP,
    FourCc::WIDE,
    FourCc::UUID,
    FourCc::META,
    FourCc(*b"sidx"),
    FourCc(*b"emsg"),
    FourCc(*b"prft"),
    FourCc(*b"pdin"),
    FourCc(*b"pnot"),
];

/// A box type: four bytes, as a rule printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// File type and compatibility (4.3).
    pub const FTYP: Self = Self(*b"ftyp");
    /// Segment type (8.16.2).
    pub const STYP: Self = Self(*b"styp");
    /// The movie: track descriptions and, unless fragmented, the sample tables (8.2.1).
    pub const MOOV: Self = Self(*b"moov");
    /// In the movie: fragments follow (8.8.1).
    pub const MVEX: Self = Self(*b"mvex");
    /// A movie fragment (8.8.4).
    pub const MOOF: Self = Self(*b"moof");
    /// In a fragment: one track's part of it (8.8.6).
    pub const TRAF: Self = Self(*b"traf");
    /// In a track's part of a fragment: its header (8.8.7).
    pub const TFHD: Self = Self(*b"tfhd");
    /// Media data (8.1.1).
    pub const MDAT: Self = Self(*b"mdat");
    /// Free space (8.1.2).
    pub const FREE: Self = Self(*b"free");
    /// Free space, by its other name (8.1.2).
    pub const SKIP: Self = Self(*b"skip");
    /// Room left to turn the header of the `mdat` that follows into a long one (QuickTime File Format).
    pub const WIDE: Self = Self(*b"wide");
    /// Untimed metadata; at the top level also what image files (HEIF, AVIF) consist of (8.11.1).
    pub const META: Self = Self(*b"meta");
    /// A type given by the 16 bytes after the header (4.2).
    pub const UUID: Self = Self(*b"uuid");

    /// Whether these bytes can be a box type: printable ASCII, or the copyright sign of QuickTime types.
    fn is_plausible(self) -> bool {
        self.0.iter().all(|&b| matches!(b, 0x20..=0x7e | 0xa9))
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

/// The header of one box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxHead {
    /// The box type.
    pub kind: FourCc,
    /// Where the header begins, in bytes from the start of the stream.
    pub offset: u64,
    /// Length of the header in bytes: 8, or 16 with a 64-bit size. The extended type of a `uuid` box counts
    /// as contents.
    pub header_len: u8,
    /// Length of the box in bytes, header included; `None` if it reaches to the end of the stream (size 0,
    /// or a 64-bit size of 0, which a recorder has yet to fill in).
    pub size: Option<u64>,
    /// How many boxes this one is inside of: 0 at the top level.
    pub depth: u8,
}

impl BoxHead {
    /// Where the box ends, in bytes from the start of the stream; `None` if it reaches to the stream's end.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.size.and_then(|size| self.offset.checked_add(size))
    }

    /// Length in bytes of what is in the box, without its header; `None` if that reaches to the stream's end.
    #[must_use]
    pub fn content_len(&self) -> Option<u64> {
        self.size.map(|size| size.saturating_sub(u64::from(self.header_len)))
    }
}

/// What to do with the contents of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Pass over them unread.
    Skip,
    /// Walk the boxes inside; only for boxes that hold nothing but boxes.
    Enter,
    /// Keep this many bytes from their beginning (as many as there are, and at most [`KEEP_MAX`]).
    Keep(usize),
    /// Keep all of them, if they have an end and are at most [`WHOLE_MAX`]; else pass over them. Memory is taken as they
    /// come, not as the box claims.
    Whole,
}

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffReason {
    /// The first bytes are no box that such a stream begins with.
    UnknownStart,
    /// There are zeros where a box header should be: room that a recorder may mean to fill in later.
    Zeros,
    /// A box type has bytes that no type has.
    BadType,
    /// A box claims to be shorter than its own header.
    TooShort,
    /// A box claims to end beyond any possible length of a stream.
    TooLong,
    /// A box claims to end after the box it is inside of.
    Overrun,
    /// The boxes are those of something without a movie, such as a still image. Never from a [`BoxWalker`],
    /// which does not mind what the boxes are.
    NoMovie,
}

impl fmt::Display for OffReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownStart => "it does not begin with an MP4 box",
            Self::Zeros => "there are zeros where a box should begin",
            Self::BadType => "a box has an impossible type",
            Self::TooShort => "a box is shorter than its header",
            Self::TooLong => "a box is impossibly long",
            Self::Overrun => "a box reaches beyond the box around it",
            Self::NoMovie => "there is no movie in it",
        })
    }
}

/// One step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A box begins; its header is complete and its contents are still to come.
    Start(BoxHead),
    /// The asked-for beginning of a box's contents is complete. It belongs to the box started last.
    Kept(BoxHead, Bytes),
    /// The stream is invalid: nothing follows.
    Off {
        /// Where the offending header begins, in bytes from the start of the stream.
        offset: u64,
        /// What is wrong with it.
        reason: OffReason,
    },
}

/// What the next byte belongs to.
#[derive(Debug)]
enum State {
    /// A header.
    Header,
    /// Contents to pass over, this many bytes.
    Skip(u64),
    /// The box that has no end.
    ToEnd,
    /// Contents to keep, until there are `want` bytes.
    Keep { head: BoxHead, want: usize, got: BytesMut },
    /// Nothing any more.
    Off,
}

/// Walks the boxes of a stream that is fed to it slice by slice; see the [module](self).
///
/// Events depend only on the bytes, not on how they were sliced.
#[derive(Debug)]
pub struct BoxWalker {
    wish: fn(&BoxHead) -> Wish,
    state: State,
    /// Where the next byte is, in bytes from the start of the stream.
    offset: u64,
    header: [u8; LONG_HEADER as usize],
    /// How much of `header` is filled.
    have: u8,
    /// The ends of the boxes entered, outermost first; the first `depth` count.
    ends: [u64; DEPTH_MAX],
    depth: u8,
}

impl Default for BoxWalker {
    /// Walks the top level only and keeps nothing.
    fn default() -> Self {
        Self::new(|_| Wish::Skip)
    }
}

impl BoxWalker {
    /// A walker at the start of a stream, which asks `wish` once for each box.
    #[must_use]
    pub fn new(wish: fn(&BoxHead) -> Wish) -> Self {
        Self {
            wish,
            state: State::Header,
            offset: 0,
            header: [0; LONG_HEADER as usize],
            have: 0,
            ends: [0; DEPTH_MAX],
            depth: 0,
        }
    }

    /// The same where the next byte is not the first one of the stream, but a box begins there.
    #[must_use]
    pub fn starting_at(wish: fn(&BoxHead) -> Wish, offset: u64) -> Self {
        Self { offset, ..Self::new(wish) }
    }

    /// Takes the next bytes of the stream and gives what they complete.
    ///
    /// The bytes count as taken even if the iterator is dropped before its end.
    pub fn feed<'w, 'd>(&'w mut self, data: &'d [u8]) -> Events<'w, 'd> {
        Events { walker: self, data }
    }

    /// How many bytes were fed so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What can be fed to it in place of those of the next bytes, before byte `to`, that it passes over whatever they are: at
    /// most 1 MiB at once, and none where the next byte is needed.
    #[must_use]
    pub fn stand_in(&self, to: u64) -> &'static [u8] {
        let State::Skip(left) = self.state else { return &[] };
        let passes = left.min(to.saturating_sub(self.offset())).min(ZEROS.len() as u64);
        usize::try_from(passes).ok().and_then(|passes| ZEROS.get(..passes)).unwrap_or_default()
    }

    /// Where the header begins of which a part has come.
    #[must_use]
    pub fn header_begun(&self) -> Option<u64> {
        (self.have > 0).then(|| self.header_offset())
    }

    /// The box whose contents are being kept.
    #[must_use]
    pub fn keeping(&self) -> Option<&BoxHead> {
        if let State::Keep { head, .. } = &self.state { Some(head) } else { None }
    }

    /// Whether the next byte belongs to a header, or to contents to be kept, of which something has come.
    #[must_use]
    pub fn is_gathering(&self) -> bool {
        self.have > 0 || matches!(self.state, State::Keep { .. })
    }

    /// Whether the stream turned out to be invalid.
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(self.state, State::Off)
    }

    /// Takes bytes off `data` up to the next event; without one, all of them.
    fn step(&mut self, data: &mut &[u8]) -> Option<Event> {
        loop {
            match &mut self.state {
                State::Off | State::ToEnd => {
                    let _ = take(data, usize::MAX, &mut self.offset);
                    return None;
                }
                State::Skip(left) => {
                    let taken = take(data, usize::try_from(*left).unwrap_or(usize::MAX), &mut self.offset);
                    *left = left.saturating_sub(taken.len() as u64);
                    if *left > 0 {
                        return None;
                    }
                    self.state = State::Header;
                }
                State::Keep { head, want, got } => {
                    got.extend_from_slice(take(data, want.saturating_sub(got.len()), &mut self.offset));
                    if got.len() < *want {
                        return None;
                    }
                    let event = Event::Kept(*head, std::mem::take(got).freeze());
                    self.state = match head.content_len() {
                        Some(len) => State::Skip(len.saturating_sub(*want as u64)),
                        None => State::ToEnd,
                    };
                    return Some(event);
                }
                State::Header => {
                    if self.have == 0 && self.leave() {
                        continue;
                    }
                    if !self.fill(data, SHORT_HEADER) {
                        return None;
                    }
                    match self.parse() {
                        Ok(None) if !self.fill(data, LONG_HEADER) => return None,
                        Ok(None) => {}
                        Ok(Some(head)) => return Some(self.begin(head)),
                        Err(reason) => {
                            self.state = State::Off;
                            return Some(Event::Off { offset: self.header_offset(), reason });
                        }
                    }
                }
            }
        }
    }

    /// Leaves the boxes that end here. True if what is left of the innermost one is too short for another box
    /// and is to be skipped (QuickTime ends some lists with a 32-bit zero).
    fn leave(&mut self) -> bool {
        while let Some(end) = self.parent_end() {
            match end.saturating_sub(self.offset) {
                0 => self.depth = self.depth.saturating_sub(1),
                left if left < u64::from(SHORT_HEADER) => {
                    self.state = State::Skip(left);
                    return true;
                }
                _ => return false,
            }
        }
        false
    }

    /// The end of the innermost box entered.
    fn parent_end(&self) -> Option<u64> {
        let innermost = usize::from(self.depth).checked_sub(1)?;
        self.ends.get(innermost).copied()
    }

    /// Reads on until `want` bytes of a header are there. False if the data ended before.
    fn fill(&mut self, data: &mut &[u8], want: u8) -> bool {
        let missing = usize::from(want.saturating_sub(self.have));
        let taken = take(data, missing, &mut self.offset);
        for (to, from) in self.header.iter_mut().skip(usize::from(self.have)).zip(taken) {
            *to = *from;
            self.have = self.have.saturating_add(1);
        }
        self.have >= want
    }

    /// Where the header being read begins.
    fn header_offset(&self) -> u64 {
        self.offset.saturating_sub(u64::from(self.have))
    }

    /// Reads the header collected so far; `None` if it is a long one of which only the short part is there.
    fn parse(&self) -> Result<Option<BoxHead>, OffReason> {
        let [s0, s1, s2, s3, k0, k1, k2, k3, large @ ..] = self.header;
        let short = u32::from_be_bytes([s0, s1, s2, s3]);
        let kind = FourCc([k0, k1, k2, k3]);
        let offset = self.header_offset();
        if offset == 0 && !FIRST.contains(&kind) {
            return Err(OffReason::UnknownStart);
        }
        if short == 0 && kind == FourCc([0; 4]) {
            return Err(OffReason::Zeros);
        }
        if !kind.is_plausible() {
            return Err(OffReason::BadType);
        }
        let (header_len, size) = match short {
            1 if self.have < LONG_HEADER => return Ok(None),
            1 => (LONG_HEADER, u64::from_be_bytes(large)),
            _ => (SHORT_HEADER, u64::from(short)),
        };
        // Only the last box of a stream may leave its size open, not one inside another box (4.2).
        let size = if size == 0 && self.depth == 0 { None } else { Some(size) };
        let head = BoxHead { kind, offset, header_len, size, depth: self.depth };
        if let Some(size) = size {
            let least = u64::from(header_len).saturating_add(if kind == FourCc::UUID { USER_TYPE } else { 0 });
            if size < least {
                return Err(OffReason::TooShort);
            }
            let end = head.end().ok_or(OffReason::TooLong)?;
            if self.parent_end().is_some_and(|parent| end > parent) {
                return Err(OffReason::Overrun);
            }
        }
        Ok(Some(head))
    }

    /// Starts on the contents of a box whose header is complete.
    fn begin(&mut self, head: BoxHead) -> Event {
        self.have = 0;
        let len = head.content_len();
        let pass = len.map_or(State::ToEnd, State::Skip);
        self.state = match (self.wish)(&head) {
            Wish::Skip => pass,
            Wish::Keep(want) => {
                let there = len.map_or(usize::MAX, |len| usize::try_from(len).unwrap_or(usize::MAX));
                State::Keep { head, want: want.min(KEEP_MAX).min(there), got: BytesMut::new() }
            }
            Wish::Whole => match len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= WHOLE_MAX) {
                Some(want) => State::Keep { head, want, got: BytesMut::new() },
                None => pass,
            },
            Wish::Enter => match self.ends.get_mut(usize::from(self.depth)) {
                Some(end) => {
                    *end = head.end().unwrap_or(u64::MAX);
                    self.depth = self.depth.saturating_add(1);
                    State::Header
                }
                None => pass,
            },
        };
        Event::Start(head)
    }
}

/// Takes at most `most` bytes off the front of `data`, counting them in `offset`.
fn take<'d>(data: &mut &'d [u8], most: usize, offset: &mut u64) -> &'d [u8] {
    let (taken, rest) = data.split_at_checked(most).unwrap_or((*data, &[]));
    *data = rest;
    *offset = offset.saturating_add(taken.len() as u64);
    taken
}

/// What the bytes of one [`BoxWalker::feed`] complete.
#[derive(Debug)]
pub struct Events<'w, 'd> {
    walker: &'w mut BoxWalker,
    data: &'d [u8],
}

impl Iterator for Events<'_, '_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.walker.step(&mut self.data)
    }
}

impl Drop for Events<'_, '_> {
    fn drop(&mut self) {
        // The walker must not lose its place in the stream to a caller who has seen enough.
        while self.next().is_some() {}
    }
}

#[cfg(test)]
#[path = "boxes_tests.rs"]
mod tests;
