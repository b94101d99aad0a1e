//! What a sample entry says of a codec, as the string that browsers and HLS want (RFC 6381).

use std::fmt::Write;

use bytes::Bytes;

use super::boxes::FourCc;
use super::fields::{Boxes, byte, find, half, word};

/// What a sample entry says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) codec: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) sample_rate: u32,
    pub(super) channels: u16,
    /// See [`Track::config`](super::Track::config).
    pub(super) config: Bytes,
}

/// Reads a picture's sample entry, without its box header (ISO/IEC 14496-12, 12.1.3).
pub(super) fn video(kind: FourCc, body: &[u8]) -> Entry {
    let dimension = |at| u32::from(half(body, at).unwrap_or(0));
    let boxes = body.get(78..).unwrap_or_default();
    let described = match &kind.0 {
        b"avc1" | b"avc3" => find(boxes, *b"avcC").and_then(|config| avc(kind, config)),
        b"hvc1" | b"hev1" => find(boxes, *b"hvcC").and_then(|config| hevc(kind, config)),
        b"av01" => find(boxes, *b"av1C").and_then(|config| av1(config, find(boxes, *b"colr"))),
        b"vp08" | b"vp09" => find(boxes, *b"vpcC").and_then(|config| vp9(kind, config)),
        b"mp4v" => find(boxes, *b"esds").and_then(|esds| mpeg4("mp4v", esds)),
        _ => None,
    };
    let codec = described.unwrap_or_else(|| kind.to_string());
    let config = match &kind.0 {
        b"avc1" | b"avc3" => find(boxes, *b"avcC").map(Bytes::copy_from_slice).unwrap_or_default(),
        _ => Bytes::new(),
    };
    Entry { codec, width: dimension(24), height: dimension(26), config, ..Entry::default() }
}

/// Reads a sound's sample entry, without its box header (ISO/IEC 14496-12, 12.2.3).
pub(super) fn audio(kind: FourCc, body: &[u8]) -> Entry {
    let codec = match &kind.0 {
        b"mp4a" => esds(body).and_then(|esds| mpeg4("mp4a", esds)).unwrap_or_else(|| kind.to_string()),
        b"Opus" => "opus".to_owned(),
        b"fLaC" => "flac".to_owned(),
        b".mp3" => "mp3".to_owned(),
        _ => kind.to_string(),
    };
    // A 16.16 number; the whole part is what counts.
    let sample_rate = u32::from(half(body, 24).unwrap_or(0));
    // Many packagers write two channels into the sample entry whatever the sound has.
    let esds = esds(body).filter(|_| &kind.0 == b"mp4a");
    let channels = esds.and_then(aac_channels).or_else(|| half(body, 16)).unwrap_or(0);
    let config = esds.and_then(decoder_config).filter(|(object, _)| *object == MPEG4_AUDIO);
    let config = config.and_then(|(_, specific)| specific).map(Bytes::copy_from_slice).unwrap_or_default();
    Entry { codec, sample_rate, channels, config, ..Entry::default() }
}

/// The `esds` of a sound: after the fields of version 0, or of QuickTime's versions 1 and 2, there in a `wave`.
fn esds(body: &[u8]) -> Option<&[u8]> {
    [28, 44, 64].into_iter().find_map(|at| {
        let boxes = body.get(at..)?;
        find(boxes, *b"esds").or_else(|| find(find(boxes, *b"wave")?, *b"esds"))
    })
}

/// `avc1.PPCCLL`: profile, constraints and level.
fn avc(kind: FourCc, config: &[u8]) -> Option<String> {
    Some(format!("{kind}.{:02x}{:02x}{:02x}", byte(config, 1)?, byte(config, 2)?, byte(config, 3)?))
}

/// ISO/IEC 14496-15, Annex E: `hvc1.1.6.L93.B0`.
fn hevc(kind: FourCc, config: &[u8]) -> Option<String> {
    let profile = byte(config, 1)?;
    let space = match profile >> 6 {
        0 => "",
        1 => "A",
        2 => "B",
        _ => "C",
    };
    let compatible = word(config, 2)?.reverse_bits();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut codec = format!("{kind}.{space}{}.{compatible:X}.{tier}{}", profile & 0x1f, byte(config, 12)?);
    let constraints = config.get(6..12)?;
    let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in constraints.iter().take(used) {
        // Writing to a String cannot fail.
        let _ = write!(codec, ".{byte:X}");
    }
    Some(codec)
}

/// AV1 Codec ISO Media File Format Binding, section 5: the short form, or the full one where there is more to tell.
fn av1(config: &[u8], colour: Option<&[u8]>) -> Option<String> {
    let (profile, level) = (byte(config, 1)? >> 5, byte(config, 1)? & 0x1f);
    let bits = byte(config, 2)?;
    let is = |bit: u8| bits & bit != 0;
    let tier = if is(0x80) { 'H' } else { 'M' };
    let depth = match (is(0x40), is(0x20)) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    let mut codec = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
    let colour = colour.filter(|colour| matches!(colour.first_chunk(), Some(b"nclx")));
    let number = |at: usize| colour.and_then(|colour| half(colour, at));
    let usual = bits & 0x1c == 0x0c;
    if colour.is_some() || !usual {
        let (mono, position) = (u8::from(is(0x10)), if is(0x08) && is(0x04) { bits & 3 } else { 0 });
        let full = colour.and_then(|colour| byte(colour, 10)).unwrap_or(0) >> 7;
        let _ = write!(
            codec,
            ".{mono}.{}{}{position}.{:02}.{:02}.{:02}.{full}",
            u8::from(is(0x08)),
            u8::from(is(0x04)),
            number(4).unwrap_or(1),
            number(6).unwrap_or(1),
            number(8).unwrap_or(1),
        );
    }
    Some(codec)
}

/// VP Codec ISO Media File Format Binding: `vp09.00.31.08`.
fn vp9(kind: FourCc, config: &[u8]) -> Option<String> {
    let (profile, level, depth) = (byte(config, 4)?, byte(config, 5)?, byte(config, 6)? >> 4);
    Some(format!("{kind}.{profile:02}.{level:02}.{depth:02}"))
}

/// `mp4a.40.2`: the object type, and for MPEG-4 sound the audio object type (ISO/IEC 14496-1, 7.2.6; 14496-3, 1.6.2).
fn mpeg4(name: &str, esds: &[u8]) -> Option<String> {
    let (object, specific) = decoder_config(esds)?;
    match (object, specific.and_then(|specific| half(specific, 0))) {
        (MPEG4_AUDIO, Some(bits)) if bits >> 11 == 31 => Some(format!("{name}.40.{}", 32 + (bits >> 5 & 0x3f))),
        (MPEG4_AUDIO, Some(bits)) => Some(format!("{name}.40.{}", bits >> 11)),
        _ => Some(format!("{name}.{object:02x}")),
    }
}

/// The channels that an `AudioSpecificConfig` tells (14496-3, 1.6.2.1); `None` where it leaves them to the stream.
fn aac_channels(esds: &[u8]) -> Option<u16> {
    const PARAMETRIC_STEREO: u32 = 29;
    let (object, specific) = decoder_config(esds)?;
    let specific = specific.filter(|_| object == MPEG4_AUDIO)?;
    let mut at = 0;
    let mut bits = |count: usize| -> Option<u32> {
        let mut value = 0;
        for place in at..at + count {
            value = value << 1 | u32::from(byte(specific, place / 8)? >> (7 - place % 8) & 1);
        }
        at += count;
        Some(value)
    };
    let mut kind = bits(5)?;
    if kind == 31 {
        kind = 32 + bits(6)?;
    }
    if bits(4)? == 15 {
        bits(24)?;
    }
    match bits(4)? {
        1 if kind == PARAMETRIC_STEREO => Some(2),
        channels @ 1..=6 => u16::try_from(channels).ok(),
        7 => Some(8),
        _ => None,
    }
}

/// The object type of MPEG-4 sound.
const MPEG4_AUDIO: u8 = 0x40;

/// The object type of an `esds`, and what is specific to its decoder.
fn decoder_config(esds: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    let es = descriptor(esds.get(4..)?, ES)?;
    let flags = byte(es, 2)?;
    let present = |bit: u8, length: usize| if flags & bit != 0 { length } else { 0 };
    let url = if flags & 0x40 != 0 { 1 + usize::from(byte(es, 3 + present(0x80, 2))?) } else { 0 };
    let config = descriptor(es.get(3 + present(0x80, 2) + url + present(0x20, 2)..)?, DECODER_CONFIG)?;
    let specific = config.get(13..).and_then(|rest| descriptor(rest, DECODER_SPECIFIC));
    Some((byte(config, 0)?, specific))
}

/// The contents of a descriptor with this tag at the beginning of `bytes`.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut length = 0;
    // The length has at most four bytes of seven bits each.
    for _ in 0..4 {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    (first == tag).then(|| rest.get(..length).unwrap_or(rest))
}

/// The first sample entry of an `stsd`, without the box header.
pub(super) fn first_entry(stsd: &[u8]) -> Option<(FourCc, &[u8])> {
    Boxes::new(stsd.get(8..)?).next().map(|inner| (inner.kind, inner.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: [u8; 4]) -> FourCc {
        FourCc(name)
    }

    #[test]
    fn codec_strings_are_those_of_the_standards() {
        assert_eq!(avc(kind(*b"avc1"), &[1, 0x64, 0, 0x1f]).unwrap(), "avc1.64001f");
        let config = [1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        assert_eq!(hevc(kind(*b"hvc1"), &config).unwrap(), "hvc1.1.6.L93.90");
        let config = [1, 0xa2, 0x20, 0, 0, 0, 0xb0, 1, 0, 0, 0, 0, 150];
        assert_eq!(hevc(kind(*b"hev1"), &config).unwrap(), "hev1.B2.4.H150.B0.1");
        assert_eq!(av1(&[0x81, 0x04, 0x0c, 0], None).unwrap(), "av01.0.04M.08");
        let colour = b"nclx\0\x09\0\x10\0\x09\x80";
        assert_eq!(av1(&[0x81, 0x04, 0x4e, 0], Some(colour)).unwrap(), "av01.0.04M.10.0.112.09.16.09.1");
        assert_eq!(av1(&[0x81, 0x04, 0x1c, 0], None).unwrap(), "av01.0.04M.08.1.110.01.01.01.0");
        assert_eq!(vp9(kind(*b"vp09"), &[1, 0, 0, 0, 0, 31, 0x82]).unwrap(), "vp09.00.31.08");
        let aac = [
            0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 0x22, 0, 2, 0, 4, 0x80, 0x80, 0x80, 0x14, 0x40, 0x15, 0, 0, 0, 0, 1, 0xf4,
            0, 0, 1, 0xf4, 0, 5, 0x80, 0x80, 0x80, 2, 0x11, 0x90, 6, 1, 2,
        ];
        assert_eq!(mpeg4("mp4a", &aac).unwrap(), "mp4a.40.2");
        for cut in 0..aac.len() {
            // No cut makes it fail, or read past the end.
            drop((mpeg4("mp4a", &aac[..cut]), aac_channels(&aac[..cut])));
        }
        // The two bytes of its configuration: object type 2, 48 kHz, and the channels.
        let at = aac.len() - 5;
        for (config, channels) in [(0x1190, Some(2)), (0x1188, Some(1)), (0x11b8, Some(8)), (0x1180, None)] {
            let mut aac = aac;
            aac[at..at + 2].copy_from_slice(&u16::to_be_bytes(config));
            assert_eq!(aac_channels(&aac), channels);
        }
    }
}
