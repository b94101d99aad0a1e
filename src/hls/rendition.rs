//! What is known of one rendition of a multivariant playlist, as its writer keeps it in a small object. Pure.
//!
//! Other writers, of other versions, and anybody who may write into the bucket make such objects: what is read is checked
//! before anything is made of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::playlist::reference;
use crate::media::fmp4::{Movie, TrackKind};

/// Which multivariant playlist a stream belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The key of the multivariant playlist.
    pub master: String,
    /// The rendition's name, such as `720p`.
    pub name: String,
}

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its name.
    pub name: String,
    /// Its playlist, relative to the multivariant one.
    pub uri: String,
    /// The highest bit rate of a segment, in bits a second.
    pub bandwidth: u64,
    /// The bit rate over all.
    pub average: u64,
    /// As RFC 6381 has it.
    pub codecs: String,
    /// Width in pixels; none for sound alone.
    pub width: Option<u32>,
    /// Height in pixels; none for sound alone.
    pub height: Option<u32>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Whether there is sound in it.
    pub sound: bool,
    /// Sound channels.
    #[serde(default)]
    pub channels: u64,
    /// When its writer began, in seconds since 1970.
    pub began: u64,
    /// When it ended.
    pub ended: Option<u64>,
}

/// Why an object tells of no rendition.
#[derive(Debug, thiserror::Error)]
pub enum BadRendition {
    /// It is something else.
    #[error("it is not what writer keeps of a rendition: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// What it says cannot be.
    #[error("its {0} cannot be")]
    Absurd(&'static str),
}

/// A terabit a second: more than any stream has, and little enough to be added up.
const RATE_MAX: u64 = 1_000_000_000_000;
/// The largest picture that a sample entry can tell of.
const SIDE_MAX: u32 = 0xffff;
const FRAME_RATE_MAX: f64 = 1_000.0;
const CHANNELS_MAX: u64 = 1_000;
/// The year 9999.
const TIME_MAX: u64 = 253_402_300_799;

impl Rendition {
    /// What a stream's header says; bit rates are zero.
    #[must_use]
    pub fn of(membership: &Membership, playlist: &str, movie: &Arc<Movie>, frame_rate: Option<f64>, now: u64) -> Self {
        let video = movie.tracks.iter().find(|track| track.kind == TrackKind::Video);
        let audio = movie.tracks.iter().find(|track| track.kind == TrackKind::Audio);
        Self {
            name: membership.name.clone(),
            uri: reference(&membership.master, playlist, None),
            bandwidth: 0,
            average: 0,
            codecs: movie.codecs(),
            width: video.map(|track| track.width),
            height: video.map(|track| track.height),
            frame_rate: frame_rate.filter(|_| video.is_some()),
            sound: audio.is_some(),
            channels: audio.map_or(0, |track| u64::from(track.channels)),
            began: now,
            ended: None,
        }
    }

    /// Width and height of its pictures; none for sound alone.
    #[must_use]
    pub fn resolution(&self) -> Option<(u32, u32)> {
        self.width.zip(self.height)
    }

    /// As text.
    ///
    /// # Errors
    /// [`BadRendition`], if others could make nothing of it.
    pub fn to_json(&self) -> Result<String, BadRendition> {
        self.validate()?;
        Ok(serde_json::to_string(self)?)
    }

    /// Reads what [`to_json`](Self::to_json) has made.
    ///
    /// # Errors
    /// [`BadRendition`] for anything that cannot stand in a playlist.
    pub fn from_json(text: &[u8]) -> Result<Self, BadRendition> {
        let read: Self = serde_json::from_slice(text)?;
        read.validate()?;
        Ok(read)
    }

    /// Whether it can stand in a playlist, and be reckoned with.
    fn validate(&self) -> Result<(), BadRendition> {
        let name = |c: char| c != '"' && !c.is_control();
        let reference = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
        let codecs = |c: char| c.is_ascii_alphanumeric() || ".,-_".contains(c);
        let side = |side: Option<u32>| side.is_none_or(|side| side <= SIDE_MAX);
        let time = |time: Option<u64>| time.is_none_or(|time| time <= TIME_MAX);
        let checks = [
            ("name", !self.name.is_empty() && self.name.len() <= 1_000 && self.name.chars().all(name)),
            (
                "uri",
                !self.uri.is_empty()
                    && self.uri.len() <= 4_096
                    && !self.uri.starts_with('#')
                    && self.uri.chars().all(reference),
            ),
            ("bandwidth", self.bandwidth <= RATE_MAX),
            ("average", self.average <= RATE_MAX),
            ("codecs", self.codecs.len() <= 1_000 && self.codecs.chars().all(codecs)),
            ("width", side(self.width)),
            ("height", side(self.height)),
            ("frame_rate", self.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= FRAME_RATE_MAX)),
            ("channels", self.channels <= CHANNELS_MAX),
            ("began", time(Some(self.began))),
            ("ended", time(self.ended)),
        ];
        checks.into_iter().find(|(_, fits)| !fits).map_or(Ok(()), |(field, _)| Err(BadRendition::Absurd(field)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::hls) fn rendition(name: &str, bandwidth: u64, size: Option<(u32, u32)>, sound: bool) -> Rendition {
        Rendition {
            name: name.to_owned(),
            uri: format!("{name}.m3u8"),
            bandwidth,
            average: bandwidth / 2,
            codecs: match (size, sound) {
                (Some(_), true) => "avc1.64001f,mp4a.40.2",
                (Some(_), false) => "avc1.64001f",
                _ => "mp4a.40.2",
            }
            .to_owned(),
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            frame_rate: size.map(|_| 25.0),
            sound,
            channels: 2 * u64::from(sound),
            began: 1,
            ended: None,
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        for one in [rendition("720p", 3_000_000, Some((1280, 720)), true), rendition("english", 1, None, true)] {
            let text = one.to_json().expect("it can be");
            assert_eq!(Rendition::from_json(text.as_bytes()).expect("it was written here"), one);
        }
        // As an older version wrote it: without channels.
        let old = br#"{"name":"a","uri":"a.m3u8","bandwidth":1,"average":1,"codecs":"","width":null,"height":null,
            "frame_rate":null,"sound":true,"began":1,"ended":null}"#;
        assert!(Rendition::from_json(old).is_ok());
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        let good = rendition("720p", 3_000_000, Some((1280, 720)), true).to_json().expect("it can be");
        for (field, value) in [
            ("name", json!("a\n#EXT-X-ENDLIST")),
            ("name", json!("")),
            ("uri", json!("#")),
            ("uri", json!("a b")),
            ("uri", json!("a\nb")),
            ("bandwidth", json!(u64::MAX)),
            ("average", json!(u64::MAX)),
            ("codecs", json!("avc1\",A=\"")),
            ("width", json!(u32::MAX)),
            ("height", json!(70_000)),
            ("frame_rate", json!(0.0)),
            ("frame_rate", json!(1e300)),
            ("channels", json!(u64::MAX)),
            ("began", json!(u64::MAX)),
            ("ended", json!(u64::MAX)),
        ] {
            let mut bad: Value = serde_json::from_str(&good).expect("JSON");
            bad[field] = value;
            match Rendition::from_json(bad.to_string().as_bytes()) {
                Err(BadRendition::Absurd(named)) => assert_eq!(named, field),
                other => panic!("{bad}: {other:?}"),
            }
        }
        for bad in [&b"{}"[..], b"", b"[]", b"\xff", br#"{"name":1}"#, br#"{"bandwidth":-1}"#] {
            assert!(matches!(Rendition::from_json(bad), Err(BadRendition::Unreadable(_))));
        }
    }
}
