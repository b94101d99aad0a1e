//! What is in front of all fragments: `ftyp` and `moov`.

use bytes::Bytes;

use super::setup::{Setup, Shape};
use crate::media::flv::Codec;
use crate::media::fmp4::writer::Writer;

/// No rotation, no scaling.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// What a picture's size is taken for where nobody tells: players go by the pictures themselves.
const UNTOLD: (u16, u16) = (1920, 1080);
/// A frame that can be decoded by itself, for the default.
const INDEPENDENT: u32 = 0x0200_0000;

/// The header for these tracks, which are numbered from one on.
pub(super) fn header(tracks: &[&Setup], told: Option<(u16, u16)>) -> Bytes {
    let mut writer = Writer::default();
    writer.boxed(*b"ftyp", |w| {
        w.raw(b"iso6\0\0\x02\0iso6iso5mp41");
    });
    writer.boxed(*b"moov", |w| {
        w.full(*b"mvhd", 0, 0, |w| {
            w.words(&[0, 0, 1000, 0, 0x1_0000]);
            w.words(&[0x0100_0000, 0, 0]);
            w.words(&MATRIX);
            w.zeros(24);
            w.u32(number(tracks.len()) + 1);
        });
        for (at, setup) in tracks.iter().enumerate() {
            track(w, number(at) + 1, setup, told);
        }
        w.boxed(*b"mvex", |w| {
            for (at, setup) in tracks.iter().enumerate() {
                let flags = if is_sound(setup) { INDEPENDENT } else { 0 };
                w.full(*b"trex", 0, 0, |w| w.words(&[number(at) + 1, 1, 0, 0, flags]));
            }
        });
    });
    writer.bytes.freeze()
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn is_sound(setup: &Setup) -> bool {
    matches!(setup.shape, Shape::Sound { .. })
}

fn track(w: &mut Writer, id: u32, setup: &Setup, told: Option<(u16, u16)>) {
    let sound = is_sound(setup);
    w.boxed(*b"trak", |w| {
        w.full(*b"tkhd", 0, 3, |w| {
            // Times, number, no duration; layer, group, volume.
            w.words(&[0, 0, id, 0, 0, 0, 0, 0]);
            w.u32(if sound { 0x0100_0000 } else { 0 });
            w.words(&MATRIX);
            let (width, height) = if sound { (0, 0) } else { dimensions(setup, told) };
            w.words(&[u32::from(width) << 16, u32::from(height) << 16]);
        });
        w.boxed(*b"mdia", |w| {
            // No language is told.
            w.full(*b"mdhd", 0, 0, |w| w.words(&[0, 0, setup.timescale, 0, 0x55c4_0000]));
            w.full(*b"hdlr", 0, 0, |w| {
                w.u32(0);
                w.raw(if sound { b"soun" } else { b"vide" });
                w.zeros(12);
                w.raw(if sound { b"sound\0" } else { b"video\0" });
            });
            w.boxed(*b"minf", |w| {
                if sound {
                    w.full(*b"smhd", 0, 0, |w| w.u32(0));
                } else {
                    w.full(*b"vmhd", 0, 1, |w| w.zeros(8));
                }
                w.boxed(*b"dinf", |w| {
                    w.full(*b"dref", 0, 0, |w| {
                        w.u32(1);
                        w.full(*b"url ", 0, 1, |_| {});
                    });
                });
                w.boxed(*b"stbl", |w| {
                    w.full(*b"stsd", 0, 0, |w| {
                        w.u32(1);
                        sample_entry(w, setup, told);
                    });
                    for kind in [*b"stts", *b"stsc", *b"stco"] {
                        w.full(kind, 0, 0, |w| w.u32(0));
                    }
                    w.full(*b"stsz", 0, 0, |w| w.words(&[0, 0]));
                });
            });
        });
    });
}

/// The size of the picture: by the record, else as the encoder tells it.
fn dimensions(setup: &Setup, told: Option<(u16, u16)>) -> (u16, u16) {
    match setup.shape {
        Shape::Picture(size) => size.or(told).unwrap_or(UNTOLD),
        Shape::Sound { .. } => (0, 0),
    }
}

fn sample_entry(w: &mut Writer, setup: &Setup, told: Option<(u16, u16)>) {
    let config = &setup.config;
    let kind = match setup.codec {
        Codec::Avc => *b"avc1",
        Codec::Hevc => *b"hvc1",
        Codec::Av1 => *b"av01",
        Codec::Vp9 => *b"vp09",
        Codec::Aac => *b"mp4a",
        Codec::Opus => *b"Opus",
    };
    w.boxed(kind, |w| {
        w.zeros(6);
        w.u16(1);
        match setup.shape {
            Shape::Picture(_) => {
                let (width, height) = dimensions(setup, told);
                w.zeros(16);
                w.u16(width);
                w.u16(height);
                // 72 dots an inch, one frame in a sample, no name.
                w.words(&[0x0048_0000, 0x0048_0000, 0]);
                w.u16(1);
                w.zeros(32);
                w.words(&[0x0018_ffff]);
            }
            Shape::Sound { channels, rate } => {
                w.zeros(8);
                w.u16(if channels == 0 { 2 } else { channels });
                w.words(&[0x0010_0000]);
                w.zeros(2);
                // Rates that do not fit are told by the configuration alone.
                w.u16(u16::try_from(rate).unwrap_or(0));
                w.u16(0);
            }
        }
        match setup.codec {
            Codec::Avc => w.boxed(*b"avcC", |w| w.raw(config)),
            Codec::Hevc => w.boxed(*b"hvcC", |w| w.raw(config)),
            Codec::Av1 => w.boxed(*b"av1C", |w| w.raw(config)),
            Codec::Vp9 => w.full(*b"vpcC", 1, 0, |w| w.raw(config)),
            Codec::Aac => esds(w, config),
            Codec::Opus => opus(w, config),
        }
    });
}

/// Descriptors, each with its length (ISO/IEC 14496-1, 7.2.6).
fn esds(w: &mut Writer, config: &[u8]) {
    let length = |w: &mut Writer, length: usize| {
        let length = number(length);
        for shift in [21, 14, 7, 0] {
            let more = if shift == 0 { 0 } else { 0x80 };
            w.u8(u8::try_from(length >> shift & 0x7f).unwrap_or(0) | more);
        }
    };
    let decoder = 13 + 5 + config.len();
    w.full(*b"esds", 0, 0, |w| {
        w.u8(3);
        length(w, 3 + 5 + decoder + 5 + 1);
        w.zeros(3);
        w.u8(4);
        length(w, decoder);
        // MPEG-4 sound, a stream of it, and no word about its size.
        w.raw(&[0x40, 0x15]);
        w.zeros(11);
        w.u8(5);
        length(w, config.len());
        w.raw(config);
        w.u8(6);
        length(w, 1);
        w.u8(2);
    });
}

/// `dOps` out of an `OpusHead`: the same without its name, and with the bytes of numbers the other way round.
fn opus(w: &mut Writer, head: &[u8]) {
    w.boxed(*b"dOps", |w| {
        let reversed = |w: &mut Writer, from: usize, to: usize| {
            for byte in head.get(from..to).unwrap_or_default().iter().rev() {
                w.u8(*byte);
            }
        };
        w.u8(0);
        w.raw(head.get(9..10).unwrap_or_default());
        reversed(w, 10, 12);
        reversed(w, 12, 16);
        reversed(w, 16, 18);
        w.raw(head.get(18..).unwrap_or_default());
    });
}
