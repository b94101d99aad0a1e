//! Frames of one encoder after the other, into one recording.
//!
//! A fragment ends where a key frame comes, and after the asked time before that. When an encoder is gone, what it sent is
//! handed on as it is; the next one goes on where the time line ends, if it sends the same kind of stream. With other
//! settings another object begins, since a header cannot be changed: with a header and a time line of its own. So it does with
//! a track that begins later, at the next key frame.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::clock::{Arrival, Clock};
use super::fragment::{Lead, Sample, TimeOfDay, fragment};
use super::gathering::{Gathering, TRACKS, Waiting};
use super::header::header;
use super::setup::{Setup, SetupError};
use super::state::State;
use super::track::Track;
use crate::media::flv::{Codec, Content, Kind, TrackId, Unit};

/// A fragment of more bytes than this ends at once.
const FRAGMENT_MAX: usize = 12 << 20;
/// A fragment of more frames than this ends at once: what is noted of each takes room, however small it is.
const FRAMES_MAX: usize = 8192;
/// How much longer than asked for a fragment may be that no picture ends, in milliseconds.
const STALLED: i64 = 500;

/// Why frames cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// A configuration of which no track can be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Several pictures, where all goes into one object.
    #[error("{SEVERAL}")]
    Several,
}

/// What is said of several pictures where there is one object for all.
pub(super) const SEVERAL: &str = "it sends several video tracks, and each of them needs an object of its own: with {rendition} in writer's KEY they have one";

/// What went otherwise than it should.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that could not be used: before a key frame or a configuration, or of tracks that are not in the header.
    pub dropped: u64,
    /// Pictures with start codes in place of lengths: as they are nobody could decode them.
    pub start_codes: u64,
    /// How often the encoder's time jumped.
    pub jumps: u64,
    /// A track that came when the header was written, and that no other can have.
    pub late: Option<TrackId>,
    /// How often another object had to begin, because the settings were others.
    pub changes: u64,
}

impl Counts {
    /// Frames that are not in the recording.
    #[must_use]
    pub fn unusable(self) -> u64 {
        self.dropped + self.start_codes
    }
}

/// What comes out: the header of an object, or a whole fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub bytes: Bytes,
    /// An object begins with it.
    pub begins: bool,
    /// Where the recording is behind it.
    pub after: State,
}

/// When something came.
#[derive(Debug, Clone, Copy)]
struct Coming {
    time: u32,
    arrival: Arrival,
}

/// A track that is not in the header.
#[derive(Debug)]
struct Late {
    id: TrackId,
    setup: Setup,
    /// A frame of it has come.
    heard: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Muxer {
    /// How long a fragment lasts at most, in milliseconds.
    lasts: i64,
    gathering: Option<Gathering>,
    size: Option<(u16, u16)>,
    tracks: Vec<Track>,
    /// Tracks that the next header will have.
    coming: Vec<Late>,
    clock: Clock,
    sequence: u32,
    /// Where the fragment begins, in milliseconds, and how many bytes it has.
    begins: Option<i64>,
    bytes: usize,
    /// When the first frame of the first track came that is in the fragment, if decoding can begin with it.
    key_came: Option<Arrival>,
    /// The next fragment is the first of another encoder, which goes on behind the one before.
    anew: bool,
    ready: VecDeque<Piece>,
    counts: Counts,
    /// Several pictures are refused; and whether some were.
    one_picture: bool,
    refused: bool,
}

impl Muxer {
    /// For a recording whose fragments last at most so long.
    #[must_use]
    pub fn new(lasts: Duration) -> Self {
        Self {
            lasts: i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX),
            gathering: Some(Gathering::default()),
            size: None,
            tracks: Vec::new(),
            coming: Vec::new(),
            clock: Clock::default(),
            sequence: 0,
            begins: None,
            bytes: 0,
            key_came: None,
            anew: false,
            ready: VecDeque::new(),
            counts: Counts::default(),
            one_picture: false,
            refused: false,
        }
    }

    /// The same for a recording that has room for one picture alone.
    #[must_use]
    pub fn of_one_picture(self) -> Self {
        Self { one_picture: true, ..self }
    }

    /// For a recording that goes on where another muxer has left it.
    #[must_use]
    pub fn going_on(lasts: Duration, state: State) -> Self {
        let State { sequence, tracks, .. } = state;
        let tracks = tracks.into_iter().zip(1..).map(|(track, number)| Track::going_on(track, number)).collect();
        Self { tracks, sequence, ..Self::new(lasts) }
    }

    /// Whether the header is written.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// What went otherwise than it should.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { jumps: self.clock.jumps(), ..self.counts }
    }

    /// The codecs of the tracks, as people call them.
    #[must_use]
    pub fn codecs(&self) -> Vec<&'static str> {
        self.tracks.iter().map(|track| track.setup.codec.name()).collect()
    }

    /// The encoder says what it will send.
    pub fn told(&mut self, size: Option<(u16, u16)>, video: Option<bool>, audio: Option<bool>) {
        self.size = size.or(self.size);
        if let Some(gathering) = &mut self.gathering {
            gathering.video = video.or(gathering.video);
            gathering.audio = audio.or(gathering.audio);
        }
    }

    /// The next piece that is ready: the header, or a whole fragment. It stays until it is [handed on](Self::handed_on).
    #[must_use]
    pub fn ready(&self) -> Option<Piece> {
        self.ready.front().cloned()
    }

    /// That piece is where it belongs.
    pub fn handed_on(&mut self) {
        self.ready.pop_front();
    }

    /// Takes a configuration or a frame with the encoder's time.
    ///
    /// # Errors
    /// [`MuxError`]: the encoder sends what cannot go into this recording.
    pub fn push(&mut self, unit: Unit, time: u32, arrival: Arrival) -> Result<(), MuxError> {
        if self.has_start_codes(&unit) {
            self.counts.start_codes += 1;
            return Ok(());
        }
        if let Some(gathering) = &mut self.gathering {
            gathering.take(unit, time, arrival)?;
            if gathering.is_ready() {
                self.begin();
            }
            return if std::mem::take(&mut self.refused) { Err(MuxError::Several) } else { Ok(()) };
        }
        let Unit { track, codec, content } = unit;
        match content {
            Content::Config(config) => {
                let Some(known) = self.tracks.iter().find(|known| known.id == track) else {
                    self.late(track, Setup::of(codec, &config)?);
                    return Ok(());
                };
                // Encoders repeat it.
                if known.setup != Setup::of(codec, &config)? {
                    self.change(track, codec, config, Coming { time, arrival })?;
                }
                Ok(())
            }
            frame @ Content::Frame { key, .. } => {
                if self.grows_with(track, key) {
                    self.grow();
                    return self.push(Unit { track, codec, content: frame }, time, arrival);
                }
                self.frame(Waiting { track, time, arrival, content: frame });
                Ok(())
            }
        }
    }

    /// A track begins that is not in the header.
    fn late(&mut self, id: TrackId, setup: Setup) {
        if let Some(known) = self.coming.iter_mut().find(|known| known.id == id) {
            known.setup = setup;
            return;
        }
        let others = || self.ids().filter(|other| *other != id);
        let is_one_too_many =
            self.one_picture && id.kind == Kind::Video && others().any(|other| other.kind == Kind::Video);
        if is_one_too_many || others().count() >= TRACKS {
            self.counts.late = Some(id);
        } else {
            self.coming.push(Late { id, setup, heard: false });
        }
    }

    /// The tracks that there are, and that are to be.
    fn ids(&self) -> impl Iterator<Item = TrackId> {
        self.tracks.iter().map(|track| track.id).chain(self.coming.iter().map(|coming| coming.id))
    }

    /// Whether an object with all tracks can begin with this frame: that is where decoding can begin.
    fn grows_with(&mut self, id: TrackId, key: bool) -> bool {
        for coming in self.coming.iter_mut().filter(|coming| coming.id == id) {
            coming.heard = true;
        }
        let first_picture = self.ids().filter(|id| id.kind == Kind::Video).min();
        self.coming.iter().any(|coming| coming.heard) && first_picture.is_none_or(|first| first == id && key)
    }

    /// Gets ready for an object with all tracks.
    fn grow(&mut self) {
        self.cut();
        let tracks = self.tracks.iter().map(|track| (track.id, track.setup.clone()));
        let coming = std::mem::take(&mut self.coming).into_iter().map(|coming| (coming.id, coming.setup));
        let mut gathering = Gathering::default();
        gathering.tracks = tracks.chain(coming).collect();
        gathering.tracks.sort_by_key(|(id, _)| *id);
        self.gathering = Some(gathering);
    }

    fn has_start_codes(&self, unit: &Unit) -> bool {
        let Content::Frame { data, .. } = &unit.content else { return false };
        let tracks = self.tracks.iter().map(|track| (track.id, &track.setup));
        let coming = self.coming.iter().map(|coming| (coming.id, &coming.setup));
        // Where another object is about to begin, with its own.
        let gathered = self.gathering.iter().flat_map(|gathering| &gathering.tracks).map(|(id, setup)| (*id, setup));
        let setup = gathered.chain(tracks).chain(coming).find(|(id, _)| *id == unit.track).map(|(_, setup)| setup);
        setup.is_some_and(|setup| setup.has_start_codes(data))
    }

    /// The encoder sends something else from here on, and tells only what has changed.
    fn change(
        &mut self,
        track: TrackId,
        codec: Codec,
        config: Bytes,
        Coming { time, arrival }: Coming,
    ) -> Result<(), MuxError> {
        self.grow();
        // The size that was told before is that of other pictures.
        self.size = None;
        let gathering = self.gathering.get_or_insert_default();
        Ok(gathering.take(Unit { track, codec, content: Content::Config(config) }, time, arrival)?)
    }

    /// Whether all that was gathered can go on behind what there is.
    fn goes_on_with(&self, tracks: &[(TrackId, Setup)]) -> bool {
        !self.tracks.is_empty()
            && tracks.iter().all(|(id, setup)| self.tracks.iter().any(|track| track.id == *id && track.setup == *setup))
    }

    /// Begins the recording with what was gathered, or goes on with it.
    fn begin(&mut self) {
        let Some(gathering) = self.gathering.take() else { return };
        self.counts.dropped += gathering.dropped;
        if self.one_picture && gathering.tracks.iter().filter(|(id, _)| id.kind == Kind::Video).count() > 1 {
            (self.gathering, self.refused) = (Some(Gathering::default()), true);
            return;
        }
        if self.goes_on_with(&gathering.tracks) {
            self.anew = true;
        } else {
            self.counts.changes += u64::from(!self.tracks.is_empty());
            let tracks = gathering.tracks.into_iter().zip(1..);
            self.tracks = tracks.map(|((id, setup), number)| Track::new(id, setup, number)).collect();
            (self.sequence, self.anew) = (0, false);
            let setups: Vec<_> = self.tracks.iter().map(|track| &track.setup).collect();
            let bytes = header(&setups, self.size);
            self.ready.push_back(Piece { bytes, begins: true, after: State::of(self.sequence, &self.tracks) });
        }
        if let Some(front) = gathering.frames.front() {
            // Sound and pictures take turns: the earliest need not have come first.
            let after = |frame: &&Waiting| frame.time.wrapping_sub(front.time).cast_signed();
            let first = gathering.frames.iter().min_by_key(after).map_or(front.time, |frame| frame.time);
            let from = self.goes_on_at(&gathering.frames, first);
            self.clock.anchor(first, from, front.arrival);
        }
        for frame in gathering.frames {
            self.frame(frame);
        }
    }

    /// Where in the recording an encoder goes on whose first time is `first`: no frame is decoded or shown before one that was.
    fn goes_on_at(&self, frames: &VecDeque<Waiting>, first: u32) -> i64 {
        let from = self.tracks.iter().filter_map(|track| {
            let frame = frames.iter().find(|frame| frame.track == track.id)?;
            let Content::Frame { shown_after, .. } = frame.content else { return None };
            let after = i64::from(frame.time.wrapping_sub(first).cast_signed());
            Some(track.end().max(track.shown_to() - i64::from(shown_after)) - after)
        });
        from.max().unwrap_or(0).max(0)
    }

    fn frame(&mut self, frame: Waiting) {
        let Waiting { track, time, arrival, content: Content::Frame { key, shown_after, data } } = frame else {
            return;
        };
        let first = self.tracks.first().map(|track| track.id);
        let Some(at) = self.tracks.iter().position(|known| known.id == track) else {
            self.counts.dropped += 1;
            return;
        };
        let Some(known) = self.tracks.get_mut(at) else { return };
        if known.waits_for_key && !key {
            self.counts.dropped += 1;
            return;
        }
        known.waits_for_key = false;
        let milliseconds = self.clock.place(time, arrival, known.last);
        let place = known.place(milliseconds);
        let leads = first == Some(track);
        if leads {
            known.next_is(place);
        }
        if self.is_full(leads, key && track.kind == Kind::Video, milliseconds, data.len()) {
            self.cut();
        }
        let Some(known) = self.tracks.get_mut(at) else { return };
        if leads && key && known.samples.is_empty() {
            self.key_came = Some(arrival);
        }
        let data = known.setup.sample(data);
        let scale = i64::from(known.setup.timescale);
        let shown_after = i32::try_from(i64::from(shown_after) * scale / 1000).unwrap_or(0);
        self.bytes += data.len();
        self.begins = Some(self.begins.unwrap_or(milliseconds).min(milliseconds));
        known.add(milliseconds, Sample { at: place, duration: 0, shown_after, key, data });
    }

    /// Whether the fragment is to end before a frame of so many bytes. Sound that came before the first picture goes into the
    /// same fragment.
    fn is_full(&self, leads: bool, key: bool, at: i64, length: usize) -> bool {
        let Some(begins) = self.begins else { return false };
        let age = at - begins;
        let leader = self.tracks.first().is_some_and(|track| !track.samples.is_empty());
        (leads && leader && (key || age >= self.lasts))
            || age >= self.lasts.saturating_add(STALLED)
            || self.bytes + length > FRAGMENT_MAX
            || self.tracks.iter().map(|track| track.samples.len()).sum::<usize>() >= FRAMES_MAX
    }

    /// Ends the fragment.
    fn cut(&mut self) {
        let parts: Vec<_> = self.tracks.iter().map(Track::part).filter(|part| !part.samples.is_empty()).collect();
        let Some(first) = parts.first() else { return };
        self.sequence = self.sequence.wrapping_add(1);
        let time = self.key_came.take().zip(first.samples.first()).map(|(came, sample)| TimeOfDay {
            track: first.track,
            ntp: came.ntp(),
            at: u64::try_from(sample.at).unwrap_or(0),
        });
        let lead = Lead { anew: std::mem::take(&mut self.anew), time };
        let bytes = fragment(self.sequence, &parts, &lead);
        self.ready.push_back(Piece { bytes, begins: false, after: State::of(self.sequence, &self.tracks) });
        for track in &mut self.tracks {
            track.samples.clear();
        }
        (self.begins, self.bytes) = (None, 0);
    }

    /// The stream is over: hands on all that came of it.
    pub fn finish(&mut self) {
        if self.gathering.as_ref().is_some_and(|gathering| !gathering.frames.is_empty()) {
            // Ended early, it is what there is of it.
            self.begin();
        }
        self.leave();
    }

    /// The encoder is gone: hands on what it sent, and gets ready for the next. What came before it was known which tracks
    /// there are is given up.
    pub fn leave(&mut self) {
        self.cut();
        self.gathering = Some(Gathering::default());
        self.coming.clear();
        for track in &mut self.tracks {
            track.begin_anew();
        }
    }
}

#[cfg(test)]
#[path = "muxer_tests.rs"]
mod tests;
