//! The one recording: what becomes of what encoders send, whichever of them has it.

use std::time::Duration;

use tokio::time::Instant;

use super::words::Left;
use crate::media::flv::{self, FlvError};
use crate::mux::{Arrival, Muxer, Piece};
use crate::rtmp::Event;
use crate::writer::source::Feeder;

/// What is being made of the streams.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) muxer: Muxer,
    pub(super) feeder: Feeder,
    /// Where its clock begins.
    pub(super) began: Instant,
    /// Tags that could not be read.
    broken_tags: u64,
    /// Something has been handed on.
    begun: bool,
    /// What has been told of.
    told: Told,
}

/// What people have been told of.
#[derive(Debug, Default)]
struct Told {
    late: bool,
    jump: bool,
    changes: u64,
}

impl Recording {
    pub(super) fn new(fragment: Duration, feeder: Feeder) -> Self {
        Self {
            muxer: Muxer::new(fragment),
            feeder,
            began: Instant::now(),
            broken_tags: 0,
            begun: false,
            told: Told::default(),
        }
    }

    /// Takes what an encoder sent; in words, why it cannot.
    pub(super) fn take(&mut self, event: Event, arrival: Arrival) -> Result<(), String> {
        let (time, units) = match event {
            Event::Metadata(about) => {
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
                self.broken_tags += 1;
                return Ok(());
            }
            Err(error @ FlvError::Codec { .. }) => return Err(error.to_string()),
        };
        for unit in units {
            self.muxer.push(unit, time, arrival).map_err(|error| error.to_string())?;
        }
        self.tell();
        Ok(())
    }

    /// Warns of what the encoder should do otherwise, once.
    fn tell(&mut self) {
        let counts = self.muxer.counts();
        if counts.changes > std::mem::replace(&mut self.told.changes, counts.changes) {
            tracing::warn!(
                event = "changed",
                "the encoder sends with other settings than before: it goes on in another object, since one has only one header"
            );
        }
        if let Some(track) = counts.late.filter(|_| !std::mem::replace(&mut self.told.late, true)) {
            let what = if track.kind == flv::Kind::Video { "pictures" } else { "sound" };
            tracing::warn!(
                "the encoder began to send {what} after the recording had begun without: they are not in the object"
            );
        }
        if counts.jumps > 0 && !std::mem::replace(&mut self.told.jump, true) {
            tracing::warn!("the encoder's time jumped: from there on the recording goes by when frames came");
        }
    }

    /// Hands on what is ready; false when nobody reads any more. Dropping the future loses nothing.
    pub(super) async fn hand_on(&mut self) -> bool {
        while let Some(piece) = self.muxer.ready() {
            let Piece { bytes, begins } = piece;
            // The first object is there already.
            let next = begins && self.begun;
            let given = if next { self.feeder.give_next(bytes).await } else { self.feeder.give(bytes).await };
            if !given {
                return false;
            }
            self.begun = true;
            self.muxer.handed_on();
        }
        true
    }

    /// The encoder is gone; nothing more comes of it, or at all.
    pub(super) async fn end_of(&mut self, left: &Left) -> bool {
        match left {
            Left::Ended | Left::Stopped => self.muxer.finish(),
            _ => self.muxer.leave(),
        }
        let counts = self.muxer.counts();
        tracing::debug!(
            "{} frames that nothing could be made of, {} broken tags, {} jumps in time",
            counts.dropped,
            self.broken_tags,
            counts.jumps
        );
        self.hand_on().await
    }
}
