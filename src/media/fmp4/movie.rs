//! What the header of an MP4 says of its tracks.
//!
//! The header is all from the first byte to the end of the `moov` (ISO/IEC 14496-12, 8.2). It is read leniently: what a
//! box does not tell stays at zero or empty, so that odd recorders do no harm.

use bytes::Bytes;

use super::codec::{self, Entry};
use super::fields::{Boxes, find, long, word};

/// Tracks past this many are not looked at.
const TRACKS_MAX: usize = 64;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else, such as subtitles.
    Other,
}

/// One track of a [`Movie`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The track's id, which fragments refer to.
    pub id: u32,
    /// What it carries.
    pub kind: TrackKind,
    /// Ticks a second of its times, at least one.
    pub timescale: u32,
    /// The codec as RFC 6381 writes it (`avc1.64001f`, `mp4a.40.2`); the bare sample entry type where no more is known.
    pub codec: String,
    /// Width of the picture in pixels; 0 without one.
    pub width: u32,
    /// Height of the picture in pixels; 0 without one.
    pub height: u32,
    /// Sound samples a second; 0 without sound.
    pub sample_rate: u32,
    /// Sound channels; 0 without sound.
    pub channels: u16,
    /// What is added to a composition time to get the presentation time, in ticks: what the edit list says.
    pub edit_offset: i64,
    /// Ticks of a sample for which a fragment says nothing else (`trex`, 8.8.3).
    pub default_duration: u32,
    /// Bytes of such a sample.
    pub default_size: u32,
    /// Flags of such a sample.
    pub default_flags: u32,
    /// What a decoder is told first: of H.264 the `avcC`, of AAC the `AudioSpecificConfig`; of others nothing is kept.
    pub config: Bytes,
}

/// What the header of a stream says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Movie {
    /// The tracks, in their order.
    pub tracks: Vec<Track>,
    /// Whether fragments follow (`mvex`).
    pub fragmented: bool,
    /// Whether the header has samples of its own, outside of all fragments.
    pub has_samples: bool,
}

impl Movie {
    /// Reads a header, the bytes from `ftyp` to the end of `moov`; `None` without a `moov` that has a track.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let moov = find(header, *b"moov")?;
        let timescale = find(moov, *b"mvhd").and_then(|mvhd| word(mvhd, if version(mvhd) == 1 { 20 } else { 12 }));
        let mut movie = Self::default();
        for trak in Boxes::new(moov).filter(|inner| &inner.kind.0 == b"trak").take(TRACKS_MAX) {
            let Some((track, samples)) = parse_track(trak.body, timescale.unwrap_or(0)) else { continue };
            movie.has_samples |= samples;
            movie.tracks.push(track);
        }
        if let Some(mvex) = find(moov, *b"mvex") {
            movie.fragmented = true;
            for trex in Boxes::new(mvex).filter(|inner| &inner.kind.0 == b"trex").take(TRACKS_MAX) {
                let number = |at| word(trex.body, at).unwrap_or(0);
                if let Some(track) = movie.tracks.iter_mut().find(|track| track.id == number(4)) {
                    (track.default_duration, track.default_size, track.default_flags) =
                        (number(12), number(16), number(20));
                }
            }
        }
        (!movie.tracks.is_empty()).then_some(movie)
    }

    /// The track with this id.
    #[must_use]
    pub fn track(&self, id: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// The track that the rest goes by: the first with pictures, else the first with sound, else the first.
    #[must_use]
    pub fn main(&self) -> Option<&Track> {
        let first = |kind| self.tracks.iter().find(move |track| track.kind == kind);
        first(TrackKind::Video).or_else(|| first(TrackKind::Audio)).or(self.tracks.first())
    }

    /// The codecs of all tracks as one `codecs` parameter: `avc1.64001f,mp4a.40.2`.
    #[must_use]
    pub fn codecs(&self) -> String {
        let mut codecs: Vec<&str> = Vec::new();
        for track in &self.tracks {
            if !codecs.contains(&track.codec.as_str()) {
                codecs.push(&track.codec);
            }
        }
        codecs.join(",")
    }
}

fn version(full_box: &[u8]) -> u8 {
    full_box.first().copied().unwrap_or(0)
}

/// A track, and whether the header holds samples of it.
fn parse_track(trak: &[u8], movie_timescale: u32) -> Option<(Track, bool)> {
    let tkhd = find(trak, *b"tkhd")?;
    let id = word(tkhd, if version(tkhd) == 1 { 20 } else { 12 })?;
    let mdia = find(trak, *b"mdia")?;
    let mdhd = find(mdia, *b"mdhd")?;
    let timescale = word(mdhd, if version(mdhd) == 1 { 20 } else { 12 })?.max(1);
    let kind = match find(mdia, *b"hdlr").and_then(|hdlr| hdlr.get(8..12)) {
        Some(b"vide") => TrackKind::Video,
        Some(b"soun") => TrackKind::Audio,
        _ => TrackKind::Other,
    };
    let stbl = find(mdia, *b"minf").and_then(|minf| find(minf, *b"stbl")).unwrap_or_default();
    let entry = find(stbl, *b"stsd").and_then(codec::first_entry).map(|(name, body)| match kind {
        TrackKind::Video => codec::video(name, body),
        TrackKind::Audio => codec::audio(name, body),
        TrackKind::Other => Entry { codec: name.to_string(), ..Entry::default() },
    });
    let mut entry = entry.unwrap_or_default();
    if kind == TrackKind::Audio && entry.sample_rate == 0 {
        entry.sample_rate = timescale;
    }
    let samples = find(stbl, *b"stsz").or_else(|| find(stbl, *b"stz2")).and_then(|sizes| word(sizes, 8));
    let elst = find(trak, *b"edts").and_then(|edts| find(edts, *b"elst"));
    let edit_offset = elst.map_or(0, |elst| edit_offset(elst, timescale, movie_timescale));
    let parsed = Track {
        id,
        kind,
        timescale,
        codec: entry.codec,
        width: entry.width,
        height: entry.height,
        sample_rate: entry.sample_rate,
        channels: entry.channels,
        edit_offset,
        default_duration: 0,
        default_size: 0,
        default_flags: 0,
        config: entry.config,
    };
    Some((parsed, samples.is_some_and(|count| count > 0)))
}

/// What an edit list adds to composition times: empty time in front, less what is left out (8.6.6).
fn edit_offset(elst: &[u8], timescale: u32, movie_timescale: u32) -> i64 {
    let wide = version(elst) == 1;
    let mut empty: u64 = 0;
    for index in 0..word(elst, 4).unwrap_or(0).min(8) {
        let Ok(index) = usize::try_from(index) else { break };
        let (duration, start) = if wide {
            let at = 8 + index * 20;
            (long(elst, at), long(elst, at + 8).map(u64::cast_signed))
        } else {
            let at = 8 + index * 12;
            (word(elst, at).map(u64::from), word(elst, at + 4).map(|word| i64::from(word.cast_signed())))
        };
        let (Some(duration), Some(start)) = (duration, start) else { break };
        if start == -1 {
            empty = empty.saturating_add(duration);
            continue;
        }
        let ticks = u128::from(empty) * u128::from(timescale) / u128::from(movie_timescale.max(1));
        return i64::try_from(ticks).unwrap_or(0).saturating_sub(start);
    }
    0
}
