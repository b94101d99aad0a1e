//! One fragment: a mark where another encoder goes on, the time of day where a key frame is, then `moof`, and all samples
//! in one `mdat`.

use bytes::Bytes;

use crate::media::fmp4::found::ANEW;
use crate::media::fmp4::writer::Writer;

/// A frame that others do not need to be decoded with it.
const KEY: u32 = 0x0200_0000;
/// A frame that needs others.
const NOT_KEY: u32 = 0x0101_0000;

/// A sample of a track, in units of the track's timescale.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: i64,
    pub(super) duration: u32,
    pub(super) shown_after: i32,
    pub(super) key: bool,
    pub(super) data: Bytes,
}

/// What a fragment has of one track.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// The track's number in the header.
    pub(super) track: u32,
    pub(super) pictures: bool,
    pub(super) timescale: u32,
    pub(super) samples: &'a [Sample],
}

/// The time of day at a place of a track.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeOfDay {
    pub(super) track: u32,
    pub(super) ntp: u64,
    pub(super) at: u64,
}

/// What is said in front of a fragment.
#[derive(Debug)]
pub(super) struct Lead {
    /// Another encoder goes on here, or the same one anew.
    pub(super) anew: bool,
    pub(super) time: Option<TimeOfDay>,
}

/// Writes a fragment of one picture that needs no other, of the track with this number; times are in its ticks.
#[must_use]
pub fn still(track: u32, at: u64, shown_after: i32, duration: u32, data: Bytes) -> Bytes {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let samples = [Sample { at, duration, shown_after, key: true, data }];
    fragment(1, &[Part { track, timescale: 1, pictures: true, samples: &samples }], &Lead { anew: false, time: None })
}

/// Writes a fragment, which is number `sequence` of all.
pub(super) fn fragment(sequence: u32, parts: &[Part<'_>], lead: &Lead) -> Bytes {
    let length = |part: &Part<'_>| part.samples.iter().map(|sample| sample.data.len()).sum::<usize>();
    let data: usize = parts.iter().map(length).sum();
    let mut w = Writer::default();
    // Each sample has at most sixteen bytes in the head.
    let samples: usize = parts.iter().map(|part| part.samples.len()).sum();
    w.bytes.reserve(data + samples * 16 + parts.len() * 80 + 200);
    if let Some(first) = parts.first().filter(|_| lead.anew) {
        mark(&mut w, first);
    }
    if let Some(TimeOfDay { track, ntp, at }) = lead.time {
        // By one clock all along, from the first fragment to the last.
        w.full(*b"prft", 1, 24, |w| {
            w.u32(track);
            w.u64(ntp);
            w.u64(at);
        });
    }
    let (moof, mut places) = (w.bytes.len(), Vec::new());
    w.boxed(*b"moof", |w| {
        w.full(*b"mfhd", 0, 0, |w| w.u32(sequence));
        for part in parts {
            track_fragment(w, part, &mut places);
        }
    });
    let mut place = w.bytes.len() - moof + 8;
    for (part, at) in parts.iter().zip(places) {
        w.put_u32(at, u32::try_from(place).unwrap_or(u32::MAX));
        place += length(part);
    }
    w.boxed(*b"mdat", |w| {
        for sample in parts.iter().flat_map(|part| part.samples) {
            w.raw(&sample.data);
        }
    });
    w.bytes.freeze()
}

/// Says that another encoder goes on at the first sample of `first`: an event (ISO/IEC 23009-1, 5.10.3.3) that takes no time.
fn mark(w: &mut Writer, first: &Part<'_>) {
    let at = first.samples.first().map_or(0, |sample| u64::try_from(sample.at).unwrap_or(0));
    w.full(*b"emsg", 1, 0, |w| {
        w.u32(first.timescale);
        w.u64(at);
        w.words(&[0, 0]);
        w.raw(ANEW);
        // No value.
        w.raw(&[0, 0]);
    });
}

/// Writes what `moof` says of a track, and notes where the place of its data is to be put.
fn track_fragment(w: &mut Writer, part: &Part<'_>, places: &mut Vec<usize>) {
    const DATA_OFFSET: u32 = 1;
    const DURATIONS_AND_SIZES: u32 = 0x300;
    const FLAGS: u32 = 0x400;
    const SHOWN_AFTER: u32 = 0x800;
    let reordered = part.samples.iter().any(|sample| sample.shown_after != 0);
    let pictures = if part.pictures { FLAGS } else { 0 };
    let flags = DATA_OFFSET | DURATIONS_AND_SIZES | pictures | if reordered { SHOWN_AFTER } else { 0 };
    w.boxed(*b"traf", |w| {
        // Places count from the moof.
        w.full(*b"tfhd", 0, 0x02_0000, |w| w.u32(part.track));
        let first = part.samples.first().map_or(0, |sample| sample.at);
        w.full(*b"tfdt", 1, 0, |w| w.u64(u64::try_from(first).unwrap_or(0)));
        w.full(*b"trun", 1, flags, |w| {
            w.u32(u32::try_from(part.samples.len()).unwrap_or(u32::MAX));
            places.push(w.bytes.len());
            w.u32(0);
            for sample in part.samples {
                w.u32(sample.duration);
                w.u32(u32::try_from(sample.data.len()).unwrap_or(u32::MAX));
                if part.pictures {
                    w.u32(if sample.key { KEY } else { NOT_KEY });
                }
                if reordered {
                    w.u32(sample.shown_after.cast_unsigned());
                }
            }
        });
    });
}
