//! What a manifest of Smooth Streaming says of a codec: of H.264 and AAC, for which all players are made. Pure.

use crate::media::fmp4::{Track, TrackKind};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) four_cc: &'static str,
    /// What a decoder is told first, in hexadecimal digits (`CodecPrivateData`).
    pub(crate) private: String,
    /// How many bytes the length of a NAL unit takes; of H.264.
    pub(crate) lengths: Option<u8>,
}

/// What is said of a track; none where Smooth Streaming does not know what it is.
pub(crate) fn level(track: &Track) -> Option<Level> {
    match track.kind {
        TrackKind::Video if track.codec.starts_with("avc") => avc(&track.config),
        TrackKind::Audio => {
            let object = track.codec.strip_prefix("mp4a.40.").filter(|_| !track.config.is_empty())?;
            // With doubled bands; else the plain one.
            let four_cc = if matches!(object, "5" | "29") { "AACH" } else { "AACL" };
            Some(Level { four_cc, private: hex::encode(&track.config), lengths: None })
        }
        _ => None,
    }
}

/// Out of an `avcC` (ISO/IEC 14496-15, 5.3.3.1): its parameter sets one after the other, as in a stream of bytes.
fn avc(config: &[u8]) -> Option<Level> {
    let lengths = config.get(4)? & 3;
    let mut rest = config.get(5..)?;
    let mut private = String::new();
    // The count of the first kind has three bits that mean nothing.
    for mask in [0x1f, 0xff] {
        let (count, sets) = rest.split_first()?;
        rest = sets;
        for _ in 0..count & mask {
            let (length, sets) = rest.split_first_chunk::<2>()?;
            let (set, sets) = sets.split_at_checked(u16::from_be_bytes(*length).into())?;
            private.push_str("00000001");
            private.push_str(&hex::encode(set));
            rest = sets;
        }
    }
    (!private.is_empty()).then_some(Level { four_cc: "H264", private, lengths: Some(lengths + 1) })
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// Two of the first kind of parameter sets, and one of the second.
    pub(crate) const AVCC: &[u8] =
        &[1, 0x64, 0, 0x1f, 0xff, 0xe2, 0, 4, 0x67, 0x64, 0, 0x1f, 0, 2, 0x67, 2, 1, 0, 3, 0x68, 0xee, 0x3c];
    /// AAC-LC, 48 kHz, stereo.
    pub(crate) const ASC: &[u8] = &[0x11, 0x90];

    pub(crate) fn track(kind: TrackKind, codec: &str, config: &'static [u8]) -> Track {
        let (id, timescale) = if kind == TrackKind::Audio { (2, 48_000) } else { (1, 100) };
        let (codec, config) = (codec.to_owned(), Bytes::from_static(config));
        let (width, height, sample_rate, channels) = (1280, 720, 48_000, 2);
        let (edit_offset, default_duration, default_size, default_flags) = (0, 0, 0, 0);
        Track {
            id,
            kind,
            timescale,
            codec,
            width,
            height,
            sample_rate,
            channels,
            edit_offset,
            default_duration,
            default_size,
            default_flags,
            config,
        }
    }

    #[test]
    fn codecs_are_told_as_players_want_them() {
        let of = |kind, codec, config| level(&track(kind, codec, config));
        let private = "00000001676400 1f000000016702 0000000168ee3c".replace(' ', "");
        let h264 = Some(Level { four_cc: "H264", private, lengths: Some(4) });
        let aac = |four_cc| Some(Level { four_cc, private: "1190".to_owned(), lengths: None });
        for (kind, codec, config, want) in [
            (TrackKind::Video, "avc1.64001f", AVCC, h264.clone()),
            (TrackKind::Video, "avc3.64001f", AVCC, h264),
            (TrackKind::Video, "avc3.64001f", &AVCC[..5], None),
            (TrackKind::Video, "avc3.64001f", &[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0], None),
            (TrackKind::Video, "hvc1.1.6.L93.90", &[], None),
            (TrackKind::Audio, "mp4a.40.2", ASC, aac("AACL")),
            (TrackKind::Audio, "mp4a.40.5", ASC, aac("AACH")),
            (TrackKind::Audio, "mp4a.40.2", &[], None),
            (TrackKind::Audio, "mp4a.6b", &[], None),
            (TrackKind::Audio, "opus", &[], None),
            (TrackKind::Other, "avc1", AVCC, None),
        ] {
            assert_eq!(of(kind, codec, config), want, "{codec}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_header_says_makes_it_panic(config in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = avc(&config);
        }
    }
}
