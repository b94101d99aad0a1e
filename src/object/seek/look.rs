//! A look into the middle of a fragmented MP4: finds where a fragment begins, and follows from there.

use std::sync::Arc;

use crate::media::fmp4::fragments::find_moof;
use crate::media::fmp4::{Found, Movie, Scanner};

/// Bytes kept where a fragment may begin that is not all there yet.
const TAIL: usize = 1 << 20;

/// A look into the middle of a stream.
#[derive(Debug)]
pub(super) struct Look {
    movie: Arc<Movie>,
    /// `None` while the beginning of a fragment is searched for.
    scanner: Option<Scanner>,
    /// What may hold that beginning, and where in the stream it is.
    tail: Vec<u8>,
    at: u64,
    /// How much of `tail` is known to hold none.
    clean: usize,
    /// Whether the stream was broken somewhere.
    pub(super) broken: bool,
}

impl Look {
    /// From byte `from` on; `exact`: a box begins there.
    pub(super) fn new(movie: Arc<Movie>, from: u64, exact: bool) -> Self {
        let scanner = exact.then(|| Scanner::starting_at(movie.clone(), from));
        Self { movie, scanner, tail: Vec::new(), at: from, clean: 0, broken: false }
    }

    /// Where the media data end that the next byte belongs to: nothing is found before that.
    pub(super) fn nothing_before(&self) -> Option<u64> {
        self.scanner.as_ref().and_then(Scanner::nothing_before)
    }

    /// Whether a fragment may have begun of which not enough is there yet to be sure.
    pub(super) fn is_undecided(&self) -> bool {
        match &self.scanner {
            Some(scanner) => scanner.is_inside_index(),
            None => self.tail.windows(4).any(|window| window == b"moof"),
        }
    }

    /// Takes the next bytes; gives what they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Found> {
        if let Some(scanner) = &mut self.scanner {
            let found = scanner.feed(bytes);
            if scanner.is_off() {
                // What looked like a fragment was none, or the stream is broken; there may be one further on.
                self.broken = true;
                self.at = scanner.offset();
                self.scanner = None;
            }
            return found;
        }
        self.tail.extend_from_slice(bytes);
        let fresh = self.tail.get(self.clean..).unwrap_or_default();
        let place = find_moof(fresh, self.at.saturating_add(self.clean as u64), &self.movie);
        let Some(place) = place else {
            // From the first name on it may still become one.
            let name = fresh.windows(4).position(|window| window == b"moof");
            let kept = name.unwrap_or(fresh.len()).saturating_sub(if name.is_some() { 4 } else { 7 });
            self.clean = self.clean.saturating_add(kept);
            let drop = self.clean.max(self.tail.len().saturating_sub(TAIL));
            self.tail.drain(..drop);
            self.at = self.at.saturating_add(drop as u64);
            self.clean = 0;
            return Vec::new();
        };
        let mut scanner = Scanner::starting_at(self.movie.clone(), place);
        let begin = usize::try_from(place.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let found = scanner.feed(self.tail.get(begin..).unwrap_or_default());
        self.tail = Vec::new();
        self.clean = 0;
        if scanner.is_off() {
            self.broken = true;
            self.at = scanner.offset();
        } else {
            self.scanner = Some(scanner);
        }
        found
    }
}
