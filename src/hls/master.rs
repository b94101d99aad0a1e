//! The multivariant playlist (RFC 8216, 4.3.4) that several writers make together, each for its own rendition.
//!
//! No store needs to know conditional puts for this: each writer keeps one small object with what it knows of its rendition
//! (`MASTER.renditions/NAME`), makes the playlist of all of them, and looks again after it has written it. Whoever writes
//! last has looked last, so that in the end nobody is missing.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::playlist::{encode, reference};
use super::publish::write_once;
use crate::fmp4::{Movie, TrackKind};
use crate::retry::Retry;
use crate::store::{Fetched, Piece, Store, StoreError};

/// How long one request may keep failing.
const RETRY: Retry = Retry { give_up_after: Duration::from_secs(60) };

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest object that tells of a rendition.
const ENTRY_MAX: u64 = 64 << 10;

/// How often the playlist is made anew because another writer was at it too.
const ROUNDS: u32 = 20;

/// The group of renditions that are only sound.
const GROUP: &str = "audio";

/// Which multivariant playlist a stream belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The key of the multivariant playlist.
    pub master: String,
    /// The rendition's name, such as `720p`.
    pub name: String,
}

/// What is known of a rendition.
#[derive(Debug, Clone, PartialEq)]
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
    /// Width and height in pixels; none for sound alone.
    pub resolution: Option<(u64, u64)>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Whether there is sound in it.
    pub sound: bool,
    /// Sound channels.
    pub channels: u64,
    /// When its writer began, in seconds since 1970.
    pub began: u64,
    /// When it ended.
    pub ended: Option<u64>,
}

impl Rendition {
    /// What a stream's header says; bit rates are zero.
    #[must_use]
    pub fn of(membership: &Membership, playlist: &str, movie: &Arc<Movie>, frame_rate: Option<f64>) -> Self {
        let video = movie.tracks.iter().find(|track| track.kind == TrackKind::Video);
        let audio = movie.tracks.iter().find(|track| track.kind == TrackKind::Audio);
        Self {
            name: membership.name.clone(),
            uri: reference(&membership.master, playlist, None),
            bandwidth: 0,
            average: 0,
            codecs: movie.codecs(),
            resolution: video.map(|track| (u64::from(track.width), u64::from(track.height))),
            frame_rate: frame_rate.filter(|_| video.is_some()),
            sound: audio.is_some(),
            channels: audio.map_or(0, |track| u64::from(track.channels)),
            began: now(),
            ended: None,
        }
    }

    fn to_json(&self) -> String {
        json!({
            "name": self.name, "uri": self.uri, "bandwidth": self.bandwidth, "average": self.average, "codecs": self.codecs,
            "width": self.resolution.map(|(width, _)| width), "height": self.resolution.map(|(_, height)| height),
            "frame_rate": self.frame_rate, "sound": self.sound, "channels": self.channels, "began": self.began,
            "ended": self.ended,
        })
        .to_string()
    }

    /// `None` for what cannot stand in a playlist.
    fn from_json(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let word = |name: &str| {
            let word = value.get(name)?.as_str()?;
            (!word.contains(['"', '\n', '\r'])).then(|| word.to_owned())
        };
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        Some(Self {
            name: word("name")?,
            uri: word("uri").filter(|uri| !uri.is_empty() && !uri.starts_with('#'))?,
            bandwidth: number("bandwidth")?,
            average: number("average")?,
            codecs: word("codecs")?,
            resolution: number("width").zip(number("height")),
            frame_rate: value.get("frame_rate").and_then(Value::as_f64),
            sound: value.get("sound").and_then(Value::as_bool)?,
            channels: number("channels").unwrap_or(0),
            began: number("began")?,
            ended: number("ended"),
        })
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The text of a multivariant playlist.
#[must_use]
pub fn text(renditions: &[Rendition]) -> String {
    let mut sorted: Vec<&Rendition> = renditions.iter().collect();
    sorted.sort_by(|a, b| (a.bandwidth, &a.name).cmp(&(b.bandwidth, &b.name)));
    let pictures = sorted.iter().any(|rendition| rendition.resolution.is_some());
    // Sound alone is a rendition of its own only where there is nothing to see at all.
    let is_variant = |rendition: &Rendition| rendition.resolution.is_some() || !pictures;
    let group: Vec<&Rendition> = sorted.iter().copied().filter(|rendition| !is_variant(rendition)).collect();
    let loudest = |rate: fn(&Rendition) -> u64| group.iter().copied().map(rate).max().unwrap_or(0);
    let mut out = "#EXTM3U\n#EXT-X-VERSION:7\n".to_owned();
    // A string takes whatever is written into it: the results are of no interest.
    for (index, sound) in group.iter().enumerate() {
        let default = if index == 0 { "YES" } else { "NO" };
        let channels = if sound.channels > 0 { format!(",CHANNELS=\"{}\"", sound.channels) } else { String::new() };
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{GROUP}\",NAME=\"{}\",DEFAULT={default},AUTOSELECT=YES{channels},URI=\"{}\"",
            sound.name, sound.uri
        );
    }
    for variant in sorted.iter().copied().filter(|rendition| is_variant(rendition)) {
        let grouped = !variant.sound && !group.is_empty();
        let more = |rate: fn(&Rendition) -> u64| rate(variant) + if grouped { loudest(rate) } else { 0 };
        let mut codecs: Vec<&str> = variant.codecs.split(',').collect();
        if grouped {
            codecs.extend(group.iter().flat_map(|sound| sound.codecs.split(',')));
        }
        let mut seen = Vec::new();
        codecs.retain(|codec| {
            !codec.is_empty() && !seen.contains(codec) && {
                seen.push(*codec);
                true
            }
        });
        let _ = write!(
            out,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}",
            more(|rendition| rendition.bandwidth).max(1),
            more(|rendition| rendition.average).max(1)
        );
        if !codecs.is_empty() {
            let _ = write!(out, ",CODECS=\"{}\"", codecs.join(","));
        }
        if let Some((width, height)) = variant.resolution.filter(|(width, height)| width * height > 0) {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
        }
        if let Some(rate) = variant.frame_rate {
            let _ = write!(out, ",FRAME-RATE={rate:.3}");
        }
        if grouped {
            let _ = write!(out, ",AUDIO=\"{GROUP}\"");
        }
        let _ = write!(out, "\n{}\n", variant.uri);
    }
    out
}

/// Puts `mine` into the multivariant playlist, in place of what was there of that name.
///
/// # Errors
/// [`StoreError`] when the store refuses or is away for long; the key has to be one that may list objects.
pub async fn join(store: &Store, master: &str, mine: &Rendition) -> Result<(), StoreError> {
    let folder = format!("{master}.renditions/");
    let entry = format!("{folder}{}", encode(&mine.name));
    let json = Bytes::from(mine.to_json());
    RETRY.run(|_| store.put_object(&entry, json.clone(), "application/json", "no-cache", PATIENCE)).await?;
    let mut written = None;
    for _ in 0..ROUNDS {
        let all = text(&renditions(store, &folder, mine).await?);
        if written.as_ref() == Some(&all) {
            return Ok(());
        }
        RETRY.run(|_| write_once(store.clone(), master.to_owned(), all.clone(), mine.ended.is_some())).await?;
        written = Some(all);
    }
    Ok(())
}

/// All renditions there are, but for those of an earlier day.
async fn renditions(store: &Store, folder: &str, mine: &Rendition) -> Result<Vec<Rendition>, StoreError> {
    let mut found = Vec::new();
    for key in RETRY.run(|_| store.objects(folder)).await? {
        let piece = Piece::Range { first: 0, last: ENTRY_MAX - 1 };
        let Fetched::Data(mut body) = RETRY.run(|_| store.fetch(&key, None, piece, false)).await? else { continue };
        let mut text = Vec::new();
        while let Ok(Some(bytes)) = body.next().await {
            text.extend_from_slice(&bytes);
        }
        let Some(rendition) = Rendition::from_json(&text) else { continue };
        if rendition.name == mine.name {
            continue;
        }
        // One that had ended before this one began has nothing to do with it.
        if rendition.ended.is_none_or(|ended| ended >= mine.began) {
            found.push(rendition);
        }
    }
    found.push(mine.clone());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendition(name: &str, bandwidth: u64, resolution: Option<(u64, u64)>, sound: bool) -> Rendition {
        Rendition {
            name: name.to_owned(),
            uri: format!("{name}.m3u8"),
            bandwidth,
            average: bandwidth / 2,
            codecs: match (resolution, sound) {
                (Some(_), true) => "avc1.64001f,mp4a.40.2",
                (Some(_), false) => "avc1.64001f",
                _ => "mp4a.40.2",
            }
            .to_owned(),
            resolution,
            frame_rate: resolution.map(|_| 25.0),
            sound,
            channels: 2 * u64::from(sound),
            began: 1,
            ended: None,
        }
    }

    #[test]
    fn variants_rise_and_sound_alone_is_a_group() {
        let all = [
            rendition("720p", 3_000_000, Some((1280, 720)), true),
            rendition("360p", 800_000, Some((640, 360)), false),
            rendition("english", 130_000, None, true),
        ];
        let want = "#EXTM3U\n#EXT-X-VERSION:7\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"english\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"english.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=930000,AVERAGE-BANDWIDTH=465000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO=\"audio\"\n\
            360p.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=1500000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000\n\
            720p.m3u8\n";
        assert_eq!(text(&all), want);
        let alone = text(&all[2..]);
        assert!(
            alone.contains("BANDWIDTH=130000") && !alone.contains("RESOLUTION") && !alone.contains("MEDIA:"),
            "{alone}"
        );
    }

    #[test]
    fn what_is_kept_of_a_rendition_is_read_again_and_nothing_else() {
        let one = rendition("720p", 3_000_000, Some((1280, 720)), true);
        assert_eq!(Rendition::from_json(one.to_json().as_bytes()), Some(one));
        let mut bad = rendition("a\n#EXT-X-ENDLIST", 1, None, true);
        assert_eq!(Rendition::from_json(bad.to_json().as_bytes()), None);
        bad.name = "a".to_owned();
        bad.uri = "#".to_owned();
        assert_eq!(Rendition::from_json(bad.to_json().as_bytes()), None);
        assert_eq!(Rendition::from_json(b"{}"), None);
    }
}
