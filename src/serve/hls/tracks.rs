//! What each segment has of each track: when that begins, and how long it lasts. For players that want every track alone. Pure.
//!
//! Each header begins an era of its own: its tracks have nothing to do with those before.

use std::sync::Arc;

use crate::media::fmp4::{Fragment, Movie};

/// What a segment has of a track, in ticks of that track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// When the first of its samples is shown; no two of a track begin at the same time.
    pub(crate) at: u64,
    pub(crate) lasts: u32,
    /// Which segment.
    pub(crate) segment: u32,
}

impl Span {
    pub(crate) fn end(&self) -> u64 {
        self.at.saturating_add(self.lasts.into())
    }
}

/// One track of an era.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) id: u32,
    pub(crate) spans: Vec<Span>,
    bytes: u64,
    ticks: u64,
    /// How long before 0 the first sample of all is shown.
    early: u64,
    /// Bytes of the first span.
    first_bytes: u64,
}

impl Line {
    /// Bits a second over all of it.
    pub(crate) fn rate(&self, timescale: u32) -> u64 {
        let bits = u128::from(self.bytes) * 8 * u128::from(timescale);
        u64::try_from(bits / u128::from(self.ticks.max(1))).unwrap_or(u64::MAX).max(1)
    }

    /// The same of its first span alone, which never changes.
    pub(crate) fn first_rate(&self, timescale: u32) -> u64 {
        let ticks = self.spans.first().map_or(0, |first| first.lasts);
        let bits = u128::from(self.first_bytes) * 8 * u128::from(timescale);
        u64::try_from(bits / u128::from(ticks.max(1))).unwrap_or(u64::MAX).max(1)
    }

    /// When the first sample of all is shown: before 0, where a decoder needs it to begin with and leaves it out.
    pub(crate) fn first(&self) -> i64 {
        let first = self.spans.first().map_or(0, |first| first.at);
        i64::try_from(first).unwrap_or(i64::MAX).saturating_sub_unsigned(self.early)
    }

    /// What begins at this time.
    pub(crate) fn at(&self, time: u64) -> Option<Span> {
        let place = self.spans.binary_search_by_key(&time, |span| span.at).ok()?;
        self.spans.get(place).copied()
    }

    fn put(&mut self, open: &Open, segment: u32) {
        let at = u64::try_from(open.earliest).unwrap_or(0);
        if self.spans.is_empty() {
            self.early = open.earliest.min(0).unsigned_abs();
            self.first_bytes = open.bytes;
        }
        // A clock that stands still or goes back is no fault of who asks.
        let at = self.spans.last().map_or(at, |last| at.max(last.at.saturating_add(1)));
        let lasts = u32::try_from(open.ticks).unwrap_or(u32::MAX).max(1);
        self.spans.push(Span { at, lasts, segment });
        self.bytes = self.bytes.saturating_add(open.bytes);
        self.ticks = self.ticks.saturating_add(lasts.into());
    }
}

/// What follows a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Era {
    pub(crate) movie: Arc<Movie>,
    pub(crate) lines: Vec<Line>,
}

/// What the segment that is being put together has of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    track: u32,
    earliest: i64,
    ticks: u64,
    bytes: u64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracks {
    /// As many as there are headers with segments.
    pub(crate) eras: Vec<Era>,
    movie: Option<Arc<Movie>>,
    open: Vec<Open>,
}

impl Tracks {
    /// What comes from now on goes by this header.
    pub(crate) fn header(&mut self, movie: &Arc<Movie>) {
        (self.movie, self.open) = (Some(Arc::clone(movie)), Vec::new());
    }

    /// A fragment begins that belongs to the segment that is being put together.
    pub(crate) fn begin(&mut self, fragment: &Fragment) {
        for run in &fragment.runs {
            match self.open.iter_mut().find(|open| open.track == run.track) {
                Some(open) => {
                    open.earliest = open.earliest.min(run.earliest);
                    open.ticks = open.ticks.saturating_add(run.duration);
                    open.bytes = open.bytes.saturating_add(run.bytes);
                }
                None => self.open.push(Open {
                    track: run.track,
                    earliest: run.earliest,
                    ticks: run.duration,
                    bytes: run.bytes,
                }),
            }
        }
    }

    /// The segment with this number is whole, and goes by the header with this number.
    pub(crate) fn close(&mut self, segment: usize, header: usize) {
        let Some(movie) = &self.movie else { return };
        while self.eras.len() <= header {
            self.eras.push(Era { movie: Arc::clone(movie), lines: Vec::new() });
        }
        let (Some(era), Ok(segment)) = (self.eras.last_mut(), u32::try_from(segment)) else { return };
        for open in std::mem::take(&mut self.open) {
            let known = era.lines.iter().position(|line| line.id == open.track);
            let place = known.unwrap_or_else(|| {
                era.lines.push(Line { id: open.track, ..Line::default() });
                era.lines.len() - 1
            });
            if let Some(line) = era.lines.get_mut(place) {
                line.put(&open, segment);
            }
        }
    }

    /// What it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.eras.iter().flat_map(|era| &era.lines).map(|line| line.spans.len() * size_of::<Span>()).sum()
    }
}
