//! One stream that becomes several objects: a copy for each of its pictures.
//!
//! What comes of the encoder is one recording, with one time line. Each of its pieces is split here, and each part of it goes
//! to the copy of its rendition. One copy that fails is nothing to the others.

use std::collections::BTreeMap;

use tokio::task::{JoinError, JoinSet};

use crate::cli::writer::encoders::Stream;
use crate::cli::writer::left_renditions::{Before, QUEUE};
use crate::ingest::journal::Journal;
use crate::ingest::ladder::supervise::{Ladder, Ladders, Settings};
use crate::ingest::several::Several;
use crate::mux::split::{Cut, Split};
use crate::tool::exit::Exit;
use crate::writer::source::{Feed, Feeder, Source, StopSignal, feed};

/// What the copies are fed by.
struct Renditions<F> {
    /// Begins the copy of a rendition.
    copy: F,
    /// By the names of renditions; none once a copy takes no more.
    feeders: BTreeMap<String, Option<Feeder>>,
    copies: JoinSet<Exit>,
    /// Their names.
    names: Vec<String>,
    /// Where all of them are noted.
    journal: Option<Several>,
    at_once: StopSignal,
    failed: bool,
}

/// Records all of a stream, and its ladder, behind what there is; `copy` copies a rendition of this name, until all is to end at
/// once.
pub(crate) async fn record<F, Fut>(
    mut recording: Feed,
    mut ladder: Option<Ladder>,
    before: Before,
    (copy, at_once): (F, StopSignal),
) -> Exit
where
    F: Fn(String, Stream) -> Fut,
    Fut: Future<Output = Exit> + Send + 'static,
{
    let Before { mut split, feeders, streams, journal, .. } = before;
    let mut renditions =
        Renditions { copy, feeders, copies: JoinSet::new(), names: Vec::new(), journal, at_once, failed: false };
    for (name, stream) in streams {
        renditions.spawn(name, stream);
    }
    loop {
        let piece = tokio::select! {
            piece = recording.piece() => piece,
            Some((name, source, journal)) = rung(&mut ladder) => {
                renditions.begin(name, source, journal);
                continue;
            }
            Some(ended) = renditions.copies.join_next() => {
                renditions.ended(&ended);
                if renditions.copies.is_empty() {
                    // Nobody takes any of it any more.
                    break;
                }
                continue;
            }
        };
        let Some(piece) = piece else { break };
        if let Some(ladder) = &ladder {
            ladder.put(&piece);
        }
        let cuts = split.take(&piece);
        if cuts.iter().any(|cut| cut.begins) {
            say(&split);
        }
        for cut in cuts {
            renditions.give(cut).await;
        }
    }
    // Whoever feeds the recording hears that nobody reads it.
    drop(recording);
    renditions.feeders.clear();
    if let Some(ladder) = &ladder {
        ladder.end();
    }
    loop {
        tokio::select! {
            // What ffmpeg has still made begins late.
            begun = rung(&mut ladder), if ladder.is_some() => match begun {
                Some((name, source, journal)) => renditions.begin(name, source, journal),
                None => ladder = None,
            },
            Some(ended) = renditions.copies.join_next() => renditions.ended(&ended),
            else => break,
        }
    }
    if renditions.names.is_empty() {
        tracing::warn!(event = "done", "no stream came: nothing has been uploaded");
    }
    // What was left open by a second signal is gone on with by whoever comes next.
    let left = renditions.failed && renditions.ends_at_once();
    if let Some(journal) = renditions.journal.as_ref().filter(|_| !left) {
        journal.remove();
    }
    if renditions.failed { Exit::Failed } else { Exit::Done }
}

impl<F, Fut> Renditions<F>
where
    F: Fn(String, Stream) -> Fut,
    Fut: Future<Output = Exit> + Send + 'static,
{
    async fn give(&mut self, Cut { rendition, bytes, begins }: Cut) {
        let is_new = !self.feeders.contains_key(&*rendition);
        if is_new {
            let (feeder, feed) = feed(QUEUE);
            let journal = self.journal.as_ref().and_then(|journal| journal.rendition(&rendition));
            self.begin(rendition.to_string(), Source::Feed(feed), journal);
            self.feeders.insert(rendition.to_string(), Some(feeder));
        }
        let Some(slot) = self.feeders.get_mut(&*rendition) else { return };
        let Some(feeder) = slot else { return };
        let taken = if begins && !is_new { feeder.give_next(bytes).await } else { feeder.give(bytes).await };
        if !taken {
            *slot = None;
            let journal = self.journal.as_ref().filter(|_| !self.ends_at_once());
            // Nothing more of it is needed.
            if let Some(journal) = journal.and_then(|journal| journal.rendition(&rendition)) {
                journal.remove();
            }
        }
    }

    /// Begins a copy. What the encoder sends may be called like a rung of the ladder.
    fn begin(&mut self, name: String, source: Source, journal: Option<Journal>) {
        let is_free = |name: &String| !self.names.contains(name);
        let others = (2u32..).map(|number| format!("{name}-{number}"));
        let name = std::iter::once(name.clone()).chain(others).find(is_free).unwrap_or(name);
        if let Some(journal) = &journal {
            journal.called(&name);
        }
        self.spawn(name, Stream::behind(source, None, journal));
    }

    fn spawn(&mut self, name: String, stream: Stream) {
        self.names.push(name.clone());
        self.copies.spawn((self.copy)(name, stream));
    }

    fn ends_at_once(&self) -> bool {
        *self.at_once.borrow()
    }

    fn ended(&mut self, ended: &Result<Exit, JoinError>) {
        // A panic has been told of.
        self.failed |= !matches!(ended, Ok(Exit::Done));
    }
}

/// The next rendition that the ladder begins.
async fn rung(ladder: &mut Option<Ladder>) -> Option<(String, Source, Option<Journal>)> {
    ladder.as_mut()?.begun().await
}

/// Says what the encoder sends, where that is more than one picture.
fn say(split: &Split) {
    let names: Vec<&str> = split.names().collect();
    if names.len() > 1 {
        tracing::info!("the encoder sends several pictures, each in an object of its own: {}", names.join(", "));
    }
}

/// What makes ladders, where some are to be made; says what is missing for that.
pub(crate) fn ladders(settings: Option<&Settings>) -> Result<Option<Ladders>, Exit> {
    let Some(settings) = settings else { return Ok(None) };
    let ladders = Ladders::new(settings.clone());
    match ladders.check() {
        Ok(()) => Ok(Some(ladders)),
        Err(why) => {
            tracing::error!("{why}; nothing has been uploaded");
            Err(Exit::Failed)
        }
    }
}
