//! Headers and whole fragments out of what somebody sends piece by piece, cut anywhere. All that is around them is left out.
//!
//! Memory is bounded: a box that is longer than [`LONGEST`] is refused as soon as its size is known, and nothing is reserved
//! for bytes that have not come.

use bytes::{Buf, Bytes, BytesMut};

use super::boxes::FourCc;
use super::fields::{long, word};
use super::found::WallClock;
use super::fragments::{tells_anew, wall_clock};
use super::samples::Raw;

/// The longest box.
pub const LONGEST: usize = 16 << 20;
/// The longest header (`moov`).
pub const LONGEST_HEADER: usize = 1 << 20;

/// Why it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// What came is no box.
    #[error("it is no fragmented MP4")]
    NoBoxes,
    /// A box is too long, or has no end.
    #[error(
        "it has a box {0} longer than {most} MiB (moov: 1), or without an end: with ffmpeg, -movflags +frag_keyframe makes fragments",
        most = LONGEST >> 20
    )]
    TooLong(FourCc),
}

/// What comes out.
#[derive(Debug, Clone)]
pub enum Gathered {
    /// A header, the whole `moov` box.
    Header(Bytes),
    /// A fragment.
    Fragment(Raw),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Gather {
    buffer: BytesMut,
    /// Where the buffer begins in the stream.
    at: u64,
    /// The `moof` of which the data are still to come, and where it begins.
    moof: Option<(u64, Bytes)>,
    /// It says itself that nothing more comes.
    last: bool,
    said: Said,
}

/// What is said in front of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// Another encoder goes on with it, or the same one anew.
    pub anew: bool,
    /// The time of day.
    pub wall: Option<WallClock>,
}

impl Gather {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes of it are held, since nothing whole has come of them yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() + self.moof.as_ref().map_or(0, |(_, moof)| moof.len())
    }

    /// Whether it has said that nothing more comes: by an `mfra`, a fragment without a track, or a segment that is called
    /// the last.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// What was said in front of the fragment that came out last, once.
    pub fn said(&mut self) -> Said {
        std::mem::take(&mut self.said)
    }

    /// Whether all that was begun is whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.buffer.is_empty() && self.moof.is_none()
    }

    /// What is whole next.
    ///
    /// # Errors
    /// [`GatherError`].
    pub fn whole(&mut self) -> Result<Option<Gathered>, GatherError> {
        loop {
            let (Some(size), Some(kind)) =
                (word(&self.buffer, 0), self.buffer.get(4..8).and_then(|kind| kind.first_chunk()))
            else {
                return Ok(None);
            };
            let kind = FourCc(*kind);
            if !kind.0.iter().all(|byte| matches!(byte, 0x20..=0x7e | 0xa9)) {
                return Err(GatherError::NoBoxes);
            }
            let (head, size) = match size {
                0 => return Err(GatherError::TooLong(kind)),
                1 => match long(&self.buffer, 8) {
                    Some(size) => (16, usize::try_from(size).unwrap_or(usize::MAX)),
                    None => return Ok(None),
                },
                size => (8, usize::try_from(size).unwrap_or(usize::MAX)),
            };
            if size < head {
                return Err(GatherError::NoBoxes);
            }
            if size > if kind == FourCc::MOOV { LONGEST_HEADER } else { LONGEST } {
                return Err(GatherError::TooLong(kind));
            }
            if self.buffer.len() < size {
                return Ok(None);
            }
            let (at, whole) = (self.at, self.buffer.split_to(size).freeze());
            self.at += size as u64;
            let contents = whole.slice(head..);
            match &kind.0 {
                b"moov" => {
                    self.moof = None;
                    return Ok(Some(Gathered::Header(whole)));
                }
                b"moof" => {
                    let raw = Raw { moof_at: at, moof: contents.clone(), mdat_at: 0, mdat: Bytes::new() };
                    self.last |= raw.is_empty();
                    self.moof = (!raw.is_empty()).then_some((at, contents));
                }
                b"mdat" => {
                    if let Some((moof_at, moof)) = self.moof.take() {
                        let mdat_at = at + head as u64;
                        return Ok(Some(Gathered::Fragment(Raw { moof_at, moof, mdat_at, mdat: contents })));
                    }
                }
                b"prft" => self.said.wall = wall_clock(&contents).or(self.said.wall),
                b"emsg" => self.said.anew |= tells_anew(&contents),
                b"mfra" => self.last = true,
                b"styp" => self.last |= brands(contents).any(|brand| &brand == b"lmsg"),
                _ => {}
            }
        }
    }
}

/// The brands of a `styp`, without the number after the first.
fn brands(mut contents: Bytes) -> impl Iterator<Item = [u8; 4]> {
    std::iter::from_fn(move || {
        let brand = *contents.first_chunk()?;
        contents.advance(4);
        Some(brand)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture, sample, sound};
    use crate::media::fmp4::{bx, words};

    /// What comes out of bytes that come in slices: `H`, or how long the data of a fragment are.
    fn gathered(bytes: &[u8], slice: usize) -> (String, Gather) {
        let (mut gather, mut out) = (Gather::default(), String::new());
        for slice in bytes.chunks(slice) {
            gather.feed(slice);
            while let Some(found) = gather.whole().expect("boxes") {
                match found {
                    Gathered::Header(moov) => out += std::str::from_utf8(&moov[4..8]).expect("text"),
                    Gathered::Fragment(raw) => out.extend([" ", &raw.mdat.len().to_string()]),
                }
            }
        }
        (out, gather)
    }

    #[test]
    fn headers_and_fragments_come_out_however_they_are_cut() {
        let end = words(*b"mfra", &[0, 0]);
        let stream = [header(), moof(&[picture(0, true)]), mdat(33), moof(&[sound(0, 2)]), mdat(4), end].concat();
        for slice in 1..stream.len() {
            let (out, gather) = gathered(&stream, slice);
            assert_eq!((out.as_str(), gather.is_last(), gather.is_whole()), ("moov 33 4", true, true), "{slice}");
        }
        for cut in 1..40 {
            assert!(!gathered(&stream[..stream.len() - cut], 7).1.is_last());
        }
        let (_, gather) = gathered(&sample(), 50);
        assert!(gather.is_whole());
        for last in [bx(*b"styp", &[b"cmfs\0\0\0\0cmfslmsg".to_vec()]), moof(&[])] {
            assert!(gathered(&last, 5).1.is_last());
        }
    }

    #[test]
    fn what_is_no_fragments_is_refused_before_it_takes_memory() {
        let refused = |bytes: &[u8]| {
            let mut gather = Gather::default();
            gather.feed(bytes);
            gather.whole().expect_err("refused")
        };
        assert_eq!(refused(b"GET / HTTP/1.1\r\n\0\0\0\0"), GatherError::TooLong(FourCc(*b"/ HT")));
        assert_eq!(refused(&[0, 0, 1, 0xb3, 1, 2, 3, 4]), GatherError::NoBoxes);
        assert_eq!(refused(b"\0\0\0\x07mdat"), GatherError::NoBoxes);
        for head in [&b"\0\0\0\0mdat"[..], b"\x02\0\0\0mdat", b"\0\0\0\x01mdat\0\0\x01\0\0\0\0\0"] {
            assert_eq!(refused(head), GatherError::TooLong(FourCc::MDAT));
        }
    }
}
