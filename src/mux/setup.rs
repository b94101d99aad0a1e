//! What a configuration record says of a track: all that a header and a clock need to know.

use bytes::Bytes;

use super::picture;
use crate::media::flv::Codec;

/// Units of a second for pictures: RTMP has no finer ones.
const MILLISECONDS: u32 = 1000;
/// The clock of Opus, whatever was recorded.
const OPUS_RATE: u32 = 48_000;
/// The longest configuration record; those of encoders have some hundred bytes.
const CONFIG_MAX: usize = 128 << 10;

/// A track, as its configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// How it is coded.
    pub codec: Codec,
    /// The record, byte for byte.
    pub config: Bytes,
    /// Units of a second.
    pub timescale: u32,
    /// What kind of track it is, with what belongs to that.
    pub shape: Shape,
}

/// Pictures or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Pictures, of this size where it is known.
    Picture(Option<(u16, u16)>),
    /// Sound with so many channels at this rate.
    Sound {
        /// How many; 0 where only the sound itself tells.
        channels: u16,
        /// Samples in a second.
        rate: u32,
    },
}

/// Why there is no track of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Not a record, or a broken one.
    #[error("its {} configuration cannot be read", .0.name())]
    Broken(Codec),
    /// Start codes where a record should be.
    #[error("it sends {} with start codes (Annex B), which RTMP does not know", .0.name())]
    StartCodes(Codec),
}

impl Setup {
    /// Reads a configuration record.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn of(codec: Codec, config: &Bytes) -> Result<Self, SetupError> {
        let broken = || SetupError::Broken(codec);
        if config.len() > CONFIG_MAX {
            return Err(broken());
        }
        let video = matches!(codec, Codec::Avc | Codec::Hevc);
        if video && (config.starts_with(&[0, 0, 0, 1]) || config.starts_with(&[0, 0, 1])) {
            return Err(SetupError::StartCodes(codec));
        }
        let least = |length: usize| if config.len() < length { Err(broken()) } else { Ok(()) };
        let mut config = config.clone();
        let (timescale, shape) = match codec {
            Codec::Avc => {
                least(7)?;
                (MILLISECONDS, Shape::Picture(picture::of_avc(&config)))
            }
            Codec::Hevc => {
                least(23)?;
                (MILLISECONDS, Shape::Picture(picture::of_hevc(&config)))
            }
            Codec::Av1 => {
                least(4)?;
                (MILLISECONDS, Shape::Picture(None))
            }
            Codec::Vp9 => {
                // With the version and flags of its box in front, as some send it.
                if config.len() >= 12 && config.starts_with(&[1, 0, 0, 0]) {
                    config = config.slice(4..);
                }
                least(6)?;
                (MILLISECONDS, Shape::Picture(None))
            }
            Codec::Aac => aac(&config).ok_or_else(broken)?,
            Codec::Opus => {
                least(19)?;
                let channels = config.get(9).copied().filter(|_| config.starts_with(b"OpusHead")).ok_or_else(broken)?;
                (OPUS_RATE, Shape::Sound { channels: u16::from(channels), rate: OPUS_RATE })
            }
        };
        Ok(Self { codec, config, timescale, shape })
    }

    /// A frame as a sample has it: AV1 without the mark between two pictures, which MP4 does not want.
    #[must_use]
    pub fn sample(&self, data: Bytes) -> Bytes {
        const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];
        if self.codec == Codec::Av1 && data.starts_with(&TEMPORAL_DELIMITER) { data.slice(2..) } else { data }
    }

    /// Whether a frame has start codes (Annex B) where the record says that each unit has its length in front: nobody could decode it.
    #[must_use]
    pub fn has_start_codes(&self, data: &[u8]) -> bool {
        let size = match self.codec {
            Codec::Avc => self.config.get(4),
            Codec::Hevc => self.config.get(21),
            _ => None,
        };
        let Some(size) = size.map(|byte| usize::from(byte & 3) + 1) else { return false };
        (data.starts_with(&[0, 0, 1]) || data.starts_with(&[0, 0, 0, 1])) && !has_lengths(data, size)
    }

    /// How long a frame of sound lasts by itself, in units of the timescale; `None` for pictures.
    #[must_use]
    pub fn frame(&self, data: &[u8]) -> Option<u32> {
        match self.codec {
            Codec::Aac => Some(1024),
            Codec::Opus => Some(opus_frame(data).unwrap_or(OPUS_RATE / 50)),
            _ => None,
        }
    }
}

/// Whether units with their lengths of so many bytes in front are all that there is.
fn has_lengths(mut data: &[u8], size: usize) -> bool {
    while !data.is_empty() {
        let Some((length, rest)) = data.split_at_checked(size) else { return false };
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Some(rest) = rest.get(length..) else { return false };
        data = rest;
    }
    true
}

/// Object type, rate and channels of an `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1). The rate is that of the core, of
/// which a frame has 1024 samples.
fn aac(config: &[u8]) -> Option<(u32, Shape)> {
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    let mut at = 0;
    let mut bits = |count: usize| -> Option<u32> {
        let mut value = 0;
        for place in at..at + count {
            value = value << 1 | u32::from(config.get(place / 8)? >> (7 - place % 8) & 1);
        }
        at += count;
        Some(value)
    };
    if bits(5)? == 31 {
        bits(6)?;
    }
    let index = usize::try_from(bits(4)?).ok()?;
    let rate = if index == 15 { bits(24)? } else { *RATES.get(index)? };
    let channels = match bits(4)? {
        channels @ 0..=6 => u16::try_from(channels).ok()?,
        7 => 8,
        _ => return None,
    };
    (1_000..=768_000).contains(&rate).then_some((rate, Shape::Sound { channels, rate }))
}

/// How many samples an Opus packet has at 48 kHz (RFC 6716, 3.1).
fn opus_frame(data: &[u8]) -> Option<u32> {
    let first = *data.first()?;
    let samples = match first >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880].get(usize::from(config & 3)).copied()?,
        config @ 12..=15 => [480, 960].get(usize::from(config & 1)).copied()?,
        config => [120, 240, 480, 960].get(usize::from(config & 3)).copied()?,
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(data.get(1)? & 0x3f),
    };
    Some(samples * frames).filter(|samples| (1..=5760).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_tells_its_rate_and_channels() {
        for (config, wanted) in [
            (&[0x11, 0x90][..], Some((48_000, 2))),
            (&[0x12, 0x08], Some((44_100, 1))),
            // 7.1, and a rate that is written out.
            (&[0x11, 0xb8], Some((48_000, 8))),
            (&[0x17, 0x80, 0x1f, 0x40, 0x08], Some((16_000, 1))),
            // With a band that is added, the core's rate.
            (&[0x2b, 0x92, 0x08, 0x00], Some((22_050, 2))),
            (&[0x11], None),
            (&[0x16, 0x90], None),
        ] {
            let setup = Setup::of(Codec::Aac, &Bytes::copy_from_slice(config));
            let told = setup.ok().map(|setup| match setup.shape {
                Shape::Sound { channels, rate } => (rate, channels),
                Shape::Picture(_) => panic!("a picture"),
            });
            assert_eq!(told, wanted, "{config:02x?}");
        }
    }

    #[test]
    fn a_packet_of_opus_tells_how_long_it_is() {
        for (data, samples) in [
            (&[0xfc, 1][..], Some(960)),
            (&[0xfd, 1], Some(1920)),
            (&[0xe0], Some(120)),
            (&[0x1b, 2], Some(5760)),
            (&[0x1b, 3], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(opus_frame(data), samples, "{data:02x?}");
        }
    }

    #[test]
    fn start_codes_are_told_from_lengths() {
        let setup = |codec, config: &[u8]| Setup::of(codec, &Bytes::copy_from_slice(config)).expect("a record");
        // Lengths of four bytes, of three, and of two.
        let avc = |size: u8| setup(Codec::Avc, &[1, 0x64, 0, 12, 0xfc | (size - 1), 0xe0, 0]);
        let mut record = [0; 23];
        (record[0], record[21]) = (1, 3);
        let hevc = setup(Codec::Hevc, &record);
        let one = [0, 0, 0, 1, 9];
        let long = [&[0, 0, 1, 2][..], &[7; 0x102]].concat();
        for (setup, data, wanted) in [
            (&avc(4), &[0, 0, 0, 1, 0x65, 1, 2, 3, 4][..], true),
            (&avc(4), &[0, 0, 1, 0x65, 1, 2, 3, 4], true),
            (&hevc, &[0, 0, 0, 1, 0x26, 1, 2, 3, 4], true),
            (&avc(2), &[0, 0, 0, 1, 0x65, 1, 2, 3, 4], true),
            // Lengths that look like start codes.
            (&avc(4), &one, false),
            (&avc(4), &[one, one].concat(), false),
            (&avc(4), &long, false),
            (&avc(3), &[0, 0, 1, 9], false),
            (&avc(2), &[0, 0, 0, 1, 9], false),
            // Broken, and no start code.
            (&avc(4), &[0, 0, 9, 9, 1], false),
            (&avc(4), b"v0001", false),
            (&setup(Codec::Aac, &[0x11, 0x90]), &[0, 0, 0, 1, 0x65, 1, 2, 3, 4], false),
        ] {
            assert_eq!(setup.has_start_codes(data), wanted, "{} {:02x?}", setup.codec.name(), &data[..4]);
        }
    }

    #[test]
    fn what_is_no_record_is_named() {
        let setup =
            |codec, config: &'static [u8]| Setup::of(codec, &Bytes::from_static(config)).map(|setup| setup.config);
        assert_eq!(setup(Codec::Avc, b"\0\0\0\x01\x67abcdefgh"), Err(SetupError::StartCodes(Codec::Avc)));
        assert_eq!(setup(Codec::Avc, b"\x01"), Err(SetupError::Broken(Codec::Avc)));
        assert_eq!(setup(Codec::Opus, b"OpusTags\x01\x02\0\0\0\0\0\0\0\0\0\0\0"), Err(SetupError::Broken(Codec::Opus)));
        let (short, long) = (&b"\0\x1e\x80\x01\x01\x01\0\0"[..], b"\x01\0\0\0\0\x1e\x80\x01\x01\x01\0\0");
        assert_eq!(setup(Codec::Vp9, short), setup(Codec::Vp9, long));
    }
}
