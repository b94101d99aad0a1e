//! The two boxes by which players of Smooth Streaming go on: when a fragment begins, and which come after it. Pure.
//!
//! Both are of the extended kind (`uuid`), go into the `traf`, and are those of [MS-SSTR] 2.2.4.4 and 2.2.4.5.

use bytes::Bytes;

use crate::media::fmp4::writer::Writer;

/// Time and duration of a fragment (`tfxd`).
const TFXD: [u8; 16] = *b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2";
/// The same of those that follow it (`tfrf`).
const TFRF: [u8; 16] = *b"\xd4\x80\x7e\xf2\xca\x39\x46\x95\x8e\x54\x26\xcb\x9e\x46\xa7\x9f";

/// When a fragment begins and how long it lasts, in ticks of its track.
pub(crate) type Time = (u64, u64);

/// Both boxes of a fragment; of those that follow it at most 255 are told.
pub(crate) fn boxes(time: Time, next: &[Time]) -> Bytes {
    let mut w = Writer::default();
    // Version 1: numbers of 64 bits.
    let extended = |w: &mut Writer, id: [u8; 16], contents: &dyn Fn(&mut Writer)| {
        w.boxed(*b"uuid", |w| {
            w.raw(&id);
            w.u32(1 << 24);
            contents(w);
        });
    };
    let put = |w: &mut Writer, (begins, lasts): Time| {
        w.u64(begins);
        w.u64(lasts);
    };
    extended(&mut w, TFXD, &|w| put(w, time));
    extended(&mut w, TFRF, &|w| {
        let count = u8::try_from(next.len()).unwrap_or(u8::MAX);
        w.u8(count);
        next.iter().take(count.into()).for_each(|time| put(w, *time));
    });
    w.bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_as_other_muxers_write_them() {
        // By `ffmpeg -f smoothstreaming`, of a fragment of six seconds and of one of two after it.
        let want = "0000002c757569646d1d9b0542d544e680e2141daff757b20100000000000000000c35000000000003938700\
                    0000002d75756964d4807ef2ca3946958e5426cb9e46a79f010000000100000000039fbc000000000001312d00";
        let made = boxes((800_000, 60_000_000), &[(60_800_000, 20_000_000)]);
        assert_eq!(hex::encode(made), want);
        assert_eq!(boxes((0, 1), &[]).len(), 44 + 29);
        assert_eq!(boxes((0, 1), &[(1, 1); 300]).len(), 44 + 29 + 255 * 16);
    }
}
