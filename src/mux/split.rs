//! One recording with several pictures, as one recording of each, with all of its sound. Pure.
//!
//! An encoder that sends the same in several sizes sends it on one time line: so each of them has the times, the time of day
//! and the places where an encoder went on anew of the one. What has one picture alone, or none, stays as it is.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::called;
use super::fragment::{Lead, Part, Sample, TimeOfDay, fragment};
use super::read_back::{is_header, moov, read_back};
use crate::media::fmp4::samples::{OneSample, Samples};
use crate::media::fmp4::single;
use crate::media::fmp4::{Movie, TrackKind};

/// What is called so where there is nothing to be told apart.
pub const SOURCE: &str = "source";

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub struct Split {
    movie: Movie,
    renditions: Vec<Rendition>,
    /// The time of day when the recording began, as the newest fragment that tells it has it.
    began: Option<u64>,
}

/// A piece of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The name of the rendition.
    pub rendition: Arc<str>,
    /// The piece.
    pub bytes: Bytes,
    /// An object begins with it.
    pub begins: bool,
}

#[derive(Debug, Clone)]
struct Rendition {
    name: Arc<str>,
    /// Its pictures; and all that goes into it. None where it is the recording itself.
    tracks: Option<(u32, Vec<u32>)>,
    sequence: u32,
    /// Another encoder has gone on since its last fragment.
    anew: bool,
}

impl Split {
    /// Takes a whole piece of the recording, and gives what becomes of it.
    #[must_use]
    pub fn take(&mut self, piece: &Bytes) -> Vec<Cut> {
        if is_header(piece) {
            return self.begin(piece);
        }
        match &self.renditions[..] {
            [one] if one.tracks.is_none() => {
                vec![Cut { rendition: one.name.clone(), bytes: piece.clone(), begins: false }]
            }
            _ => self.fragment(piece).unwrap_or_default(),
        }
    }

    /// Where it is behind its header, as text.
    #[must_use]
    pub fn state(&self) -> String {
        let rendition = |one: &Rendition| json!({"name": &*one.name, "sequence": one.sequence, "anew": one.anew});
        let renditions: Vec<Value> = self.renditions.iter().map(rendition).collect();
        json!({"began": self.began, "renditions": renditions}).to_string()
    }

    /// One that goes on behind this header where another was; `None` for a state of something else.
    #[must_use]
    pub fn going_on(header: &Bytes, state: &str) -> Option<Self> {
        let state: Value = serde_json::from_str(state).ok()?;
        let mut split = Self::default();
        if split.take(header).is_empty() {
            return None;
        }
        split.began = state.get("began")?.as_u64();
        let told = state.get("renditions")?.as_array().filter(|told| told.len() == split.renditions.len())?;
        for (rendition, told) in split.renditions.iter_mut().zip(told) {
            if told.get("name")?.as_str()? != &*rendition.name {
                return None;
            }
            rendition.sequence = u32::try_from(told.get("sequence")?.as_u64()?).ok()?;
            rendition.anew = told.get("anew")?.as_bool()?;
        }
        Some(split)
    }

    /// The names of what there is.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.renditions.iter().map(|rendition| &*rendition.name)
    }

    fn begin(&mut self, header: &Bytes) -> Vec<Cut> {
        let (header, called) = called::apart(header);
        self.movie = moov(&header).and_then(|moov| Movie::parse(&moov)).unwrap_or_default();
        self.began = None;
        let tracks = || self.movie.tracks.iter();
        let pictures: Vec<_> = tracks().filter(|track| track.kind == TrackKind::Video).collect();
        let sound: Vec<u32> = tracks().filter(|track| track.kind == TrackKind::Audio).map(|track| track.id).collect();
        let mut cuts = Vec::new();
        self.renditions.clear();
        if pictures.len() > 1 {
            for picture in pictures {
                let all = [&[picture.id][..], &sound].concat();
                let Some(bytes) = single::header_of(&header, &all) else { continue };
                let size = || format!("{}p", picture.width.min(picture.height));
                let name = self.free(&called.get(&picture.id).cloned().unwrap_or_else(size));
                cuts.push(Cut { rendition: name.clone(), bytes, begins: true });
                let tracks = Some((picture.id, all));
                self.renditions.push(Rendition { name, tracks, sequence: 0, anew: false });
            }
        } else {
            let one = pictures.first().copied().or_else(|| tracks().next());
            let name = one.and_then(|track| called.get(&track.id)).map_or(SOURCE, String::as_str);
            let name: Arc<str> = name.into();
            cuts.push(Cut { rendition: name.clone(), bytes: header, begins: true });
            self.renditions.push(Rendition { name, tracks: None, sequence: 0, anew: false });
        }
        cuts
    }

    /// What pictures are called that may be called so, such as `720p`; of several of one name the later ones are counted.
    fn free(&self, plain: &str) -> Arc<str> {
        let is_free = |name: &String| self.names().all(|other| other != name);
        let numbered = (2u32..).map(|number| format!("{plain}-{number}"));
        std::iter::once(plain.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| plain.to_owned()).into()
    }

    fn fragment(&mut self, piece: &Bytes) -> Option<Vec<Cut>> {
        let found = read_back(piece)?;
        let tracks = found.raw.samples(&self.movie)?;
        let Self { movie, renditions, began } = self;
        if let Some(TimeOfDay { track, ntp, at }) = found.time
            && let Some(track) = movie.track(track)
        {
            *began = Some(ntp.wrapping_sub(since(at, track.timescale)));
        }
        let mut cuts = Vec::new();
        for rendition in renditions {
            rendition.anew |= found.anew;
            let Some((pictures, all)) = &rendition.tracks else { continue };
            let own: Vec<_> = tracks.iter().filter(|track| all.contains(&track.track)).collect();
            if own.is_empty() {
                continue;
            }
            let key =
                own.iter().find(|track| track.track == *pictures && track.samples.first().is_some_and(|one| one.sync));
            let time = key.zip(*began).map(|(track, began)| {
                let at = track.decode.unwrap_or(0).max(0).unsigned_abs();
                TimeOfDay { track: track.track, ntp: began.wrapping_add(since(at, track.timescale)), at }
            });
            rendition.sequence = rendition.sequence.wrapping_add(1);
            let lead = Lead { anew: std::mem::take(&mut rendition.anew), time };
            let bytes = written(rendition.sequence, &own, &lead);
            cuts.push(Cut { rendition: rendition.name.clone(), bytes, begins: false });
        }
        Some(cuts)
    }
}

/// So many ticks as a time of NTP: seconds, and their parts in 32 bits.
pub(super) fn since(ticks: u64, timescale: u32) -> u64 {
    u64::try_from((u128::from(ticks) << 32) / u128::from(timescale.max(1))).unwrap_or(u64::MAX)
}

/// Writes these tracks as a fragment, at their own times.
pub(super) fn written(sequence: u32, tracks: &[&Samples], lead: &Lead) -> Bytes {
    let placed = |track: &Samples| {
        let mut at = track.decode.unwrap_or(0);
        let sample = |one: &OneSample| {
            let OneSample { duration, shown_after, sync: key, data } = one.clone();
            let sample = Sample { at, duration, shown_after, key, data };
            at = at.saturating_add(i64::from(duration));
            sample
        };
        track.samples.iter().map(sample).collect::<Vec<_>>()
    };
    let all: Vec<_> = tracks.iter().map(|track| placed(track)).collect();
    let parts: Vec<_> = tracks
        .iter()
        .zip(&all)
        .map(|(track, samples)| Part { track: track.track, timescale: track.timescale, pictures: true, samples })
        .collect();
    fragment(sequence, &parts, lead)
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
