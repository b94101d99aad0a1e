//! The one recording: what becomes of what encoders send, whichever of them has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::figures::{Figures, Watch};
use super::notes::Notes;
use super::notices::Herald;
use super::pace::Pace;
use super::words::Left;
use crate::media::flv::{self, Content, FlvError};
use crate::media::fmp4::gather::Gathered;
use crate::mux::push::{Push, PushError};
use crate::mux::{Arrival, Muxer, Piece, State};
use crate::rtmp::Event;
use crate::writer::source::Feeder;

/// What people are told where an object cannot go on.
const CHANGED: &str =
    "the encoder sends with other settings than before: it goes on in another object, since one has only one header";

/// What several pictures need.
const NEEDS_A_NAME: &str = "each needs an object of its own, which it has with {rendition} in writer's KEY";

/// What is being made of the streams.
#[derive(Debug)]
pub(super) struct Recording {
    /// What is made of frames, and what makes it.
    shape: Shape,
    muxer: Muxer,
    /// What makes them out of fragments; whether the last encoder sent such.
    push: Push,
    pushes: bool,
    pub(super) feeder: Feeder,
    /// How fast it may come.
    pub(super) pace: Arc<Pace>,
    /// Who tells others of it.
    pub(super) herald: Herald,
    /// What lines about it belong to.
    pub(super) span: Span,
    /// What is counted of it.
    watch: Watch,
    /// Where its clock begins.
    pub(super) began: Instant,
    /// Something has been handed on; where the recording is behind that.
    begun: bool,
    behind: State,
    /// Where pieces are noted first; whether the next one is.
    journal: Option<Notes>,
    noted: bool,
    /// What has been told of.
    told: Told,
}

/// What is made of what encoders send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// How long a fragment is at most that is made out of frames.
    pub(super) fragment: Duration,
    /// Several pictures may come: each has an object of its own.
    pub(super) renditions: bool,
    /// The most bits a second that are taken.
    pub(super) max_bitrate: Option<u64>,
}

impl Shape {
    fn muxer(self) -> Muxer {
        self.limited(Muxer::new(self.fragment))
    }

    fn limited(self, muxer: Muxer) -> Muxer {
        if self.renditions { muxer } else { muxer.of_one_picture() }
    }

    fn push(self, push: Push) -> Push {
        if self.renditions { push.of_renditions() } else { push.of_one_picture() }
    }
}

/// What a recording goes on behind.
#[derive(Debug, Default)]
pub struct Behind {
    /// Where pieces are noted before they are handed on.
    pub journal: Option<Notes>,
    /// Where the time line is.
    pub state: Option<State>,
    /// There is an object already: a header begins another.
    pub begun: bool,
}

/// What people have been told of.
#[derive(Debug, Default)]
struct Told {
    late: bool,
    jump: bool,
    start_codes: bool,
    changes: u64,
}

impl Recording {
    /// One that begins, or goes on behind what there is in an object already.
    pub(super) fn new(shape: Shape, feeder: Feeder, behind: Behind) -> Self {
        let Behind { journal, state, begun } = behind;
        let (mut muxer, mut push, mut pushes) = (shape.muxer(), shape.push(Push::default()), false);
        let behind = state.clone().unwrap_or_default();
        match state {
            Some(state) if state.is_pushed() => (push, pushes) = (shape.push(Push::going_on(state)), true),
            Some(state) => muxer = shape.limited(Muxer::going_on(shape.fragment, state)),
            None => {}
        }
        Self {
            shape,
            muxer,
            push,
            pushes,
            feeder,
            pace: Arc::new(Pace::new(shape.max_bitrate)),
            herald: Herald::default(),
            span: Span::current(),
            began: Instant::now(),
            watch: Watch::default(),
            begun,
            behind,
            journal,
            noted: false,
            told: Told::default(),
        }
    }

    /// What is being made may be damaged: it goes on behind all that has been handed on.
    pub(super) fn start_over(&mut self) {
        let state = self.behind.clone();
        (self.muxer, self.push) = (self.shape.muxer(), self.shape.push(Push::default()));
        if state.is_pushed() {
            self.push = self.shape.push(Push::going_on(state));
        } else {
            self.muxer = self.shape.limited(Muxer::going_on(self.shape.fragment, state));
        }
    }

    /// What is counted of it.
    pub(super) fn figures(&self) -> &Arc<Figures> {
        &self.watch.figures
    }

    /// Whether anything has been made.
    pub(super) fn has_begun(&self) -> bool {
        self.muxer.has_begun() || self.push.has_begun()
    }

    /// Takes what an encoder sent that makes fragments itself, from a source that it may have `called` so.
    pub(super) fn take_fragments(
        &mut self,
        (source, called): (&str, bool),
        found: &Gathered,
        arrival: Arrival,
    ) -> Result<(), PushError> {
        if !std::mem::replace(&mut self.pushes, true) {
            // What was made out of frames has another header.
            self.push = self.shape.push(Push::default());
        }
        match found {
            Gathered::Header(moov) => {
                if called {
                    self.push.called(source);
                }
                if self.push.header(source, moov)? {
                    tracing::warn!(event = "changed", "{CHANGED}");
                }
                Ok(())
            }
            Gathered::Fragment(raw) => {
                self.watch.figures.fragments.fetch_add(1, Relaxed);
                self.push.fragment(source, raw, arrival)
            }
        }
    }

    /// What is made of fragments.
    pub(super) fn push(&self) -> &Push {
        &self.push
    }

    /// Nothing more comes of one of several that send fragments.
    pub(super) fn source_ended(&mut self, source: &str) {
        self.push.close(source);
    }

    /// Takes what an encoder sent; in words, why it cannot.
    pub(super) fn take(&mut self, event: Event, arrival: Arrival) -> Result<(), String> {
        if std::mem::take(&mut self.pushes) {
            self.muxer = self.shape.muxer();
        }
        let (time, units) = match event {
            Event::Metadata(about) => {
                self.watch.announced(about.audio);
                self.muxer.told(about.size, about.video, about.audio);
                return Ok(());
            }
            Event::Audio(time, body) => (time, flv::audio(&body)),
            Event::Video(time, body) => (time, flv::video(&body)),
            Event::Publish(_) | Event::Ending | Event::End => return Ok(()),
        };
        let units = match units {
            Ok(units) => units,
            Err(FlvError::Short) => {
                self.watch.figures.broken.fetch_add(1, Relaxed);
                return Ok(());
            }
            Err(error @ FlvError::Codec { .. }) => return Err(error.to_string()),
        };
        for unit in units {
            if let Content::Frame { key, .. } = unit.content
                && let Some(oddity) = self.watch.frame(unit.track, key, time, arrival.elapsed)
            {
                oddity.tell();
            }
            self.muxer.push(unit, time, arrival).map_err(|error| error.to_string())?;
        }
        self.tell();
        Ok(())
    }

    /// Warns of what the encoder should do otherwise, once.
    fn tell(&mut self) {
        let counts = self.muxer.counts();
        self.watch.figures.unusable.fetch_max(counts.unusable(), Relaxed);
        self.watch.figures.jumps.fetch_max(counts.jumps, Relaxed);
        if counts.changes > std::mem::replace(&mut self.told.changes, counts.changes) {
            tracing::warn!(event = "changed", "{CHANGED}");
        }
        if let Some(track) = counts.late.filter(|_| !std::mem::replace(&mut self.told.late, true)) {
            if track.kind == flv::Kind::Video {
                tracing::warn!("the encoder began to send another picture, which is left out: {}", NEEDS_A_NAME);
            } else {
                tracing::warn!("the encoder sends more tracks than are taken: the last ones are left out");
            }
        }
        if counts.start_codes > 0 && !std::mem::replace(&mut self.told.start_codes, true) {
            tracing::warn!(
                "the encoder sends pictures with start codes (Annex B), which RTMP does not know, behind a configuration without: they are \
                 not in the object. Have it send them as MP4 has them, with lengths"
            );
        }
        if counts.jumps > 0 && !std::mem::replace(&mut self.told.jump, true) {
            tracing::warn!("the encoder's time jumped: from there on the recording goes by when frames came");
        }
    }

    fn ready(&self) -> Option<Piece> {
        if self.pushes { self.push.ready() } else { self.muxer.ready() }
    }

    /// Hands on what is ready; false when nobody reads any more. Dropping the future loses nothing.
    pub(super) async fn hand_on(&mut self) -> bool {
        while let Some(piece) = self.ready() {
            // The first object is there already.
            let next = piece.begins && self.begun;
            if let Some(journal) = self.journal.as_ref().filter(|_| !self.noted) {
                journal.note(&piece, next);
                self.noted = true;
            }
            let Piece { bytes, after, .. } = piece;
            let given = if next { self.feeder.give_next(bytes).await } else { self.feeder.give(bytes).await };
            if !given {
                return false;
            }
            (self.begun, self.behind, self.noted) = (true, after, false);
            if self.pushes {
                self.push.handed_on();
            } else {
                self.muxer.handed_on();
            }
        }
        true
    }

    /// Says what of all that came is not in it.
    pub(super) fn say_what_is_missing(&self) {
        let count = |count: &AtomicU64| count.load(Relaxed);
        let (unusable, broken) = (count(&self.watch.figures.unusable), count(&self.watch.figures.broken));
        if unusable + broken > 0 {
            tracing::warn!(
                event = "left_out",
                "{unusable} frames of the encoder are not in the recording, since they came before a key frame or a configuration \
                 or are of a track that is not in it; {broken} messages of it could not be read"
            );
        }
    }

    /// Nothing more comes.
    pub(super) fn is_over(&self) {
        self.say_what_is_missing();
        if let Some(journal) = &self.journal {
            journal.over();
        }
    }

    /// The encoder is gone; nothing more comes of it, or at all.
    pub(super) async fn end_of(&mut self, left: &Left) -> bool {
        self.push.leave();
        self.watch.anew();
        match left {
            Left::Ended | Left::Stopped | Left::Closing => self.muxer.finish(),
            _ => self.muxer.leave(),
        }
        self.watch.figures.unusable.fetch_max(self.muxer.counts().unusable(), Relaxed);
        self.hand_on().await
    }
}
