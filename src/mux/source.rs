//! One source of fragments: its header, and which numbers its tracks have in the recording.

use bytes::Bytes;

use crate::media::fmp4::samples::{Raw, Samples};
use crate::media::fmp4::setup::setup;
use crate::media::fmp4::{Movie, TrackKind};

/// Why its header cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceError {
    NotFragmented,
    NoTrack,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    /// The whole `moov` box.
    pub(super) moov: Bytes,
    movie: Movie,
    /// What counts of the header.
    setup: Vec<u8>,
    /// The number of each track there, and here.
    pub(super) numbers: Vec<(u32, u32)>,
    /// It has come back: its times may be others.
    pub(super) is_back: bool,
    /// Nothing more comes of it.
    pub(super) is_gone: bool,
}

impl Source {
    /// With this header; these numbers are those of others. Without any its tracks keep their own.
    pub(super) fn new(name: &str, moov: Bytes, taken: &[u32]) -> Result<Self, SourceError> {
        let movie = Movie::parse(&moov).ok_or(SourceError::NoTrack)?;
        if !movie.fragmented || movie.has_samples {
            return Err(SourceError::NotFragmented);
        }
        let ids = movie.tracks.iter().map(|track| track.id);
        let numbers = if taken.is_empty() {
            ids.map(|id| (id, id)).collect()
        } else {
            ids.zip((1..u32::MAX).filter(|number| !taken.contains(number))).collect()
        };
        let setup = setup(&moov).ok_or(SourceError::NoTrack)?;
        Ok(Self { name: name.to_owned(), moov, movie, setup, numbers, is_back: false, is_gone: false })
    }

    /// Whether another header says the same of the tracks.
    pub(super) fn is_same(&self, moov: &[u8]) -> bool {
        setup(moov).is_some_and(|setup| setup == self.setup)
    }

    /// What the header says, for whoever goes on behind it: with the numbers of its tracks here.
    pub(super) fn counts(&self) -> impl Iterator<Item = u8> {
        let numbers = self.numbers.iter().flat_map(|(_, here)| here.to_be_bytes());
        self.setup.iter().copied().chain(numbers)
    }

    /// What a fragment has of its tracks, under their numbers here; `None` if it is broken, or encrypted.
    pub(super) fn samples(&self, raw: &Raw) -> Option<Vec<Samples>> {
        let mut tracks = raw.samples(&self.movie)?;
        for track in &mut tracks {
            track.track = self.number(track.track)?;
        }
        Some(tracks)
    }

    /// The numbers of its tracks of sound and pictures.
    pub(super) fn media(&self) -> impl Iterator<Item = (u32, TrackKind)> {
        let media = self.movie.tracks.iter().filter(|track| track.kind != TrackKind::Other);
        media.filter_map(|track| Some((self.number(track.id)?, track.kind)))
    }

    fn number(&self, id: u32) -> Option<u32> {
        self.numbers.iter().find(|(there, _)| *there == id).map(|(_, here)| *here)
    }
}
