//! Tells from the first boxes of a stream whether following it while it grows gives something playable.
//!
//! The kinds, and what gives each away:
//!
//! - *Fragmented*: the `moov` holds an `mvex` (ISO/IEC 14496-12, 8.8.1) and `moof` boxes follow. What has been
//!   written stays as it is, so that it can be followed.
//! - *Progressive*: an `mdat` comes before the `moov`, or the `moov` has no `mvex`. With the `mdat` first,
//!   nothing can be played before the recording has ended.
//! - *Hybrid*: written as fragmented, then turned into a progressive file in place when the recording stops,
//!   by overwriting its beginning with the header of one `mdat` around all of it. The room for that header
//!   is a placeholder before the `moov`, which no plain fragmented recording has:
//!   - OBS Studio "Hybrid MP4" and "Hybrid MOV" (`plugins/obs-outputs/mp4-mux.c`, `mp4_flush_fragment`):
//!     `ftyp`, a `free` (MOV: `wide`) of 16 bytes with eight zeros in it, `moov`, `moof`, …; in the end the
//!     `ftyp` is written anew with other brands, and the placeholder becomes the `mdat` header.
//!   - ffmpeg `-movflags +hybrid_fragmented`, from 7.1 (`libavformat/movenc.c`, `mov_write_header`): `ftyp`, an
//!     empty `free` (MOV: `wide`) of 8 bytes, `moov`, …; in the end the `moov` becomes the `mdat` header, or
//!     the placeholder does if that takes a 64-bit size. With `+delay_moov` the placeholder comes even
//!     before the `ftyp`.
//!
//!   Once rewritten, both are progressive files, and stable.
//!
//! Some rewriting cannot be seen coming. These begin like any fragmented file: ffmpeg's `+global_sidx`, which
//! inserts an index in the end; GStreamer's `qtmux` in its fragmented modes (`gst_qt_mux_stop_file`), which fills
//! in the `moov` in the end or, with `first-moov-then-finalise`, voids it. The other way round, an OBS hybrid
//! recording with the muxer option `skip_soft_remux` stays as it is, but begins like any other hybrid one.

use super::boxes::{BoxHead, Event, FourCc, OffReason};
use super::fields::{find, word};
use super::traf::DEFAULT_BASE_IS_MOOF;

/// Length in bytes of OBS Studio's placeholder, which has the size of a long box header.
pub(super) const OBS_PLACEHOLDER: u64 = 16;
/// Length in bytes of ffmpeg's placeholder, which becomes a long header with the short one after it.
const FFMPEG_PLACEHOLDER: u64 = 8;

/// What a stream turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// A hybrid MP4 or MOV: its beginning is going to be overwritten when the recording stops, so that
    /// what has been followed until then differs from the file.
    Hybrid,
    /// An MP4 whose one index (`moov`) describes all of it.
    Progressive {
        /// Whether the index comes before the media data, so that it can be played from the start.
        index_first: bool,
        /// Whether the beginning has room that is sure to be filled in when the recording stops, such as an
        /// `mdat` without a size.
        unfinished: bool,
    },
    /// A fragmented MP4, which can be followed.
    Fragmented {
        /// Whether the first fragment locates its media data relative to itself. Browsers' Media Source
        /// Extensions demand it.
        default_base_is_moof: bool,
    },
    /// Something else, or an MP4 that is broken in its first boxes.
    NotMp4(OffReason),
}

impl Finding {
    /// One sentence for people on what is wrong with following such a stream and how to do better; `None` if
    /// all is well, or if this is not about MP4.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Hybrid => Some(
                "this is a hybrid MP4/MOV recording, whose beginning is rewritten when the recording stops, so what \
                 viewers get will differ from the final file: in OBS, choose \"Fragmented MP4\" under Settings > \
                 Output > Recording Format; with ffmpeg, use -movflags +empty_moov+frag_keyframe+default_base_moof \
                 without hybrid_fragmented",
            ),
            Self::Progressive { index_first: false, unfinished: true } => Some(
                "this is a plain MP4/MOV still being recorded, which cannot be played before the recording stops and \
                 whose beginning is rewritten then: in OBS, choose \"Fragmented MP4\" under Settings > Output > \
                 Recording Format; with ffmpeg, use -movflags +empty_moov+frag_keyframe+default_base_moof",
            ),
            Self::Progressive { index_first: false, unfinished: false } => Some(
                "this is a plain MP4/MOV with its index at the end, so it cannot be played before all of it is there: \
                 in OBS, choose \"Fragmented MP4\" under Settings > Output > Recording Format; with ffmpeg, use \
                 -movflags +empty_moov+frag_keyframe+default_base_moof",
            ),
            Self::Fragmented { default_base_is_moof: false } => Some(
                "this fragmented MP4 lacks default-base-is-moof, so browsers may refuse to play it while it grows: \
                 with ffmpeg, add default_base_moof to -movflags; in OBS, put \
                 movflags=frag_keyframe+empty_moov+delay_moov+default_base_moof into Settings > Output > Recording > \
                 Custom Muxer Settings",
            ),
            Self::Progressive { index_first: true, .. }
            | Self::Fragmented { default_base_is_moof: true }
            | Self::NotMp4(_) => None,
        }
    }
}

/// Tells what a stream is from the boxes that its [scanner](super::Scanner) passes, until it knows. A fragmented stream is
/// known at its first fragment, the others before that.
#[derive(Debug, Default)]
pub(super) struct Inspector {
    /// The last box, or the first one and a `ftyp` after it, was a placeholder for an `mdat` header.
    placeholder: bool,
    /// There was a top-level `ftyp`.
    ftyp: bool,
    /// There was a top-level `meta`.
    meta: bool,
    /// There was a `moov`.
    moov: bool,
    /// There was an `mvex` in a `moov`.
    mvex: bool,
    /// There was a `moof`.
    moof: bool,
}

impl Inspector {
    /// Takes note of one event; gives the finding once there is enough.
    pub(super) fn add(&mut self, event: &Event) -> Option<Finding> {
        match event {
            Event::Start(head) if head.depth == 0 => self.add_top(head),
            Event::Kept(head, bytes) => match head.kind {
                FourCc::MOOV => {
                    self.mvex |= find(bytes, FourCc::MVEX.0).is_some();
                    (self.mvex && self.placeholder).then_some(Finding::Hybrid)
                }
                FourCc::MOOF => {
                    let flags = find(bytes, FourCc::TRAF.0).and_then(|traf| word(find(traf, FourCc::TFHD.0)?, 0))?;
                    Some(Finding::Fragmented { default_base_is_moof: flags & DEFAULT_BASE_IS_MOOF != 0 })
                }
                FourCc::FREE | FourCc::WIDE => {
                    self.placeholder = bytes.iter().all(|&b| b == 0);
                    None
                }
                _ => None,
            },
            Event::Off { reason: OffReason::Zeros, .. } if self.ftyp && !self.moov => {
                // ffmpeg's `-moov_size` leaves a hole for the index.
                Some(Finding::Progressive { index_first: false, unfinished: true })
            }
            Event::Off { reason, .. } => Some(Finding::NotMp4(*reason)),
            Event::Start(_) => None,
        }
    }

    /// Takes note of a top-level box.
    fn add_top(&mut self, head: &BoxHead) -> Option<Finding> {
        match head.kind {
            // A placeholder is right before the `moov`, or before the `ftyp` at the very start.
            FourCc::FTYP => self.ftyp = true,
            FourCc::MOOV => self.moov = true,
            FourCc::FREE | FourCc::WIDE => self.placeholder = head.size == Some(FFMPEG_PLACEHOLDER),
            kind => {
                self.placeholder = false;
                match kind {
                    FourCc::META => self.meta = true,
                    FourCc::MOOF => self.moof = true,
                    // Fragments tell the rest, even if the first samples are in the `moov`.
                    FourCc::MDAT if self.moof || self.mvex => {}
                    FourCc::MDAT if self.meta && !self.moov => return Some(Finding::NotMp4(OffReason::NoMovie)),
                    FourCc::MDAT => {
                        let unfinished = !self.moov && head.size.is_none();
                        return Some(Finding::Progressive { index_first: self.moov, unfinished });
                    }
                    _ => {}
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::fmp4::{Scanner, bx};

    fn raw(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        bx(kind, &[body.to_vec()])
    }

    fn ftyp() -> Vec<u8> {
        raw(*b"ftyp", b"isom\0\0\x02\0isomiso6iso2avc1mp41")
    }

    fn moov(fragmented: bool) -> Vec<u8> {
        let trak = bx(*b"trak", &[raw(*b"tkhd", &[0; 84]), raw(*b"mdia", &[1; 300])]);
        let mvex = bx(*b"mvex", &[raw(*b"trex", &[0; 24])]);
        let udta = raw(*b"udta", b"\0\0\0\x0cmeta\0\0\0\0");
        let mut parts = vec![raw(*b"mvhd", &[0; 100]), trak];
        parts.extend(fragmented.then_some(mvex));
        parts.push(udta);
        bx(*b"moov", &parts)
    }

    fn moof(flags: u32) -> Vec<u8> {
        let mfhd = raw(*b"mfhd", &[0, 0, 0, 0, 0, 0, 0, 1]);
        let tfhd = raw(*b"tfhd", &[&flags.to_be_bytes()[..], &[0, 0, 0, 1], &[0; 12]].concat());
        let trun = raw(*b"trun", &[0; 200]);
        bx(*b"moof", &[mfhd, bx(*b"traf", &[tfhd, raw(*b"tfdt", &[1; 12]), trun])])
    }

    fn mdat() -> Vec<u8> {
        raw(*b"mdat", &[0xab; 500])
    }

    fn open_mdat() -> Vec<u8> {
        [&0u32.to_be_bytes()[..], b"mdat", &[0xcd; 100]].concat()
    }

    /// `tfhd` flags as ffmpeg sets them with `+default_base_moof`.
    const RELATIVE: u32 = 0x02_0038;
    /// As it sets them without, and as OBS does: base-data-offset-present.
    const ABSOLUTE: u32 = 0x00_0039;

    const GOOD: Finding = Finding::Fragmented { default_base_is_moof: true };
    const POOR: Finding = Finding::Fragmented { default_base_is_moof: false };
    const RECORDING: Finding = Finding::Progressive { index_first: false, unfinished: true };
    const COMPLETE: Finding = Finding::Progressive { index_first: false, unfinished: false };
    const FASTSTART: Finding = Finding::Progressive { index_first: true, unfinished: false };

    fn streams() -> Vec<(&'static str, Vec<Vec<u8>>, Finding)> {
        let sidx = || raw(*b"sidx", &[0; 44]);
        let free = |len: usize| raw(*b"free", &vec![0; len]);
        let wide = |len: usize| raw(*b"wide", &vec![0; len]);
        let qt = || raw(*b"ftyp", b"qt  \0\0\x02\0qt  ");
        let (f, p) = (true, false);
        vec![
            ("ffmpeg empty_moov default_base_moof", vec![ftyp(), moov(f), moof(RELATIVE), mdat()], GOOD),
            ("ffmpeg, OBS fragmented MP4", vec![ftyp(), moov(f), moof(ABSOLUTE), mdat()], POOR),
            ("OBS fragmented MOV", vec![qt(), moov(f), moof(ABSOLUTE), mdat()], POOR),
            ("ffmpeg omit_tfhd_offset", vec![ftyp(), moov(f), moof(0x38), mdat()], POOR),
            ("ffmpeg frag_keyframe only", vec![ftyp(), moov(f), mdat(), moof(ABSOLUTE)], POOR),
            ("ffmpeg dash", vec![ftyp(), moov(f), sidx(), sidx(), moof(RELATIVE), mdat()], GOOD),
            ("a media segment", vec![raw(*b"styp", b"msdh\0\0\0\0msix"), sidx(), moof(RELATIVE), mdat()], GOOD),
            ("GPAC", vec![ftyp(), raw(*b"free", b"IsoMedia File Produced\0"), moov(f), moof(RELATIVE)], GOOD),
            ("other room before the moov", vec![ftyp(), free(100), moov(f), moof(RELATIVE)], GOOD),
            (
                "16 bytes of free that say something",
                vec![ftyp(), raw(*b"free", b"abcdefgh"), moov(f), moof(RELATIVE)],
                GOOD,
            ),
            ("a placeholder elsewhere", vec![ftyp(), free(8), raw(*b"uuid", &[1; 20]), moov(f), moof(RELATIVE)], GOOD),
            ("room after the moov", vec![ftyp(), moov(f), free(8), free(0), moof(RELATIVE)], GOOD),
            ("OBS hybrid MP4", vec![ftyp(), free(8), moov(f), moof(ABSOLUTE), mdat()], Finding::Hybrid),
            ("OBS hybrid MOV", vec![qt(), wide(8), moov(f), moof(ABSOLUTE), mdat()], Finding::Hybrid),
            ("ffmpeg hybrid", vec![ftyp(), free(0), moov(f), mdat(), moof(ABSOLUTE), mdat()], Finding::Hybrid),
            ("ffmpeg hybrid empty_moov", vec![ftyp(), free(0), moov(f), moof(RELATIVE), mdat()], Finding::Hybrid),
            ("ffmpeg hybrid MOV", vec![qt(), wide(0), moov(f), moof(ABSOLUTE), mdat()], Finding::Hybrid),
            ("ffmpeg hybrid delay_moov", vec![free(0), ftyp(), moov(f), moof(ABSOLUTE), mdat()], Finding::Hybrid),
            ("hybrid, rewritten", vec![ftyp(), mdat(), moov(p)], COMPLETE),
            ("ffmpeg hybrid, rewritten", vec![ftyp(), free(0), mdat(), moov(f)], COMPLETE),
            ("recording", vec![ftyp(), free(0), open_mdat()], RECORDING),
            ("recording MOV", vec![qt(), wide(0), open_mdat()], RECORDING),
            ("recording with moov_size", vec![ftyp(), vec![0; 90], free(0), open_mdat()], RECORDING),
            ("recorded", vec![ftyp(), free(0), mdat(), moov(p)], COMPLETE),
            ("faststart", vec![ftyp(), moov(p), free(0), mdat()], FASTSTART),
            ("faststart with room", vec![ftyp(), free(8), moov(p), mdat()], FASTSTART),
            ("old QuickTime", vec![mdat(), moov(p)], COMPLETE),
            ("AVIF", vec![ftyp(), raw(*b"meta", &[0; 200]), mdat()], Finding::NotMp4(OffReason::NoMovie)),
            ("broken", vec![ftyp(), b"\0\0\0\x03moov".to_vec()], Finding::NotMp4(OffReason::TooShort)),
            (
                "Matroska",
                vec![b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23".to_vec()],
                Finding::NotMp4(OffReason::UnknownStart),
            ),
            ("MPEG-TS", vec![vec![0x47; 376]], Finding::NotMp4(OffReason::UnknownStart)),
            ("FLV", vec![b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec()], Finding::NotMp4(OffReason::UnknownStart)),
            ("text", vec![b"Hello, free world".to_vec()], Finding::NotMp4(OffReason::UnknownStart)),
        ]
    }

    fn inspect<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Finding> {
        let mut scanner = Scanner::inspecting();
        let feed = |part: &[u8]| {
            scanner.feed(part);
            scanner.finding()
        };
        parts.into_iter().filter_map(feed).collect()
    }

    #[test]
    fn known_streams_at_every_split() {
        for (name, parts, want) in streams() {
            let data = parts.concat();
            assert_eq!(inspect([&data[..]]), [want], "{name}");
            for slice in [1, 2, 3, 7, 8, 16, 64] {
                assert_eq!(inspect(data.chunks(slice)), [want], "{name} in slices of {slice}");
            }
            for cut in 0..=data.len() {
                let (a, b) = data.split_at(cut);
                assert_eq!(inspect([a, b]), [want], "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn hybrid_is_known_before_its_first_fragment() {
        let data = [ftyp(), raw(*b"free", &[0; 8]), moov(true)].concat();
        assert_eq!(inspect([&data[..]]), [Finding::Hybrid]);
    }

    #[test]
    fn nothing_is_said_too_early() {
        let data = [ftyp(), moov(true), mdat(), moof(RELATIVE)].concat();
        assert_eq!(inspect([&data[..data.len() - 1]]), []);
        assert_eq!(inspect([&data[..]]), [GOOD]);
        assert_eq!(inspect([&b""[..], b"\0\0\0\x20fty"]), []);
    }

    #[test]
    fn warnings_are_for_what_can_be_done_better() {
        for (name, _, finding) in streams() {
            let warned = finding.warning();
            let fine = matches!(finding, GOOD | FASTSTART | Finding::NotMp4(_));
            assert_eq!(warned.is_none(), fine, "{name}");
            if let Some(sentence) = warned {
                assert!(sentence.contains("OBS") && sentence.contains("default_base_moof"), "{sentence}");
                assert!(!sentence.contains('\n') && !sentence.contains("  "), "{sentence}");
            }
        }
    }

    proptest! {
        #[test]
        fn mutated_streams_give_one_answer_however_sliced(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            slice in 1usize..100,
        ) {
            let all = streams();
            let mut data = which.get(&all).1.concat();
            for (at, byte) in changes {
                // Most of the bytes that matter are near the front.
                let near = at.index(data.len()) % 120 % data.len();
                data[near] = byte;
            }
            let whole = inspect([&data[..]]);
            prop_assert!(whole.len() <= 1);
            prop_assert_eq!(inspect(data.chunks(slice)), whole);
        }

        #[test]
        fn random_bytes_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..500), slice in 1usize..50) {
            let tail = [ftyp(), moov(true), data.clone()].concat();
            prop_assert_eq!(inspect(tail.chunks(slice)), inspect([&tail[..]]));
            prop_assert_eq!(inspect(data.chunks(slice)), inspect([&data[..]]));
        }
    }
}
