//! The size of the picture, out of the sequence parameter sets in a decoder's configuration (H.264, 7.3.2.1.1; H.265,
//! 7.3.2.2). `None` wherever they say something that is not understood.

/// Bits from the most significant on, without the bytes that keep start codes from occurring.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn of(nal: &[u8]) -> Self {
        // Sizes come early; what follows them may be long.
        let nal = nal.get(..nal.len().min(1024)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(nal.len());
        let mut zeros = 0;
        for byte in nal {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Self { bytes, at: 0 }
    }

    fn bits(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        self.bits(1).map(|bit| bit == 1)
    }

    fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// A number whose length is told by zeros in front.
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    fn signed(&mut self) -> Option<i64> {
        let code = i64::from(self.number()?);
        Some(if code % 2 == 0 { -code / 2 } else { (code + 1) / 2 })
    }
}

/// The size, where it is one.
fn size(width: u32, height: u32) -> Option<(u16, u16)> {
    let fits = |side: u32| u16::try_from(side).ok().filter(|side| (1..=16384).contains(side));
    fits(width).zip(fits(height))
}

/// The size that an `avcC` tells.
pub(super) fn of_avc(config: &[u8]) -> Option<(u16, u16)> {
    if config.get(5)? % 32 == 0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes(*config.get(6..)?.first_chunk()?));
    let mut bits = Bits::of(config.get(8..8 + length)?);
    bits.skip(8);
    let profile = bits.bits(8)?;
    bits.skip(16);
    bits.number()?;
    let mut chroma = 1;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.number()?;
        if chroma == 3 {
            bits.skip(1);
        }
        bits.number()?;
        bits.number()?;
        bits.skip(1);
        if bits.flag()? {
            scaling_lists(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.number()?;
    match bits.number()? {
        0 => {
            bits.number()?;
        }
        1 => {
            bits.skip(1);
            bits.signed()?;
            bits.signed()?;
            for _ in 0..bits.number()?.min(255) {
                bits.signed()?;
            }
        }
        _ => {}
    }
    bits.number()?;
    bits.skip(1);
    let (width, height) = (bits.number()?.checked_add(1)?, bits.number()?.checked_add(1)?);
    let fields = if bits.flag()? { 1 } else { 2 };
    if fields == 2 {
        bits.skip(1);
    }
    bits.skip(1);
    let (x, y) = match chroma {
        0 | 3 => (1, fields),
        1 => (2, 2 * fields),
        _ => (2, fields),
    };
    let (across, down) = cropped(&mut bits, x, y)?;
    size(width.checked_mul(16)?.checked_sub(across)?, height.checked_mul(16 * fields)?.checked_sub(down)?)
}

fn scaling_lists(bits: &mut Bits, count: usize) -> Option<()> {
    for list in 0..count {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.signed()? + 256) % 256;
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// What is cut off a picture, across and down.
fn cropped(bits: &mut Bits, x: u32, y: u32) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return Some((0, 0));
    }
    let mut next = || bits.number();
    let (left, right, top, bottom) = (next()?, next()?, next()?, next()?);
    Some((left.checked_add(right)?.checked_mul(x)?, top.checked_add(bottom)?.checked_mul(y)?))
}

/// The size that an `hvcC` tells.
pub(super) fn of_hevc(config: &[u8]) -> Option<(u16, u16)> {
    const SPS: u8 = 33;
    let mut rest = config.get(23..)?;
    for _ in 0..*config.get(22)? {
        let kind = rest.first()? & 0x3f;
        let count = u16::from_be_bytes(*rest.get(1..)?.first_chunk()?);
        rest = rest.get(3..)?;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
            let nal = rest.get(2..2 + length)?;
            if kind == SPS {
                return hevc_size(nal);
            }
            rest = rest.get(2 + length..)?;
        }
    }
    None
}

fn hevc_size(nal: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::of(nal);
    bits.skip(16 + 4);
    let layers = usize::try_from(bits.bits(3)?).ok()?;
    bits.skip(1 + 88 + 8);
    let mut parts = 0;
    for _ in 0..layers {
        parts += if bits.flag()? { 88 } else { 0 };
        parts += if bits.flag()? { 8 } else { 0 };
    }
    bits.skip(if layers > 0 { 2 * (8 - layers) } else { 0 } + parts);
    bits.number()?;
    let chroma = bits.number()?;
    if chroma == 3 {
        bits.skip(1);
    }
    let (width, height) = (bits.number()?, bits.number()?);
    let (across, down) =
        cropped(&mut bits, if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 })?;
    size(width.checked_sub(across)?, height.checked_sub(down)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From x264, cropped in both directions.
    const AVC_1080: &str =
        "01640028ffe1001b67640028acd940780227e5c044000003000400000300283c60c65801000468ef8fcbfdf8f800";
    const AVC_182: &str =
        "0164000cffe1001b6764000cacd941519e226c044000000300400000030283c50a658001000468ef8fcbfdf8f800";
    /// From x265 at 642×362, without its last parameter sets.
    const HEVC: &str = "0101600000009000000000003ff000fcfdf8f800000f02200001001840010c01ffff016000000300900000030000\
        03003f959409210001002c42010101600000030090000003000003003fa005220171c449965654a4c2f016808000000300800000030284";

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn sizes_are_those_of_the_encoders() {
        assert_eq!(of_avc(&bytes(AVC_1080)), Some((1920, 1080)));
        assert_eq!(of_avc(&bytes(AVC_182)), Some((322, 182)));
        assert_eq!(of_hevc(&bytes(HEVC)), Some((642, 362)));
        assert_eq!((of_avc(&[]), of_hevc(&[])), (None, None));
    }

    #[test]
    fn no_cut_and_no_byte_makes_it_fail() {
        for config in [AVC_1080, HEVC].map(bytes) {
            for cut in 0..config.len() {
                let _ = (of_avc(&config[..cut]), of_hevc(&config[..cut]));
                for byte in [0, 0xff, 0x80] {
                    let mut config = config.clone();
                    config[cut] = byte;
                    let _ = (of_avc(&config), of_hevc(&config));
                }
            }
        }
        let _ = (of_avc(&[0xff; 2000]), of_hevc(&[0; 2000]), of_avc(&[0; 2000]), of_hevc(&[0xff; 2000]));
    }
}
