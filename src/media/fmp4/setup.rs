//! What of a header decides how its tracks are decoded and shown: two headers that agree in that are one and the same for whoever
//! goes on behind the other. Dates, durations and bit rates do not count, which encoders fill in as they find them. Pure.

use super::fields::{Boxes, find, word};

/// What counts of a whole `moov` box, as bytes to be compared; none where it is no header.
#[must_use]
pub fn setup(moov: &[u8]) -> Option<Vec<u8>> {
    let moov = find(moov, *b"moov")?;
    let mut all = Vec::new();
    for trak in Boxes::new(moov).filter(|inner| &inner.kind.0 == b"trak") {
        let mdia = find(trak.body, *b"mdia")?;
        let wide = |body: &[u8]| body.first() == Some(&1);
        for (body, of) in [(find(trak.body, *b"tkhd")?, (20, 12)), (find(mdia, *b"mdhd")?, (20, 12))] {
            all.extend(word(body, if wide(body) { of.0 } else { of.1 })?.to_be_bytes());
        }
        all.extend_from_slice(find(mdia, *b"hdlr").and_then(|hdlr| hdlr.get(8..12)).unwrap_or_default());
        all.extend_from_slice(find(trak.body, *b"edts").and_then(|edts| find(edts, *b"elst")).unwrap_or_default());
        let stsd = find(mdia, *b"minf").and_then(|minf| find(minf, *b"stbl")).and_then(|stbl| find(stbl, *b"stsd"));
        all.extend(without_rates(stsd.unwrap_or_default()));
    }
    for trex in Boxes::new(find(moov, *b"mvex").unwrap_or_default()).filter(|inner| &inner.kind.0 == b"trex") {
        all.extend_from_slice(trex.body);
    }
    Some(all)
}

/// Sample entries without the bit rates in them: those of `btrt`, and of the decoder's descriptor in `esds` (ISO/IEC 14496-1, 7.2.6.6).
fn without_rates(stsd: &[u8]) -> Vec<u8> {
    let mut bytes = stsd.to_vec();
    let places = |name: &[u8; 4]| -> Vec<usize> {
        stsd.windows(4).enumerate().filter(|(_, four)| four == name).map(|(at, _)| at + 4).collect()
    };
    let mut blank = |from: usize, len: usize| {
        if let Some(rates) = bytes.get_mut(from..from.saturating_add(len)) {
            rates.fill(0);
        }
    };
    for at in places(b"btrt") {
        blank(at, 12);
    }
    for at in places(b"esds") {
        if let Some(rates) = decoder(stsd, at + 4) {
            blank(rates, 11);
        }
    }
    bytes
}

/// Where the rates of the decoder's descriptor begin, in an `ES_Descriptor` at `at`.
fn decoder(bytes: &[u8], at: usize) -> Option<usize> {
    const ES: u8 = 3;
    const DECODER: u8 = 4;
    let contents = descriptor(bytes, at, ES)?;
    let flags = *bytes.get(contents + 2)?;
    let mut at = contents + 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*bytes.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    // What it is, and which kind of stream.
    Some(descriptor(bytes, at, DECODER)? + 2)
}

/// Where the contents of a descriptor with this tag begin, behind its length of one to four bytes.
fn descriptor(bytes: &[u8], at: usize, tag: u8) -> Option<usize> {
    if *bytes.get(at)? != tag {
        return None;
    }
    let last = bytes.get(at + 1..)?.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    Some(at + 2 + last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::header;
    use crate::media::fmp4::{bx, words};

    #[test]
    fn bit_rates_and_dates_do_not_count_and_all_else_does() {
        let header = header();
        let start = header.windows(4).position(|four| four == b"moov").expect("a header") - 4;
        let moov = &header[start..];
        let same = setup(moov).expect("a header");
        let change = |name: &[u8; 4], behind: usize| {
            let mut other = moov.to_vec();
            let at = other.windows(4).position(|four| four == name).expect("a box") + 4 + behind;
            other[at] ^= 1;
            setup(&other).expect("a header")
        };
        assert_eq!(change(b"tkhd", 7), same, "a date");
        for (name, behind) in [(b"mdhd", 15), (b"avcC", 1), (b"elst", 11), (b"trex", 15), (b"hdlr", 8), (b"tkhd", 15)] {
            assert_ne!(change(name, behind), same, "{name:?}");
        }
        assert_eq!(setup(&bx(*b"free", &[])), None);
    }

    #[test]
    fn rates_are_found_in_both_boxes() {
        let esds = |rate: u8, config: u8| {
            let decoder =
                [&[4, 0x80, 0x80, 0x80, 17, 0x40, 0x15][..], &[0, 0, 0], &[rate; 8], &[5, 2, 0x11, config]].concat();
            bx(*b"esds", &[vec![0; 4], vec![3, 0x80, 0x80, 0x80, 27, 0, 1, 0], decoder])
        };
        let entry = |rate: u8, config: u8| [esds(rate, config), words(*b"btrt", &[0, rate.into(), 7])].concat();
        assert_eq!(without_rates(&entry(1, 0x90)), without_rates(&entry(200, 0x90)));
        assert_ne!(without_rates(&entry(1, 0x90)), without_rates(&entry(1, 0x88)));
        // Cut anywhere, and with lengths without end.
        for len in 0..entry(1, 2).len() {
            without_rates(&entry(1, 2)[..len]);
        }
        without_rates(&bx(*b"esds", &[vec![0; 4], vec![3, 0xff, 0xff, 0xff, 0xff, 0xff]]));
    }
}
