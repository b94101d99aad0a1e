//! One header out of several, each with tracks of the same presentation: one `moov` with all of them, under numbers of their
//! own. Pure.

use bytes::Bytes;

use super::fields::{Boxes, find, long, word};
use super::writer::Writer;

/// A header to be joined with others, and the numbers of its tracks: what they are there, and what they shall be.
pub type Numbered<'a> = (&'a [u8], &'a [(u32, u32)]);

/// The headers as one `moov` box; the first of them tells of the whole. None where one is no header.
#[must_use]
pub fn header(moovs: &[Numbered<'_>]) -> Option<Bytes> {
    let bodies: Option<Vec<_>> = moovs.iter().map(|(moov, numbers)| Some((find(moov, *b"moov")?, *numbers))).collect();
    let bodies = bodies?;
    let mvhd = find(bodies.first()?.0, *b"mvhd")?;
    let scale = timescale(mvhd)?;
    let last = bodies.iter().flat_map(|(_, numbers)| numbers.iter()).map(|(_, number)| *number).max()?;
    let mut writer = Writer::default();
    writer.boxed(*b"moov", |w| {
        w.boxed(*b"mvhd", |w| {
            w.raw(mvhd.get(..mvhd.len().saturating_sub(4)).unwrap_or_default());
            w.u32(last.saturating_add(1));
        });
        for (body, numbers) in &bodies {
            let from = find(body, *b"mvhd").and_then(timescale).unwrap_or(scale);
            for trak in Boxes::new(body).filter(|inner| &inner.kind.0 == b"trak") {
                track(w, trak.body, numbers, (from, scale));
            }
        }
        w.boxed(*b"mvex", |w| {
            for (body, numbers) in &bodies {
                let mvex = find(body, *b"mvex").unwrap_or_default();
                for trex in Boxes::new(mvex).filter(|inner| &inner.kind.0 == b"trex") {
                    if let Some(number) = word(trex.body, 4).and_then(|id| number(numbers, id)) {
                        w.boxed(*b"trex", |w| patched(w, trex.body, 4, number));
                    }
                }
            }
        });
    });
    Some(writer.bytes.freeze())
}

fn timescale(mvhd: &[u8]) -> Option<u32> {
    word(mvhd, if mvhd.first() == Some(&1) { 20 } else { 12 }).filter(|scale| *scale > 0)
}

fn number(numbers: &[(u32, u32)], id: u32) -> Option<u32> {
    numbers.iter().find(|(there, _)| *there == id).map(|(_, here)| *here)
}

/// These bytes, with another number at `at`.
fn patched(w: &mut Writer, body: &[u8], at: usize, number: u32) {
    let start = w.bytes.len();
    w.raw(body);
    w.put_u32(start + at, number);
}

/// A track under its new number, if it has one, with its edit list in ticks of the other movie.
fn track(w: &mut Writer, trak: &[u8], numbers: &[(u32, u32)], scales: (u32, u32)) {
    let Some(tkhd) = find(trak, *b"tkhd") else { return };
    let at = if tkhd.first() == Some(&1) { 20 } else { 12 };
    let Some(number) = word(tkhd, at).and_then(|id| number(numbers, id)) else { return };
    w.boxed(*b"trak", |w| {
        // What refers to other tracks knows them by their old numbers.
        for part in Boxes::new(trak).filter(|part| &part.kind.0 != b"tref") {
            match &part.kind.0 {
                b"tkhd" => w.boxed(*b"tkhd", |w| patched(w, part.body, at, number)),
                b"edts" if scales.0 != scales.1 => w.boxed(*b"edts", |w| {
                    for list in Boxes::new(part.body).filter(|list| &list.kind.0 == b"elst") {
                        w.boxed(*b"elst", |w| edits(w, list.body, scales));
                    }
                }),
                _ => w.boxed(part.kind.0, |w| w.raw(part.body)),
            }
        }
    });
}

/// An edit list (8.6.6) whose durations are in other ticks.
fn edits(w: &mut Writer, elst: &[u8], (from, to): (u32, u32)) {
    let wide = elst.first() == Some(&1);
    let scaled = |duration: u64| u128::from(duration) * u128::from(to) / u128::from(from);
    let each = if wide { 20 } else { 12 };
    w.raw(elst.get(..8).unwrap_or_default());
    for entry in elst.get(8..).unwrap_or_default().chunks_exact(each) {
        if wide {
            w.u64(u64::try_from(scaled(long(entry, 0).unwrap_or(0))).unwrap_or(u64::MAX));
        } else {
            w.u32(u32::try_from(scaled(word(entry, 0).unwrap_or(0).into())).unwrap_or(u32::MAX));
        }
        w.raw(entry.get(each - if wide { 12 } else { 8 }..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{AUDIO, VIDEO, header as sample};
    use crate::media::fmp4::{Movie, TrackKind};

    /// The `moov` of the sample, in a movie of this many ticks a second.
    fn moov(scale: u32) -> Vec<u8> {
        let mut bytes = sample();
        let at = |bytes: &[u8], name: &[u8]| bytes.windows(4).position(|four| four == name).expect("a box");
        let start = at(&bytes, b"mvhd") + 4 + 12;
        bytes[start..start + 4].copy_from_slice(&scale.to_be_bytes());
        let moov = at(&bytes, b"moov") - 4;
        bytes.split_off(moov)
    }

    #[test]
    fn tracks_of_several_headers_are_in_one_under_their_new_numbers() {
        let (first, second) = (moov(1000), moov(500));
        let joined = header(&[(&first, &[(VIDEO, 1), (AUDIO, 2)]), (&second, &[(AUDIO, 3), (VIDEO, 7)])]);
        let movie = Movie::parse(&joined.expect("a header")).expect("a movie");
        let found: Vec<_> = movie.tracks.iter().map(|track| (track.id, track.kind, track.timescale)).collect();
        let (video, audio) = (TrackKind::Video, TrackKind::Audio);
        assert_eq!(found, [(1, video, 100), (2, audio, 48_000), (7, video, 100), (3, audio, 48_000)]);
        assert!(movie.fragmented && !movie.has_samples);
        let track = |id| movie.track(id).expect("a track").clone();
        assert_eq!((track(3).default_flags, track(7).default_flags), (track(2).default_flags, track(1).default_flags));
        // Half a second of nothing in front is 500 ticks of a thousand, and as many of 500 are a second.
        assert_eq!((track(1).edit_offset, track(7).edit_offset), (50 - 52, 100 - 52));
    }

    #[test]
    fn of_one_header_only_what_has_a_number_stays_and_what_is_none_gives_none() {
        let movie = Movie::parse(&header(&[(&moov(1000), &[(AUDIO, 9)])]).expect("a header")).expect("a movie");
        assert_eq!(movie.tracks.iter().map(|track| track.id).collect::<Vec<_>>(), [9]);
        assert_eq!(header(&[(b"\0\0\0\x08free", &[(1, 1)])]), None);
        assert_eq!(header(&[]), None);
    }
}
