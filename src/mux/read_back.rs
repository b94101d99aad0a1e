//! A piece of a recording as it was made here, read back by whoever makes something else of it: whether it is the header, and
//! what is said in front of a fragment.

use bytes::Bytes;

use super::fragment::TimeOfDay;
use crate::media::fmp4::found::ANEW;
use crate::media::fmp4::samples::Raw;

/// A fragment, and what is said in front of it.
#[derive(Debug)]
pub(super) struct ReadBack {
    /// Another encoder goes on here, or the same one anew.
    pub(super) anew: bool,
    pub(super) time: Option<TimeOfDay>,
    pub(super) raw: Raw,
}

/// Whether an object begins with this piece.
#[must_use]
pub fn is_header(piece: &[u8]) -> bool {
    piece.get(4..8) == Some(b"ftyp")
}

/// The `moov` of a header.
pub(super) fn moov(piece: &Bytes) -> Option<Bytes> {
    boxes(piece).find(|(kind, _, _)| kind == b"moov").map(|(_, from, to)| piece.slice(from..to))
}

/// Reads a fragment; none for anything else.
pub(super) fn read_back(piece: &Bytes) -> Option<ReadBack> {
    let (mut anew, mut time, mut moof) = (false, None, None);
    for (kind, from, to) in boxes(piece) {
        let body = piece.slice(from + 8..to);
        match &kind {
            b"emsg" => anew |= body.windows(ANEW.len()).any(|window| window == ANEW),
            b"prft" => time = time_of_day(&body),
            b"moof" => moof = Some((from, body)),
            b"mdat" => {
                let (at, moof) = moof?;
                let raw = Raw { moof_at: at as u64, moof, mdat_at: from as u64 + 8, mdat: body };
                return Some(ReadBack { anew, time, raw });
            }
            _ => {}
        }
    }
    None
}

fn time_of_day(prft: &[u8]) -> Option<TimeOfDay> {
    let track = u32::from_be_bytes(*prft.get(4..)?.first_chunk()?);
    let ntp = u64::from_be_bytes(*prft.get(8..)?.first_chunk()?);
    let at = u64::from_be_bytes(*prft.get(16..)?.first_chunk()?);
    Some(TimeOfDay { track, ntp, at })
}

/// The boxes of a piece, each with where it begins and ends. None that is made here is so long that its size needs more bytes.
pub(super) fn boxes(piece: &[u8]) -> impl Iterator<Item = ([u8; 4], usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let head = piece.get(at..)?;
        let size = usize::try_from(u32::from_be_bytes(*head.first_chunk()?)).ok()?;
        let kind = *head.get(4..)?.first_chunk()?;
        let from = at;
        at = at.checked_add(size).filter(|end| size >= 8 && *end <= piece.len())?;
        Some((kind, from, at))
    })
}
