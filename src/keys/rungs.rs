//! The rungs of a ladder: `1080p,720p:2.8M,480p:1.2M`, and which of them fit the pictures of a stream. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::human::sizes::bits_a_second;

/// All rungs of one ladder, as people write them; of `none` there is no ladder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rungs(Vec<Rung>);

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
/// How a ladder is written that has no rungs.
const NONE: &str = "none";
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

impl Rungs {
    /// Whether there is no ladder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of which no picture would be larger than the ones that there are, and those that are left out.
    #[must_use]
    pub fn fitting(&self, (width, height): (u32, u32)) -> (Vec<Rung>, Vec<Rung>) {
        self.0.iter().copied().partition(|rung| rung.side <= width.min(height))
    }
}

impl FromStr for Rungs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self::default());
        }
        let rungs = text.split(',').map(|rung| one(rung.trim())).collect::<Result<Vec<_>, _>>()?;
        for (at, rung) in rungs.iter().enumerate() {
            if rungs.iter().take(at).any(|other| other.side == rung.side) {
                return Err(format!("{} is there twice", rung.name()));
            }
        }
        if rungs.len() > MOST { Err(format!("a ladder has at most {MOST} rungs")) } else { Ok(Self(rungs)) }
    }
}

impl fmt::Display for Rungs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str(NONE);
        }
        for (at, Rung { side, rate }) in self.0.iter().enumerate() {
            let between = if at > 0 { "," } else { "" };
            write!(f, "{between}{side}p:{rate}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Rungs {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Rungs> for String {
    fn from(rungs: Rungs) -> Self {
        rungs.to_string()
    }
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
            let rungs: Rungs = text.parse().expect(text);
            assert_eq!((&rungs.0, rungs.to_string().parse()), (&wanted, Ok(rungs.clone())), "{text}");
        }
        let none: Rungs = "none".parse().expect("no ladder");
        assert!(none.is_empty() && none.to_string() == "none");
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
            "720p,none",
            "100p,102p,104p,106p,108p,110p,112p,114p,116p",
        ] {
            assert!(text.parse::<Rungs>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_made_larger() {
        let rungs: Rungs = "1080p,720p,360p".parse().expect("rungs");
        let names = |size| rungs.fitting(size).0.iter().map(Rung::name).collect::<Vec<_>>();
        for (size, wanted) in [
            ((1920, 1080), vec!["1080p", "720p", "360p"]),
            ((1280, 720), vec!["720p", "360p"]),
            ((1080, 1920), vec!["1080p", "720p", "360p"]),
            ((640, 358), vec![]),
        ] {
            assert_eq!(names(size), wanted, "{size:?}");
        }
        let left: Vec<_> = rungs.fitting((1280, 720)).1.iter().map(Rung::name).collect();
        assert_eq!(left, ["1080p"]);
        let second = rungs.0[1];
        assert_eq!((second.scale((1920, 1080)), second.scale((1080, 1920))), ("-2:720".into(), "720:-2".into()));
    }
}
