//! Looks through one version for its fragments, once for all who ask for its playlists: from its beginning by small requests
//! past the pictures and the sound, and at the live edge in what comes for all viewers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::indexed::Indexed;
use super::survey::{SHORTEST, survey};
use crate::media::fmp4::{Found, Scanner};
use crate::object::ranges::Answer;
use crate::serve::fetch::PATIENCE;
use crate::serve::recording::{Broken, Edge};
use crate::serve::ring::Here;
use crate::serve::viewing::{Step, Viewing};

/// What one request asks for at least: a `moof` of two seconds and the header of the `mdat` after it.
const LEAST: u64 = 16 << 10;

/// What one request asks for at most, where fragments are small.
const MOST: u64 = 1 << 20;

/// So long after the last who asked it is looked through no further.
const IDLE: Duration = Duration::from_secs(60);

/// Has it looked through, unless somebody does so already or all of it has been seen.
pub(crate) fn run(indexed: &Arc<Indexed>, viewing: &Viewing) {
    indexed.ask();
    let scanner = {
        let mut state = indexed.state();
        if state.index.is_over() { None } else { state.scanner.take() }
    };
    let Some(scanner) = scanner else { return };
    let (indexed, viewing) = (Arc::clone(indexed), viewing.clone());
    let resting = Resting { indexed, scanner: Some(scanner) };
    let mut looks = Indexer { resting, viewing, window: LEAST, between: None, unsure: 0 };
    tokio::spawn(async move {
        match looks.look().await {
            Ok(()) => {}
            Err(Broken) => looks.resting.indexed.fail(),
        }
    });
}

struct Indexer {
    resting: Resting,
    viewing: Viewing,
    /// What the next request asks for.
    window: u64,
    /// Where the newest fragment ended, if the next one has not begun.
    between: Option<u64>,
    /// Before this place one walk goes on.
    unsure: u64,
}

/// Whatever ends the task, another can go on.
struct Resting {
    indexed: Arc<Indexed>,
    scanner: Option<Box<Scanner>>,
}

impl Drop for Resting {
    fn drop(&mut self) {
        if let Some(scanner) = self.scanner.take() {
            self.indexed.rest(scanner);
        }
    }
}

impl Indexer {
    /// Goes on until all of it has been seen, or nobody asks any more.
    async fn look(&mut self) -> Result<(), Broken> {
        // Another one, by which it may be readable again.
        self.resting.indexed.state().broken = false;
        self.viewing.look_at_edge(false).await.map_err(|error| {
            tracing::warn!("{error}");
            Broken
        })?;
        while self.resting.indexed.idle() < IDLE {
            let edge = self.viewing.edge();
            let at = self.offset();
            if edge.broken || edge.stopped {
                return Err(Broken);
            }
            if edge.size.is_some_and(|size| at >= size) || self.is_off() {
                if edge.size.is_some() {
                    self.resting.indexed.finish();
                    return Ok(());
                }
                self.resting.indexed.at_edge();
                self.more(edge).await?;
                continue;
            }
            match self.viewing.ring.read(at, MOST) {
                Here::Bytes(bytes) => self.feed(&bytes),
                Here::NotYet => {
                    if at >= edge.known {
                        self.resting.indexed.at_edge();
                    }
                    self.more(edge).await?;
                }
                Here::Elsewhere => self.pass(at, edge).await?,
            }
        }
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.resting.scanner.as_ref().map_or(0, |scanner| scanner.offset())
    }

    fn is_off(&self) -> bool {
        self.resting.scanner.as_ref().is_some_and(|scanner| scanner.is_off())
    }

    fn feed(&mut self, bytes: &[u8]) {
        let found = self.resting.scanner.as_mut().map(|scanner| scanner.feed(bytes)).unwrap_or_default();
        self.take(&found);
    }

    fn take(&mut self, found: &[Found]) {
        let live = self.resting.indexed.state().is_at_edge();
        match found.last() {
            Some(Found::Ended(fragment)) => self.between = fragment.end,
            Some(_) => self.between = None,
            None => {}
        }
        self.resting.indexed.take(found, live);
    }

    /// Looks through a long past in many places at once; false where one walk has to go on.
    async fn survey(&mut self, at: u64, known: u64) -> Result<bool, Broken> {
        if self.between != Some(at) || at < self.unsure {
            return Ok(false);
        }
        let Some(movie) = self.resting.indexed.state().index.info.movie.clone() else { return Ok(false) };
        let viewing = &self.viewing;
        let surveyed = survey(&movie, at, known, |first, end| read(viewing, first, end)).await?;
        let Some(end) = surveyed.end else {
            self.unsure = at.saturating_add(4 * SHORTEST);
            return Ok(false);
        };
        self.resting.indexed.take(&surveyed.found, false);
        (self.resting.scanner, self.between) = (Some(Box::new(Scanner::starting_at(movie, end))), Some(end));
        Ok(true)
    }

    /// Waits for more than there is, or for news of its end.
    async fn more(&self, edge: Edge) -> Result<(), Broken> {
        let mut news = self.viewing.news();
        if *news.borrow_and_update() != edge {
            return Ok(());
        }
        if !self.viewing.ring.is_open() {
            return self.viewing.follow().await;
        }
        timeout(IDLE / 4, news.changed()).await.unwrap_or(Ok(())).map_err(|_| Broken)
    }

    /// Goes on in the past: over what need not be read, or by a small request.
    async fn pass(&mut self, at: u64, edge: Edge) -> Result<(), Broken> {
        let known = edge.size.unwrap_or(edge.known).min(self.known_places(edge));
        if at >= known {
            return self.more(edge).await;
        }
        if self.survey(at, known).await? {
            return Ok(());
        }
        if let Some((passes, found)) = self.resting.scanner.as_mut().and_then(|scanner| scanner.pass_over(known)) {
            self.window = if passes > 4 * self.window { LEAST } else { self.window };
            self.take(&found);
            return Ok(());
        }
        let bytes = read(&self.viewing, at, (at + self.window).min(known)).await?;
        self.window = (self.window * 2).min(MOST);
        self.feed(&bytes);
        Ok(())
    }

    /// Up to where it is known which bytes lie where.
    fn known_places(&self, edge: Edge) -> u64 {
        if edge.size.is_some() { u64::MAX } else { self.viewing.found().source.index() }
    }
}

/// What there is of these bytes, at least one of them.
async fn read(viewing: &Viewing, first: u64, end: u64) -> Result<Bytes, Broken> {
    let source = viewing.found().source.clone();
    let store = viewing.store.at_most(PATIENCE);
    match source.ranges(&store).read(first, end).await {
        Ok(Answer::Data(bytes)) => return Ok(Bytes::from(bytes)),
        Ok(Answer::Nothing | Answer::Absent) => {}
        Err(error) => {
            tracing::warn!("{error}");
            return Err(Broken);
        }
    }
    // It is read in another way by now: as all viewers do.
    loop {
        match viewing.read(first, end - first, false) {
            Step::Bytes(bytes) => return Ok(bytes),
            Step::Wait(waiting) => waiting.await?,
            Step::Over => {
                sleep(Duration::from_millis(50)).await;
                return Ok(Bytes::new());
            }
            Step::Broken => return Err(Broken),
        }
    }
}
