//! A rendition that another program has coded out of a recording: its fragments on the time line of that, with the same time of
//! day, and the same places where an encoder went on anew. Pure.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fragment::{Lead, TimeOfDay};
use super::read_back::{ReadBack, moov, read_back};
use super::split::written;
use crate::media::fmp4::moof::nanos;
use crate::media::fmp4::samples::{Raw, Samples};
use crate::media::fmp4::setup::setup;
use crate::media::fmp4::{Movie, TrackKind};

/// So many key frames are remembered: what is coded comes seconds later.
const KEYS: usize = 512;
/// Times that are so near to each other, in nanoseconds, are the same.
const SAME: i64 = 10_000_000;
/// What an object begins with.
pub(super) const FTYP: &[u8] = b"\0\0\0\x1cftypiso6\0\0\x02\0iso6iso5mp41";

/// What is known of the recording, from one header on. Times are those at which pictures are shown, in nanoseconds.
#[derive(Debug, Default)]
pub struct Timeline {
    movie: Movie,
    /// Key frames of which the time of day is known.
    keys: VecDeque<(i64, u64)>,
    /// Where encoders went on anew.
    anew: Vec<i64>,
}

impl Timeline {
    /// From this header on.
    #[must_use]
    pub fn of(header: &Bytes) -> Self {
        let movie = moov(header).and_then(|moov| Movie::parse(&moov)).unwrap_or_default();
        Self { movie, ..Self::default() }
    }

    /// The size of the pictures; none where there is not one picture alone.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        let mut pictures = self.movie.tracks.iter().filter(|track| track.kind == TrackKind::Video);
        let one = pictures.next().filter(|_| pictures.next().is_none())?;
        Some((one.width, one.height))
    }

    /// Takes note of a fragment; whether it begins with a key frame.
    pub fn note(&mut self, piece: &Bytes) -> bool {
        let Some(ReadBack { anew, time, raw }) = read_back(piece) else { return false };
        let tracks = raw.samples(&self.movie).unwrap_or_default();
        let Some((shown, key)) = first_picture(&self.movie, &tracks) else { return false };
        if anew {
            self.anew.push(shown);
        }
        if let Some(TimeOfDay { ntp, .. }) = time.filter(|_| key) {
            if self.keys.len() >= KEYS {
                self.keys.pop_front();
            }
            self.keys.push_back((shown, ntp));
        }
        key
    }

    /// The time of day of a picture.
    fn time_of(&self, shown: i64) -> Option<u64> {
        let (at, ntp) = self.keys.iter().rfind(|(at, _)| *at <= shown.saturating_add(SAME))?;
        let after = u64::try_from(shown.saturating_sub(*at)).unwrap_or(0);
        let after = (u128::from(after) << 32) / 1_000_000_000;
        Some(ntp.wrapping_add(u64::try_from(after).unwrap_or(0)))
    }

    /// How often an encoder has gone on anew up to a picture.
    fn anew_before(&self, shown: i64) -> usize {
        self.anew.iter().filter(|at| **at <= shown.saturating_add(SAME)).count()
    }
}

/// When the first picture is shown, and whether it is a key frame.
fn first_picture(movie: &Movie, tracks: &[Samples]) -> Option<(i64, bool)> {
    let is_picture = |track: &&Samples| movie.track(track.track).is_some_and(|track| track.kind == TrackKind::Video);
    let track = tracks.iter().find(is_picture)?;
    let (first, decode) = (track.samples.first()?, track.decode?);
    let edited = movie.track(track.track).map_or(0, |track| track.edit_offset);
    let shown = decode.saturating_add(i64::from(first.shown_after)).saturating_add(edited);
    Some((nanos(shown, track.timescale), first.sync))
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Rung {
    movie: Movie,
    /// Which of the recording's headers it is made of, and the hash of what counts of its own.
    made_of: Option<(u64, String)>,
    /// Where each track ends.
    ends: BTreeMap<u32, i64>,
    sequence: u32,
    /// How often an encoder has gone on anew.
    anew: usize,
}

impl Rung {
    /// Where it is, as text. How often encoders have gone on anew is counted from anew by whoever goes on.
    #[must_use]
    pub fn state(&self) -> String {
        let ends: Vec<_> = self.ends.iter().collect();
        json!({"made_of": self.made_of, "ends": ends, "sequence": self.sequence}).to_string()
    }

    /// One that goes on where another was; `None` for a state of something else.
    #[must_use]
    pub fn going_on(state: &[u8]) -> Option<Self> {
        let state: Value = serde_json::from_slice(state).ok()?;
        let made_of = state.get("made_of")?;
        let made_of = Some((made_of.get(0)?.as_u64()?, made_of.get(1)?.as_str()?.to_owned()));
        let end = |end: &Value| Some((u32::try_from(end.get(0)?.as_u64()?).ok()?, end.get(1)?.as_i64()?));
        let ends: Option<BTreeMap<_, _>> = state.get("ends")?.as_array()?.iter().map(end).collect();
        let sequence = u32::try_from(state.get("sequence")?.as_u64()?).ok()?;
        Some(Self { made_of, ends: ends?, sequence, ..Self::default() })
    }

    /// Takes its header, a whole `moov`, which was made of the recording's header of this number: what an object begins with,
    /// where one does. None as well where it is no header.
    pub fn header(&mut self, moov: &Bytes, number: u64) -> Option<Bytes> {
        let made_of = Some((number, hex::encode(Sha256::digest(setup(moov)?))));
        let movie = Movie::parse(moov)?;
        if self.made_of == made_of {
            // One that goes on behind another has not seen it.
            self.movie = movie;
            return None;
        }
        *self = Self { movie, made_of, ..Self::default() };
        let mut bytes = BytesMut::from(FTYP);
        bytes.extend_from_slice(moov);
        Some(bytes.freeze())
    }

    /// Takes a fragment; gives it as it goes into the object, if there is anything in it that was not there before.
    pub fn fragment(&mut self, raw: &Raw, timeline: &Timeline) -> Option<Bytes> {
        let mut tracks = raw.samples(&self.movie)?;
        for track in &mut tracks {
            // Nothing is decoded twice, nor before the recording begins.
            let from = self.ends.get(&track.track).copied().unwrap_or(0);
            let mut at = track.decode?;
            let mut early = 0;
            while let Some(first) = track.samples.get(early).filter(|_| at < from) {
                at = at.saturating_add(i64::from(first.duration));
                early += 1;
            }
            track.samples.drain(..early);
            track.decode = Some(at);
            let lasts: i64 = track.samples.iter().map(|sample| i64::from(sample.duration)).sum();
            if !track.samples.is_empty() {
                self.ends.insert(track.track, at.saturating_add(lasts));
            }
        }
        tracks.retain(|track| !track.samples.is_empty());
        if tracks.is_empty() {
            return None;
        }
        let mut lead = Lead { anew: false, time: None };
        if let Some((shown, key)) = first_picture(&self.movie, &tracks) {
            let anew = timeline.anew_before(shown);
            lead.anew = anew > std::mem::replace(&mut self.anew, anew);
            let picture = tracks
                .iter()
                .find(|track| self.movie.track(track.track).is_some_and(|one| one.kind == TrackKind::Video));
            let time = timeline.time_of(shown).filter(|_| key).zip(picture);
            lead.time = time.map(|(ntp, track)| TimeOfDay {
                track: track.track,
                ntp,
                at: track.decode.unwrap_or(0).max(0).unsigned_abs(),
            });
        }
        self.sequence = self.sequence.wrapping_add(1);
        Some(written(self.sequence, &tracks.iter().collect::<Vec<_>>(), &lead))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{self as sample, VIDEO, fragments, scan};
    use crate::mux::fragment::{Part, Sample, fragment};

    /// A header of one picture of 100 ticks a second, of which the edit list leaves out two.
    pub(crate) fn header() -> Bytes {
        let header = sample::header();
        let at = header.windows(4).position(|four| four == b"moov").expect("a header") - 4;
        [FTYP, &header[at..]].concat().into()
    }

    /// A fragment of one picture that lasts ten ticks, with so many bytes.
    pub(crate) fn piece(at: i64, key: bool, bytes: usize) -> Bytes {
        lead(at, key, bytes, &Lead { anew: false, time: None })
    }

    fn lead(at: i64, key: bool, bytes: usize, lead: &Lead) -> Bytes {
        let samples = [Sample { at, duration: 10, shown_after: 2, key, data: vec![7; bytes].into() }];
        fragment(1, &[Part { track: VIDEO, timescale: 100, pictures: true, samples: &samples }], lead)
    }

    fn raw(piece: &Bytes) -> Raw {
        read_back(piece).expect("a fragment").raw
    }

    #[test]
    fn it_has_the_times_the_day_and_the_places_of_the_recording() {
        let mut timeline = Timeline::of(&header());
        assert!(timeline.size().is_some());
        let wall = |at, seconds: u64| Some(TimeOfDay { track: VIDEO, ntp: seconds << 32, at });
        assert!(timeline.note(&lead(0, true, 1, &Lead { anew: false, time: wall(0, 50) })));
        assert!(!timeline.note(&piece(10, false, 1)));
        assert!(timeline.note(&lead(100, true, 1, &Lead { anew: true, time: wall(100, 60) })));
        let mut rung = Rung::default();
        let moov = moov(&header()).expect("a header");
        let mut object = rung.header(&moov, 0).expect("an object begins").to_vec();
        assert_eq!(rung.header(&moov, 0), None);
        for (at, key) in [(-10, true), (0, true), (0, true), (10, false), (50, true), (100, true), (110, false)] {
            object.extend(rung.fragment(&raw(&piece(at, key, 3)), &timeline).unwrap_or_default());
        }
        let scanned = scan([&object[..]]);
        let found = fragments(&scanned);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.runs[0].decode, one.anew, one.wall.map(|wall| (wall.ntp, wall.media_time))))
            .collect();
        assert_eq!(
            told,
            [
                (0, false, Some((50 << 32, 0))),
                (10, false, None),
                (50, false, Some(((50 << 32) + (1 << 31), 50))),
                (100, true, Some((60 << 32, 100))),
                (110, false, None),
            ]
        );
        // The recording goes on in another object, and so does this.
        assert!(rung.header(&moov, 1).is_some());
        assert!(rung.fragment(&raw(&piece(0, true, 3)), &Timeline::of(&header())).is_some());
    }

    #[test]
    fn it_goes_on_where_another_was_and_nothing_is_there_twice() {
        let moov = moov(&header()).expect("a header");
        let mut rung = Rung::default();
        assert!(rung.header(&moov, 4).is_some());
        let before = rung.fragment(&raw(&piece(0, true, 3)), &Timeline::of(&header()));
        let state = rung.state();
        // Its program begins anew, and so does what is known of the recording.
        let mut timeline = Timeline::of(&header());
        timeline.note(&lead(20, true, 1, &Lead { anew: true, time: None }));
        let mut after = Rung::going_on(state.as_bytes()).expect("its state");
        assert_eq!(after.header(&moov, 4), None);
        assert_eq!(after.fragment(&raw(&piece(0, true, 3)), &timeline), None);
        let behind = after.fragment(&raw(&piece(20, true, 3)), &timeline).expect("what is new");
        let object = [header(), before.expect("a fragment"), behind].concat();
        let scanned = scan([&object[..]]);
        let found: Vec<_> = fragments(&scanned).iter().map(|one| (one.runs[0].decode, one.anew)).collect();
        assert_eq!(found, [(0, false), (20, true)]);
        // Of another header it is another object.
        assert!(Rung::going_on(state.as_bytes()).expect("its state").header(&moov, 5).is_some());
        assert!(Rung::going_on(b"{}").is_none() && Rung::going_on(Rung::default().state().as_bytes()).is_none());
    }

    #[test]
    fn what_is_broken_becomes_nothing() {
        let (mut rung, timeline) = (Rung::default(), Timeline::default());
        assert_eq!(rung.header(&Bytes::from_static(b"\0\0\0\x10moov12345678"), 0), None);
        assert_eq!(rung.fragment(&raw(&piece(0, true, 3)), &timeline), None);
        assert_eq!(timeline.size(), None);
    }
}
