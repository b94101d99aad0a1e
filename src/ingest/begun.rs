//! Recordings of many streams as they begin, or go on: what each of them is, and how they are made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::figures::Figures;
use super::journals::Journals;
use super::notes::Notes;
use super::notices::Herald;
use super::recording::{Behind, Shape};
use super::stage::Manners;
use super::title::Title;
use crate::keys::template::has_renditions;
use crate::keys::terms::Terms;
use crate::writer::source::Source;

/// A recording that has begun, for whoever writes it.
#[derive(Debug)]
pub struct Begun {
    /// What comes of it; ends with the recording.
    pub source: Source,
    /// What it is called, and whose it is.
    pub title: Title,
    /// Where it is noted, too.
    pub journal: Option<Notes>,
    /// Its place among those that may be at one time.
    pub place: OwnedSemaphorePermit,
    /// Who tells others of it.
    pub herald: Herald,
    /// What is counted of it.
    pub figures: Arc<Figures>,
}

/// A recording that a killed writer has left.
#[derive(Debug)]
pub struct GoesOn {
    /// What it is called, and whose it is.
    pub title: Title,
    /// Where it is.
    pub behind: Behind,
    /// Nothing more comes of it.
    pub over: bool,
}

/// How recordings are made.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) manners: Manners,
    pub(super) shape: Shape,
    pub(super) queue: usize,
    pub(super) journals: Option<Journals>,
}

impl Making {
    /// How fast a stream may come.
    pub(super) fn max_bitrate(&self, terms: &Terms) -> Option<u64> {
        terms.max_bitrate.or(self.shape.max_bitrate)
    }

    /// How its encoders are dealt with.
    pub(super) fn manners_of(&self, terms: &Terms) -> Manners {
        let reconnect = terms.reconnect.map_or(self.manners.reconnect, Duration::from_secs);
        Manners { reconnect, ..self.manners }
    }

    /// What is made of this recording: its stream may have a template of its own.
    pub(super) fn shape_of(&self, title: &Title) -> Shape {
        let renditions = title.object().map_or(self.shape.renditions, has_renditions);
        let max_bitrate = self.max_bitrate(&title.permit.terms);
        Shape { renditions, max_bitrate, ..self.shape }
    }
}
