//! The bodies of audio and video tags (Video File Format 10.1, annex E.4.2 and E.4.3; Enhanced RTMP v2, "Enhanced Audio" and
//! "Enhanced Video").

use bytes::{Buf, Bytes};

use super::{Codec, Content, FlvError, Kind, TrackId, Unit};

/// Frames that are no pictures but commands to a player.
const COMMAND_FRAME: u8 = 5;

/// The packet types that enhanced RTMP gives the same numbers for sound and pictures.
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    /// Pictures without a composition time.
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const MODIFIER: u8 = 7;
}

/// The most tracks in one tag.
const TRACKS: usize = 16;

/// How tracks share a tag.
mod multi {
    pub(super) const ONE: u8 = 0;
    pub(super) const MANY_CODECS: u8 = 2;
}

fn byte(body: &mut Bytes) -> Result<u8, FlvError> {
    body.try_get_u8().map_err(|_| FlvError::Short)
}

fn u24(body: &mut Bytes) -> Result<u32, FlvError> {
    let high = body.try_get_u16().map_err(|_| FlvError::Short)?;
    Ok(u32::from(high) << 8 | u32::from(byte(body)?))
}

/// A signed number of 24 bits.
fn s24(body: &mut Bytes) -> Result<i32, FlvError> {
    Ok((u24(body)? << 8).cast_signed() >> 8)
}

fn take(body: &mut Bytes, count: usize) -> Result<Bytes, FlvError> {
    if count > body.len() { Err(FlvError::Short) } else { Ok(body.split_to(count)) }
}

fn main_track(kind: Kind) -> TrackId {
    TrackId { kind, number: 0 }
}

/// What a video tag holds.
///
/// # Errors
/// [`FlvError`].
pub fn video(body: &Bytes) -> Result<Vec<Unit>, FlvError> {
    let mut body = body.clone();
    // Some encoders send empty tags to keep a connection alive.
    let Ok(first) = byte(&mut body) else { return Ok(Vec::new()) };
    let frame_type = first >> 4 & 7;
    let key = matches!(frame_type, 1 | 4);
    if first & 0x80 != 0 {
        // What is about frames rather than in them (colours, commands to players) is passed over.
        return if frame_type == COMMAND_FRAME { Ok(Vec::new()) } else { enhanced(Kind::Video, key, first & 15, body) };
    }
    if frame_type == COMMAND_FRAME {
        return Ok(Vec::new());
    }
    let codec = match first & 15 {
        7 => Codec::Avc,
        // As encoders did it before there was enhanced RTMP.
        12 => Codec::Hevc,
        13 => Codec::Av1,
        2 => return Err(unknown("Sorenson H.263", Kind::Video)),
        4 | 5 => return Err(unknown("VP6", Kind::Video)),
        other => return Err(unknown(&format!("video codec {other}"), Kind::Video)),
    };
    let (packet, shown_after) = (byte(&mut body)?, s24(&mut body)?);
    let content = match packet {
        0 if !body.is_empty() => Content::Config(body),
        1 if !body.is_empty() => Content::Frame { key, shown_after, data: body },
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Unit { track: main_track(Kind::Video), codec, content }])
}

/// What an audio tag holds.
///
/// # Errors
/// [`FlvError`].
pub fn audio(body: &Bytes) -> Result<Vec<Unit>, FlvError> {
    let mut body = body.clone();
    let Ok(first) = byte(&mut body) else { return Ok(Vec::new()) };
    match first >> 4 {
        9 => return enhanced(Kind::Audio, true, first & 15, body),
        10 => {}
        2 | 14 => return Err(unknown("MP3", Kind::Audio)),
        4..=6 => return Err(unknown("Nellymoser", Kind::Audio)),
        11 => return Err(unknown("Speex", Kind::Audio)),
        0 | 1 | 3 => return Err(unknown("PCM", Kind::Audio)),
        other => return Err(unknown(&format!("sound format {other}"), Kind::Audio)),
    }
    let content = match byte(&mut body)? {
        0 if !body.is_empty() => Content::Config(body),
        1 if !body.is_empty() => Content::Frame { key: true, shown_after: 0, data: body },
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Unit { track: main_track(Kind::Audio), codec: Codec::Aac, content }])
}

fn unknown(name: &str, kind: Kind) -> FlvError {
    FlvError::Codec { name: name.to_owned(), kind }
}

fn codec(four: &[u8], kind: Kind) -> Result<Codec, FlvError> {
    Ok(match (kind, four) {
        (Kind::Video, b"avc1") => Codec::Avc,
        (Kind::Video, b"hvc1") => Codec::Hevc,
        (Kind::Video, b"av01") => Codec::Av1,
        (Kind::Video, b"vp09") => Codec::Vp9,
        (Kind::Audio, b"mp4a") => Codec::Aac,
        (Kind::Audio, b"Opus") => Codec::Opus,
        _ => return Err(unknown(&four.escape_ascii().to_string(), kind)),
    })
}

/// A tag of enhanced RTMP behind its first byte, whose low half says what kind of packet it is.
fn enhanced(kind: Kind, key: bool, packet: u8, mut body: Bytes) -> Result<Vec<Unit>, FlvError> {
    let packet = behind_modifiers(packet, &mut body)?;
    let multitrack = if kind == Kind::Video { 6 } else { 5 };
    if packet != multitrack {
        let four = take(&mut body, 4)?;
        let Some(content) = content(packet, kind, &four, key, body)? else { return Ok(Vec::new()) };
        return Ok(vec![Unit { track: main_track(kind), codec: codec(&four, kind)?, content }]);
    }
    let how = byte(&mut body)?;
    let (how, packet) = (how >> 4, how & 15);
    let shared = if how == multi::MANY_CODECS { None } else { Some(take(&mut body, 4)?) };
    let mut units = Vec::new();
    for _ in 0..TRACKS {
        if body.is_empty() {
            break;
        }
        let four = shared.clone().map_or_else(|| take(&mut body, 4), Ok)?;
        let number = byte(&mut body)?;
        let size = if how == multi::ONE { body.len() } else { usize::try_from(u24(&mut body)?).unwrap_or(usize::MAX) };
        let data = take(&mut body, size)?;
        if let Some(content) = content(packet, kind, &four, key, data)? {
            units.push(Unit { track: TrackId { kind, number }, codec: codec(&four, kind)?, content });
        }
    }
    Ok(units)
}

/// Passes over what modifies a tag (fractions of a millisecond, for example); the packet type behind it.
fn behind_modifiers(mut packet: u8, body: &mut Bytes) -> Result<u8, FlvError> {
    while packet == packet::MODIFIER {
        let size = match byte(body)? {
            255 => usize::from(body.try_get_u16().map_err(|_| FlvError::Short)?) + 1,
            size => usize::from(size) + 1,
        };
        take(body, size)?;
        packet = byte(body)? & 15;
    }
    Ok(packet)
}

/// A configuration or a frame; `None` for what is neither.
fn content(packet: u8, kind: Kind, four: &[u8], key: bool, mut data: Bytes) -> Result<Option<Content>, FlvError> {
    let composed = kind == Kind::Video && matches!(four, b"avc1" | b"hvc1");
    Ok(match packet {
        // ffmpeg sends an empty one where its encoder of AV1 has said nothing yet, and the right one before the first picture.
        packet::SEQUENCE_START => (!data.is_empty()).then_some(Content::Config(data)),
        packet::CODED_FRAMES | packet::CODED_FRAMES_X if packet == packet::CODED_FRAMES || kind == Kind::Video => {
            let shown_after = if packet == packet::CODED_FRAMES && composed { s24(&mut data)? } else { 0 };
            (!data.is_empty()).then_some(Content::Frame { key, shown_after, data })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Read = Vec<(u8, Codec, Option<(bool, i32)>, &'static [u8])>;

    fn read(kind: Kind, body: &[u8]) -> Result<Vec<Unit>, FlvError> {
        let body = Bytes::copy_from_slice(body);
        if kind == Kind::Video { video(&body) } else { audio(&body) }
    }

    fn units(kind: Kind, wanted: Read) -> Vec<Unit> {
        let unit = |(number, codec, frame, data): (u8, Codec, Option<(bool, i32)>, &'static [u8])| {
            let data = Bytes::from_static(data);
            let content = match frame {
                Some((key, shown_after)) => Content::Frame { key, shown_after, data },
                None => Content::Config(data),
            };
            Unit { track: TrackId { kind, number }, codec, content }
        };
        wanted.into_iter().map(unit).collect()
    }

    #[test]
    fn tags_old_and_enhanced() {
        use Codec::{Aac, Av1, Avc, Hevc, Opus, Vp9};
        let table: Vec<(Kind, &[u8], Read)> = vec![
            (Kind::Video, b"\x17\0\0\0\0conf", vec![(0, Avc, None, b"conf")]),
            (Kind::Video, b"\x17\x01\0\0\x50data", vec![(0, Avc, Some((true, 80)), b"data")]),
            (Kind::Video, b"\x27\x01\xff\xff\xd8data", vec![(0, Avc, Some((false, -40)), b"data")]),
            (Kind::Video, b"\x1c\0\0\0\0conf", vec![(0, Hevc, None, b"conf")]),
            (Kind::Video, b"\x17\x02\0\0\0", vec![]),
            (Kind::Video, b"\x57\0", vec![]),
            (Kind::Video, b"", vec![]),
            (Kind::Video, b"\x17\0\0\0\0", vec![]),
            (Kind::Video, b"\x90av01", vec![]),
            (Kind::Audio, b"\xaf\0", vec![]),
            (Kind::Video, b"\x90hvc1conf", vec![(0, Hevc, None, b"conf")]),
            (Kind::Video, b"\x91hvc1\0\0\x21data", vec![(0, Hevc, Some((true, 33)), b"data")]),
            (Kind::Video, b"\xa3hvc1data", vec![(0, Hevc, Some((false, 0)), b"data")]),
            (Kind::Video, b"\xa1av01data", vec![(0, Av1, Some((false, 0)), b"data")]),
            (Kind::Video, b"\x91vp09data", vec![(0, Vp9, Some((true, 0)), b"data")]),
            (Kind::Video, b"\xd4hvc1\x02\0\x09colorInfo", vec![]),
            (Kind::Video, b"\x94hvc1colours", vec![]),
            (Kind::Video, b"\x96\0avc1\x01conf", vec![(1, Avc, None, b"conf")]),
            (Kind::Video, b"\xa6\x01avc1\x02\0\0\x05data", vec![(2, Avc, Some((false, 5)), b"data")]),
            (
                Kind::Video,
                b"\x96\x13hvc1\x01\0\0\x03one\x02\0\0\x03two",
                vec![(1, Hevc, Some((true, 0)), b"one"), (2, Hevc, Some((true, 0)), b"two")],
            ),
            (
                Kind::Video,
                b"\x96\x20hvc1\x01\0\0\x03oneav01\x02\0\0\x03two",
                vec![(1, Hevc, None, b"one"), (2, Av1, None, b"two")],
            ),
            // A modifier of three bytes in front of coded frames.
            (Kind::Video, b"\x97\x02abc\x01av01data", vec![(0, Av1, Some((true, 0)), b"data")]),
            (Kind::Audio, b"\xaf\0\x11\x90", vec![(0, Aac, None, b"\x11\x90")]),
            (Kind::Audio, b"\xaf\x01data", vec![(0, Aac, Some((true, 0)), b"data")]),
            (Kind::Audio, b"\xaf\x01", vec![]),
            (Kind::Audio, b"\x90OpusOpusHead", vec![(0, Opus, None, b"OpusHead")]),
            (Kind::Audio, b"\x91Opusdata", vec![(0, Opus, Some((true, 0)), b"data")]),
            (Kind::Audio, b"\x94Opus\0\0\x02\0\0\0\x03", vec![]),
            (Kind::Audio, b"\x95\x01mp4a\x01data", vec![(1, Aac, Some((true, 0)), b"data")]),
            (Kind::Audio, b"\x95\x04mp4a\x01\0\0\0", vec![]),
        ];
        for (kind, body, wanted) in table {
            assert_eq!(read(kind, body), Ok(units(kind, wanted)), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_taken_is_named() {
        for (kind, body, named) in [
            (Kind::Audio, &b"\x2fdata"[..], "MP3"),
            (Kind::Audio, b"\x91ac-3data", "ac-3"),
            (Kind::Video, b"\x12data", "Sorenson"),
            (Kind::Video, b"\x91vvc1\0\0\0data", "vvc1"),
            // Names of the wrong kind.
            (Kind::Video, b"\x91Opusdata", "Opus"),
        ] {
            let error = read(kind, body).expect_err("a codec that is not taken");
            assert!(matches!(&error, FlvError::Codec { name, .. } if name.contains(named)), "{error}");
        }
        assert!(read(Kind::Audio, b"\x2f").unwrap_err().to_string().contains("-c:a aac"));
        for (kind, body) in
            [(Kind::Video, &b"\x17"[..]), (Kind::Video, b"\x96\x11avc1\x01\0\0\x09x"), (Kind::Audio, b"\xaf")]
        {
            assert_eq!(read(kind, body), Err(FlvError::Short));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(first in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..60)) {
            let body = [&[first][..], &rest].concat();
            for kind in [Kind::Video, Kind::Audio] {
                if let Ok(units) = read(kind, &body) {
                    let size = |unit: &Unit| match &unit.content {
                        Content::Config(data) | Content::Frame { data, .. } => data.len(),
                    };
                    prop_assert!(units.iter().map(size).sum::<usize>() <= body.len());
                }
            }
        }
    }
}
