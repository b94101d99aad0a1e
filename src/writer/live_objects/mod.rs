//! The live objects of an upload, as its writer makes them: on a store without Live Read they are what readers see.
//!
//! What they are called and what is told of them is in [`crate::protocol::live_objects`]. Here they are made:
//!
//! ```text
//! input -- took --> cutter -- next --> up to 4 PUTs at once --.
//!   |                  | left to the parts                     v
//!   '-> part buffers --+--> put_part: live object, then part   stored --> head, pages, pointer (every 5 s)
//!                             (by copy where it is the whole part)
//! ```
//!
//! Nothing here stops the upload. A live object that cannot be stored is tried again for as long as the store is away for
//! parts, too; where parts are stored and live objects are not, live reading is given up for this recording after
//! [`GIVE_UP`], the head says so, and readers get all when the upload is complete.
//!
//! Memory: no more than two part sizes are copied ([`Cutter::MOST_PARTS`]), which count among the part buffers, and what is
//! left to the parts is sent from these. Of what is stored nothing is remembered but the newest index page, and where live objects lie behind a gap.

mod asking;
mod beat;
mod copies;
mod cuts;
mod cutter;
mod ending;
mod going_on;
mod mode;
mod parts;
mod recorder;
mod rights;
mod segment_ends;
mod shared;
mod stage;
mod stale;
mod stored;
mod survey;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::media::fmp4;
use crate::object::live::Upload;
use crate::object::live_objects::Recording;
use crate::object::tap::{Beside, Taps};
use crate::protocol::live_objects::{Head, Names, Pointer, RecordingId};
use crate::store::StoreError;
use crate::store::live_check::LiveRead;
use crate::writer::look;
use crate::writer::pool::PartPool;

pub use cutter::{Cut, Cutter, When};
pub use going_on::{Again, find, go_on};
pub use mode::{Chosen, Hourly, LiveMode, costs, hourly, is_backblaze, readers_can};
pub use recorder::{Recorder, Settings, Wanted};
pub use rights::{Rights, try_rights};
pub use stale::{Found, Stale, clean, clean_all};
pub use sweep::{Left, Sweep};

use asking::{Answer, Question};
use segment_ends::SegmentEnds;
use shared::Shared;
use stage::Stage;
use stored::Stored;

/// How long live objects may fail while parts are stored.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// Between two writes of the head.
pub const BEAT: Duration = Duration::from_secs(5);

/// The live objects of one upload. Cheap to clone.
#[derive(Clone)]
pub struct LiveObjects {
    shared: Arc<Shared>,
    /// Turns true when nothing more is to be written.
    over: Arc<watch::Sender<bool>>,
    tasks: Arc<tokio::sync::Mutex<Vec<JoinHandle<()>>>>,
}

impl fmt::Debug for LiveObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveObjects({})", self.shared.recording)
    }
}

impl LiveObjects {
    /// Begins with the live objects of `upload`: writes the head that tells of none yet, or of those that there are, and then
    /// the pointer to it. In this order, and before any live object, so that what lies there without a head was left behind.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not take those two: the upload has to go on without live objects.
    pub async fn begin(upload: &Upload, names: Names, head: Head, when: When) -> Result<Self, StoreError> {
        Self::begin_with(upload, names, Stored::new(head), Manner::of(when)).await
    }

    async fn begin_with(upload: &Upload, names: Names, stored: Stored, manner: Manner) -> Result<Self, StoreError> {
        let live = Self::at(Stage::Beginning, upload, names, stored, manner);
        live.shared.write_head().await?;
        live.shared.write_pointer().await?;
        live.shared.go_on_to(Stage::Made);
        let (shared, over) = (live.shared.clone(), live.over.subscribe());
        live.tasks.lock().await.push(tokio::spawn(making(shared, over)));
        Ok(live)
    }

    /// Begins with them beside the input: once `question` is answered, where there is one, and if the answer is that there is
    /// no Live Read.
    fn begun_beside(upload: &Upload, names: Names, head: Head, manner: Manner, question: Option<Question>) -> Self {
        let when = manner.when;
        let stage = if question.is_some() { Stage::Asking } else { Stage::Beginning };
        let live = Self::at(stage, upload, names, Stored::new(head), manner);
        let beginning = beginning(live.shared.clone(), upload.clone(), when, question, live.over.subscribe());
        let task = tokio::spawn(beginning.instrument(upload.span().clone()));
        // Nobody else has it yet.
        if let Ok(mut tasks) = live.tasks.try_lock() {
            tasks.push(task);
        }
        live
    }

    fn at(stage: Stage, upload: &Upload, names: Names, stored: Stored, manner: Manner) -> Self {
        let cutter = Cutter::new(upload.part_size().get(), manner.when, stored.edge());
        let shared = Arc::new(Shared::new(upload, names, stored, cutter, stage, manner));
        Self { shared, over: Arc::new(watch::channel(false).0), tasks: Arc::default() }
    }

    /// What is known of them now.
    fn now(&self) -> Recording {
        let (names, head) = (self.shared.names.clone(), self.shared.state().stored.head().clone());
        Recording { names, id: self.shared.recording.clone(), head }
    }

    /// The input is being taken from now on.
    fn input_begins(&self) {
        self.shared.taken.notify_one();
    }

    /// Counts what is copied for them among the part buffers, so that both together stay within these.
    pub fn copy_within(&self, pool: &PartPool) {
        self.shared.state().cutter.copy_within(pool);
    }

    /// The recording that they are of.
    #[must_use]
    pub fn recording(&self) -> &RecordingId {
        &self.shared.recording
    }

    /// What taps are told of them where they begin.
    #[must_use]
    pub fn beside(&self) -> Option<Beside> {
        if !matches!(self.shared.stage(), Stage::Beginning | Stage::Made) {
            return None;
        }
        let state = self.shared.state();
        let head = state.stored.head();
        Some(Beside {
            names: self.shared.names.clone(),
            recording: self.shared.recording.clone(),
            runs: head.runs.iter().map(|run| (run.from, run.run)).collect(),
            edge: state.stored.edge(),
            given_up: state.trouble.given_up().is_some(),
        })
    }

    /// The next bytes of the input. They have to be told of before their part is stored by [`Self::put_part`].
    pub fn took(&self, offset: u64, bytes: &[u8]) {
        let found = self.shared.state().take(offset, bytes, Instant::now());
        self.shared.tell();
        for found in &found {
            self.shared.listeners.saw(found);
        }
    }

    /// Something was found in what has been taken.
    pub fn saw(&self, found: &fmp4::Found) {
        self.shared.state().see(found);
        self.shared.tell();
    }

    /// Waits until readers find them, or there are none: at most for [`GIVE_UP`].
    pub async fn can_be_found(&self) {
        // Whoever waits has something to complete, and does so after that in any case.
        drop(timeout(GIVE_UP, self.shared.are_made()).await);
    }

    /// Waits until there is room for the next part of the input. Only an input that can wait should.
    pub async fn room(&self) {
        let mut news = self.shared.news();
        loop {
            news.mark_unchanged();
            if self.shared.state().cutter.has_room() || news.changed().await.is_err() {
                return;
            }
        }
    }

    /// No more bytes come: what waits need not become old.
    pub fn input_ended(&self) {
        self.shared.state().cutter.close();
        self.shared.tell();
    }

    /// Whether live reading was given up, and why.
    #[must_use]
    pub fn given_up(&self) -> Option<String> {
        self.shared.state().trouble.given_up().map(str::to_owned)
    }

    /// Up to where readers can read without a gap.
    #[must_use]
    pub fn edge(&self) -> u64 {
        self.shared.state().stored.edge()
    }
}

/// Begins with live objects if there are to be some, and makes them until it is over.
async fn beginning(
    shared: Arc<Shared>,
    upload: Upload,
    when: When,
    question: Option<Question>,
    mut over: watch::Receiver<bool>,
) {
    tokio::select! {
        () = shared.taken.notified() => {}
        _ = over.wait_for(|over| *over) => return,
    }
    if let Some(question) = question {
        let Some(Answer { live_read, first, guessed }) = question.ask(&upload, &shared, &mut over).await else {
            return;
        };
        let wanted = live_read == LiveRead::Off && (!guessed || may_have_some(&upload, &shared).await);
        let in_time = shared.go_on_to(if wanted { Stage::Beginning } else { Stage::Without });
        if wanted || live_read == LiveRead::On {
            let objects = || readers_can(shared.names.folder(), when, upload.part_size());
            look::say(&upload, live_read, first && !guessed, in_time, objects);
        }
        if !wanted || !in_time {
            return;
        }
    }
    let store = shared.store.at_most(survey::PATIENCE);
    // What cannot be seen is not there, for what this is good for: to take away what is left of it.
    shared.state().pointed_to = survey::pointed_to(&store, &shared.names).await.ok().flatten();
    let head = shared.write_head().await;
    let left = head.is_ok();
    let begun = match head {
        Ok(()) => shared.write_pointer().await,
        Err(error) => Err(error),
    };
    if let Err(error) = begun {
        shared.go_on_to(Stage::Without);
        tracing::warn!(
            "{} cannot be read before it is complete, because its live objects cannot be stored: {error} The upload itself goes \
             on. The key has to be allowed to read, write and delete below {}; --live-prefix names another place, and --live \
             off does without live objects",
            upload.object(),
            shared.names.folder()
        );
        if left {
            drop(Sweep::new(&shared.store, shared.names.clone(), shared.recording.clone()).run(None, &[], false).await);
        }
        return;
    }
    shared.go_on_to(Stage::Made);
    making(shared, over).await;
}

/// Whether a key that may not ask after Live Read has all rights that live objects need: then it lacks the one to list, and is
/// refused what is missing. A key that may only write has not.
async fn may_have_some(upload: &Upload, shared: &Shared) -> bool {
    let (what, error) = match try_rights(upload.store().once(), &shared.names).await {
        Rights::All | Rights::Late => return true,
        Rights::NoWrite(error) => ("written", error),
        Rights::NoRead(error) => ("read", error),
        Rights::NoDelete(_, error) => ("deleted", error),
    };
    tracing::info!(
        "with this key it cannot be found out whether there is Live Read, and nothing can be {what} below {}: no live objects \
         are made for {}. Where there is no Live Read, readers see nothing of it before it is complete. --live objects makes some \
         all the same ({error})",
        shared.names.folder(),
        upload.object()
    );
    false
}

/// Makes them until it is over.
async fn making(shared: Arc<Shared>, over: watch::Receiver<bool>) {
    tokio::join!(cuts::run(shared.clone(), over.clone()), beat::run(shared, over));
}

/// How live objects are made.
#[derive(Debug)]
struct Manner {
    when: When,
    /// Where segments end, if that matters.
    ends: Option<SegmentEnds>,
    /// Those who are told of each that is stored.
    listeners: Taps,
}

impl Manner {
    /// With nobody who listens, and for an object from its beginning on.
    fn of(when: When) -> Self {
        let ends = if let When::AtSegment(aim) = when { Some(SegmentEnds::new(aim)) } else { None };
        Self { when, ends, listeners: Taps::default() }
    }
}

/// The pointer to a recording, as it is stored.
fn pointer(recording: &RecordingId) -> Vec<u8> {
    Pointer::new(recording.clone()).to_bytes()
}

#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod tests;
