//! The rungs of a ladder: `1080p,720p:2.8M,480p:1.2M`, and which of them fit the pictures of a stream. Pure.

use crate::human::sizes::bits_a_second;

/// A smaller copy of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The shorter side of its pictures, in pixels.
    pub side: u32,
    /// Bits a second of its pictures.
    pub rate: u64,
}

/// The most rungs.
const MOST: usize = 8;
/// What pictures of such a side usually take, in bits a second.
const USUAL: [(u32, u64); 9] = [
    (144, 150_000),
    (240, 350_000),
    (360, 700_000),
    (480, 1_200_000),
    (540, 1_800_000),
    (720, 2_800_000),
    (1080, 5_000_000),
    (1440, 9_000_000),
    (2160, 16_000_000),
];

impl Rung {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}p", self.side)
    }

    /// Its pictures out of some of this size, which are not smaller: width and height, where -2 keeps the shape.
    #[must_use]
    pub fn scale(&self, (width, height): (u32, u32)) -> String {
        if width < height { format!("{}:-2", self.side) } else { format!("-2:{}", self.side) }
    }
}

/// Reads a list of rungs.
///
/// # Errors
/// In words.
pub fn parse(text: &str) -> Result<Vec<Rung>, String> {
    let rungs = text.split(',').map(|rung| one(rung.trim())).collect::<Result<Vec<_>, _>>()?;
    for (at, rung) in rungs.iter().enumerate() {
        if rungs.iter().take(at).any(|other| other.side == rung.side) {
            return Err(format!("{} is there twice", rung.name()));
        }
    }
    if rungs.len() > MOST { Err(format!("a ladder has at most {MOST} rungs")) } else { Ok(rungs) }
}

fn one(text: &str) -> Result<Rung, String> {
    let (side, rate) = text.split_once(':').map_or((text, None), |(side, rate)| (side, Some(rate)));
    let bad = || format!("{text:?} is no rung such as 720p or 720p:2.8M");
    let side = side.strip_suffix('p').and_then(|side| side.parse().ok()).ok_or_else(bad)?;
    if !(64..=4320).contains(&side) || side % 2 != 0 {
        return Err(format!("{text:?}: a rung has 64 to 4320 lines, an even number"));
    }
    let rate = match rate {
        Some(rate) => bits_a_second(rate).ok_or_else(bad)?,
        None => usual(side),
    };
    if (10_000..=200_000_000).contains(&rate) {
        Ok(Rung { side, rate })
    } else {
        Err(format!("{text:?}: a rung has 10k to 200M bits a second"))
    }
}

fn usual(side: u32) -> u64 {
    let next = USUAL.iter().find(|(known, _)| *known >= side);
    next.or(USUAL.last()).map_or(1_000_000, |(_, rate)| *rate)
}

/// Those of which no picture would be larger than the ones that there are.
#[must_use]
pub fn fitting(rungs: &[Rung], (width, height): (u32, u32)) -> Vec<Rung> {
    rungs.iter().copied().filter(|rung| rung.side <= width.min(height)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_what_is_none_is_refused() {
        let rung = |side, rate| Rung { side, rate };
        for (text, wanted) in [
            ("720p", vec![rung(720, 2_800_000)]),
            (
                "1080p, 720p:2.5M,480p:900k,300p",
                vec![rung(1080, 5_000_000), rung(720, 2_500_000), rung(480, 900_000), rung(300, 700_000)],
            ),
            ("360p:123456,4320p", vec![rung(360, 123_456), rung(4320, 16_000_000)]),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "720",
            "720p,",
            "p",
            "721p",
            "20p",
            "9000p",
            "720p:",
            "720p:x",
            "720p:-1M",
            "720p:1G",
            "720p:1",
            "720p:inf",
            "720p,480p,720p:1M",
            "100p,102p,104p,106p,108p,110p,112p,114p,116p",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_made_larger() {
        let rungs = parse("1080p,720p,360p").expect("rungs");
        let names = |size| fitting(&rungs, size).iter().map(Rung::name).collect::<Vec<_>>();
        for (size, wanted) in [
            ((1920, 1080), vec!["1080p", "720p", "360p"]),
            ((1280, 720), vec!["720p", "360p"]),
            ((1080, 1920), vec!["1080p", "720p", "360p"]),
            ((640, 358), vec![]),
        ] {
            assert_eq!(names(size), wanted, "{size:?}");
        }
        assert_eq!((rungs[1].scale((1920, 1080)), rungs[1].scale((1080, 1920))), ("-2:720".into(), "720:-2".into()));
    }
}
