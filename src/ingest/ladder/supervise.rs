//! One ffmpeg for each stream: started with the stream's header, started again when it fails, and ended with the stream.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::child::Child;
use super::command::{Coding, arguments};
use super::listener::Listener;
use super::point::{Begun, Expected, Lane, Point};
use super::restarts::Restarts;
use super::tee::{Pipe, Tee, Work};
use crate::ingest::journal::Journal;
use crate::ingest::several::Several;
use crate::keys::rungs::{Rung, Rungs};
use crate::mux::rung::Rung as Made;
use crate::writer::source::{Feeder, Source, StopSignal};

/// The program.
const FFMPEG: &str = "ffmpeg";

/// What ladders are to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The renditions beside the source, of a stream of which nobody has said which.
    pub rungs: Rungs,
    /// How they are coded.
    pub coding: Coding,
    /// How many streams may have one at a time.
    pub most: usize,
}

/// The ladders of all streams.
#[derive(Debug)]
pub struct Ladders {
    settings: Settings,
    places: Arc<Semaphore>,
}

/// The ladder of a stream.
#[derive(Debug)]
pub struct Ladder {
    tee: Arc<Tee>,
    begun: mpsc::UnboundedReceiver<Begun>,
}

/// What the ladder of a stream goes on behind.
#[derive(Debug, Default)]
pub struct Behind {
    /// The newest header, and how many there were before.
    pub header: Option<(Bytes, u64)>,
    /// Renditions that there are, by the names of their rungs.
    pub rungs: Vec<(String, GoesOn)>,
    /// Where renditions are noted, too.
    pub journals: Option<Several>,
    /// How often the program was started again.
    pub restarts: Arc<AtomicU64>,
}

/// A rendition that goes on.
#[derive(Debug)]
pub struct GoesOn {
    /// Where it is.
    pub made: Made,
    /// Whoever copies it; none where nobody does any more.
    pub feeder: Option<Feeder>,
    /// Where it is noted.
    pub journal: Option<Journal>,
}

impl Ladders {
    /// See [`Settings`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let places = Arc::new(Semaphore::new(settings.most));
        Self { settings, places }
    }

    /// Whether there is an ffmpeg that can make them; in words, why not.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        let encoder = &self.settings.coding.encoder;
        let mut command = Command::new(FFMPEG);
        command.args(["-hide_banner", "-encoders"]).stdin(Stdio::null()).stderr(Stdio::null());
        let listed = command.output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "a ladder (--ladder) is made by ffmpeg, and there is none in PATH: install it (on Debian, \
                                        apt install ffmpeg; 5.1 or later), or leave --ladder out"
                    .to_owned()
            }
            _ => format!("a ladder (--ladder) is made by ffmpeg, which cannot be started: {error}"),
        })?;
        let has = |line: &str| line.split_whitespace().nth(1) == Some(encoder.as_str());
        if String::from_utf8_lossy(&listed.stdout).lines().any(has) {
            return Ok(());
        }
        Err(format!(
            "the ffmpeg in PATH has no encoder {encoder} (--ladder-encoder): `ffmpeg -encoders` lists those that it has"
        ))
    }

    /// One for a stream, with `own` renditions where it has some of its own; none where it has none, or where there are too many
    /// ladders, which is told.
    #[must_use]
    pub fn begin(&self, own: Option<&Rungs>, at_once: StopSignal, behind: Behind) -> Option<Ladder> {
        let wanted = own.unwrap_or(&self.settings.rungs).clone();
        if wanted.is_empty() && behind.rungs.is_empty() {
            return None;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let most = self.settings.most;
            tracing::warn!(
                "this stream has no ladder, only its source: {most} streams have one already, and each takes much processor time \
                 (--ladder-max)"
            );
            return None;
        };
        let Behind { header, rungs, journals, restarts: counted } = behind;
        let tee = Arc::new(header.map(Tee::behind).unwrap_or_default());
        let (begins, begun) = mpsc::unbounded_channel();
        let mut lanes = BTreeMap::new();
        for (name, GoesOn { made, feeder, journal }) in rungs {
            let lane = Lane::new(name.clone(), begins.clone(), journals.clone()).behind(made, feeder, journal);
            lanes.insert(name, Arc::new(Mutex::new(lane)));
        }
        let coding = self.settings.coding.clone();
        let supervisor = Supervisor { rungs: wanted, coding, tee: tee.clone(), begins, lanes, journals, counted };
        tokio::spawn(supervisor.run(at_once, place).in_current_span());
        Some(Ladder { tee, begun })
    }
}

impl Ladder {
    /// Takes a piece of the stream, as well. Does not wait.
    pub fn put(&self, piece: &Bytes) {
        self.tee.put(piece);
    }

    /// What hears the stream instead, where that is copied as it is.
    #[must_use]
    pub fn listener(&self) -> Listener {
        Listener::new(self.tee.clone())
    }

    /// The next rendition that begins, by its name; none when no more can.
    pub async fn begun(&mut self) -> Option<(String, Source, Option<Journal>)> {
        self.begun.recv().await
    }

    /// Nothing more comes of the stream.
    pub fn end(&self) {
        self.tee.end();
    }
}

impl Drop for Ladder {
    fn drop(&mut self) {
        self.end();
    }
}

/// What makes the ladder of a stream.
struct Supervisor {
    rungs: Rungs,
    coding: Coding,
    tee: Arc<Tee>,
    begins: mpsc::UnboundedSender<Begun>,
    /// By the names of their rungs.
    lanes: BTreeMap<String, Arc<Mutex<Lane>>>,
    /// Where they are noted, too.
    journals: Option<Several>,
    /// How often the program was started again.
    counted: Arc<AtomicU64>,
}

/// What became of a program.
enum Became {
    /// The stream has ended, or goes on with other settings.
    SeenOff,
    /// It has ended by itself, and said this.
    Gone(String),
}

impl Supervisor {
    async fn run(mut self, mut at_once: StopSignal, _place: OwnedSemaphorePermit) {
        tokio::select! {
            () = self.supervise() => {}
            // What is not made by now never will be.
            Ok(_) = at_once.wait_for(|at_once| *at_once) => {}
        }
        self.tee.end();
        // Whoever sends something still is about to end.
        for lane in self.lanes.values() {
            drop(lane.lock().await);
        }
    }

    async fn supervise(&mut self) {
        let point = match Point::open().await {
            Ok(point) => point,
            Err(error) => {
                return tracing::error!("there is no ladder, only the source: cannot listen at 127.0.0.1: {error}");
            }
        };
        let (mut restarts, mut done) = (Restarts::default(), None);
        while let Some(work) = self.tee.work(done).await {
            let rungs = self.rungs(&work);
            if rungs.is_empty() {
                self.tee.detach();
                done = Some(work.number);
                continue;
            }
            let began = Instant::now();
            let why = match self.start(&point, &work, &rungs) {
                Ok((child, pipe)) => match self.watch(child, pipe, &work).await {
                    Became::SeenOff => {
                        done = Some(work.number);
                        continue;
                    }
                    Became::Gone(why) => why,
                },
                Err(error) => format!("it cannot be started: {error}"),
            };
            self.tee.detach();
            point.forget();
            let Some(wait) = restarts.next(Instant::now(), began.elapsed()) else {
                tracing::error!(
                    event = "ladder_over",
                    "ffmpeg has ended too often: the stream goes on without its ladder. It said: {why}"
                );
                break;
            };
            self.counted.fetch_add(1, Relaxed);
            tracing::warn!(
                event = "ladder_gone",
                "ffmpeg, which makes the ladder, is gone: it is started again in {} s, and its renditions have a gap; the source \
                 has none. It said: {why}",
                wait.as_secs()
            );
            tokio::select! {
                () = sleep(wait) => {}
                () = self.tee.is_past(work.number) => {}
            }
        }
        // All that was sent is taken before the point is closed.
        for lane in self.lanes.values() {
            drop(lane.lock().await);
        }
    }

    /// What is made of a stream with this header; says what is not.
    fn rungs(&self, work: &Work) -> Vec<Rung> {
        let size = work.timeline.lock().unwrap_or_else(PoisonError::into_inner).size();
        let Some((width, height)) = size else {
            tracing::warn!("there is no ladder, only the source: the stream has not one picture alone");
            return Vec::new();
        };
        let (rungs, left) = self.rungs.fitting((width, height));
        let names = |rungs: &[Rung]| rungs.iter().map(Rung::name).collect::<Vec<_>>().join(", ");
        if !left.is_empty() {
            tracing::info!("nothing is made larger: of {width}x{height} there is no {}", names(&left));
        }
        if !rungs.is_empty() {
            tracing::info!(event = "ladder", "a ladder is made of {width}x{height}: {}", names(&rungs));
        }
        rungs
    }

    fn start(&mut self, point: &Point, work: &Work, rungs: &[Rung]) -> io::Result<(Child, Pipe)> {
        let size = work.timeline.lock().unwrap_or_else(PoisonError::into_inner).size().unwrap_or_default();
        let mut sent = Vec::new();
        for rung in rungs {
            let lane = self.lanes.entry(rung.name());
            let new = || Lane::new(rung.name(), self.begins.clone(), self.journals.clone());
            let lane = lane.or_insert_with(|| Arc::new(Mutex::new(new())));
            let expected = Expected { lane: lane.clone(), number: work.number, timeline: work.timeline.clone() };
            sent.push((*rung, point.expect(expected)?));
        }
        Child::start(FFMPEG, &arguments(&self.coding, size, &sent))
    }

    /// Sees it through to its end, or to that of the stream.
    async fn watch(&self, mut child: Child, pipe: Pipe, work: &Work) -> Became {
        if self.tee.attach(work.number, pipe) {
            tokio::select! {
                status = child.ended() => {
                    let words = child.last_words();
                    let words = if words.is_empty() { "nothing".to_owned() } else { words.join(" | ") };
                    let how = status.map_or_else(String::new, |status| format!(" ({status})"));
                    return Became::Gone(words + &how);
                }
                () = self.tee.is_past(work.number) => {}
            }
        }
        child.see_off().await;
        Became::SeenOff
    }
}
