//! The live objects of all uploads of one run: of the first, of those that a rollover goes on in, and of one that is gone on
//! with. It hears of the input as a [tap](crate::object::tap).

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::asking::{HOLD, Question};
use super::going_on::{segment_ends, stored};
use super::stale::{Stale, clean};
use super::{Again, LiveObjects, Manner, When, find, readers_can};
use crate::media::fmp4::Found;
use crate::object::live::Upload;
use crate::object::live_objects::Recording;
use crate::object::tap::{End, Opening, Tap, Taps};
use crate::protocol::live_objects::{Head, Names, Prefix, RecordingId, Run, State as HeadState};
use crate::protocol::part::PartSize;
use crate::store::live_check::LiveRead;
use crate::store::{Beginning, Patient, StoreError};
use crate::tool::clock;
use crate::writer::look;

/// What live objects are to be like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What their names begin with.
    pub prefix: Prefix,
    /// When one is cut.
    pub when: When,
    /// Where there are some.
    pub wanted: Wanted,
}

/// Where there are live objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Everywhere.
    Always,
    /// Where there is no Live Read.
    WithoutLiveRead {
        /// What is taken for the answer where the store does not say whether there is.
        presumed: LiveRead,
    },
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    settings: Settings,
    /// Those who are told of each live object that is stored.
    listeners: Taps,
    /// The uploads whose live objects no player needs any more; none where nobody plays them.
    players: Option<watch::Receiver<HashSet<String>>>,
    state: Arc<Mutex<State>>,
    /// Whether there is Live Read, where that is of interest.
    question: Option<Question>,
}

#[derive(Debug, Default)]
struct State {
    /// By upload id.
    uploads: HashMap<String, LiveObjects>,
    /// Those of the object that is being taken.
    newest: Option<LiveObjects>,
    /// What goes on behind the input: ends, and what earlier writers left.
    behind: JoinSet<()>,
    /// What has ended and waits for players.
    played: JoinSet<()>,
}

impl Recorder {
    /// With these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let question = match settings.wanted {
            Wanted::Always => None,
            Wanted::WithoutLiveRead { presumed } => Some(Question { found: Arc::default(), presumed }),
        };
        let (listeners, players) = (Taps::default(), None);
        Self { settings, listeners, players, state: Arc::default(), question }
    }

    /// For players as well: `listeners` are told of each live object that is stored, and none of an upload is taken away
    /// before `players` names that.
    #[must_use]
    pub fn played(self, listeners: Taps, players: watch::Receiver<HashSet<String>>) -> Self {
        Self { listeners, players: Some(players), ..self }
    }

    /// Why an upload of this key has no live objects, if so, where that matters only without Live Read.
    pub(crate) fn none_because(&self, key: &str) -> Option<String> {
        self.question.as_ref()?;
        Names::new(&self.settings.prefix, key).err().map(|error| error.to_string())
    }

    /// Starts an upload of `key`, and beside the input its live objects, if it is to have some. Why it has none is said, where
    /// the store or the key does not allow it.
    ///
    /// # Errors
    /// [`StoreError`] when there is no upload.
    pub async fn begin(
        &self,
        store: &Patient,
        key: &str,
        part_size: PartSize,
        beginning: Beginning<'_>,
    ) -> Result<Upload, StoreError> {
        let for_live_read = Beginning { live_read: Some(part_size), ..beginning };
        if self.question.as_ref().and_then(|question| question.found.get()) == Some(&LiveRead::On) {
            return Upload::begin(store, key, part_size, for_live_read).await;
        }
        let names = match Names::new(&self.settings.prefix, key) {
            Ok(names) => names,
            Err(error) => {
                if self.question.is_none() {
                    tracing::warn!("{} cannot be read before it is complete: {error}", store.object(key));
                }
                return Upload::begin(store, key, part_size, for_live_read).await;
            }
        };
        let id = RecordingId::new(clock::seconds(), fastrand::u32(..));
        let live_read = self.question.is_some().then_some(part_size);
        // Which of the two it will be read by is not known yet.
        let marked = Beginning { live_read, objects: Some(&id), ..beginning };
        let upload = Upload::begin(store, key, part_size, marked).await?;
        let mut head = Head::new(id, upload.id().to_owned(), part_size);
        head.content_type = beginning.content_type.map(str::to_owned);
        if let When::After(time) | When::AtSegment(time) = self.settings.when {
            head.max_latency = u64::try_from(time.as_millis()).ok();
        }
        let (store, recording) = (store.clone(), head.recording.clone());
        let mut question = self.question.clone();
        if let (Some(asked), true) = (&question, self.players.is_some()) {
            // A playlist has to know from the beginning what it is to name.
            let found = asked.now(&upload).await;
            let objects = || readers_can(names.folder(), self.settings.when, part_size);
            look::say(&upload, found.live_read, found.first && !found.guessed, true, objects);
            if found.live_read == LiveRead::On {
                return Ok(upload);
            }
            question = None;
        }
        let manner = Manner { listeners: self.listeners.clone(), ..Manner::of(self.settings.when) };
        let live = LiveObjects::begun_beside(&upload, names.clone(), head, manner, question);
        let (begun, key) = (live.clone(), key.to_owned());
        let cleaning = async move {
            if begun.shared.are_made().await {
                let before = begun.shared.state().pointed_to.clone();
                clean_up(store, names, key, recording, before).await;
            }
        };
        let mut state = self.state();
        state.uploads.insert(upload.id().to_owned(), live);
        state.behind.spawn(cleaning.instrument(upload.span().clone()));
        drop(state);
        Ok(upload)
    }

    /// Goes on with the live objects of an upload of which the store holds `stored` bytes in parts without a gap, where the
    /// input can. Else they are given up, and their head says from where on they do not count. What they are of, as far as it
    /// is stored, if they are gone on with.
    pub async fn go_on(&self, upload: &Upload, stored: u64, input: Again) -> Option<Recording> {
        let names = Names::new(&self.settings.prefix, upload.key()).ok()?;
        if self.question.is_some() {
            let look = upload.store().at_most(HOLD).look(upload.key(), upload.id()).await;
            if matches!(look, Ok(LiveRead::On)) {
                tracing::info!("{} goes on to be read by Live Read", upload.object());
                return None;
            }
        }
        match self.next_run(upload, names, stored, input).await {
            Ok(Some(live)) => {
                let gone_on = live.given_up().is_none();
                if !gone_on {
                    tracing::warn!("{} cannot be read any further before it is complete", upload.object());
                }
                let recording = live.now();
                // Also those that are given up are taken away at the end.
                drop(self.state().uploads.insert(upload.id().to_owned(), live));
                return gone_on.then_some(recording);
            }
            Ok(None) if self.question.is_none() && matches!(upload.look().await, Ok(LiveRead::On)) => {
                tracing::info!("{} has no live objects, and goes on to be read by Live Read", upload.object());
            }
            Ok(None) => {
                tracing::warn!("{} cannot be read before it is complete: it has no live objects", upload.object());
            }
            Err(error) => {
                tracing::warn!("{} cannot be read any further before it is complete: {error}", upload.object());
            }
        }
        None
    }

    /// The next run of an upload's live objects, or what is left of them where they are given up.
    async fn next_run(
        &self,
        upload: &Upload,
        names: Names,
        in_parts: u64,
        input: Again,
    ) -> Result<Option<LiveObjects>, StoreError> {
        let Some(mut head) = find(upload.store(), &names, upload.id()).await? else { return Ok(None) };
        if head.state == HeadState::Open {
            let mut known = stored(upload, &names, head.clone()).await?;
            if input.goes_on(known.edge(), in_parts) && known.head_mut().go_on(input.is_same_input()).is_ok() {
                let manner = self.manner(upload.store(), &names, known.head()).await?;
                return LiveObjects::begin_with(upload, names, known, manner).await.map(Some);
            }
        }
        let from = in_parts.min(head.edge());
        head.runs.push(Run { run: head.run().run + 1, from, same_input: input.is_same_input() });
        head.state = HeadState::GivenUp;
        let live = LiveObjects::begin(upload, names, head, When::PartIsFull).await?;
        live.shared.make_no_more("the writer that goes on has not all of the input behind them");
        Ok(Some(live))
    }

    /// How the next run is made, where `head` tells of those before.
    async fn manner(&self, store: &Patient, names: &Names, head: &Head) -> Result<Manner, StoreError> {
        let listeners = self.listeners.clone();
        let When::AtSegment(aim) = self.settings.when else {
            return Ok(Manner { listeners, ..Manner::of(self.settings.when) });
        };
        // Where segments end cannot be told without the header.
        let ends = segment_ends(store, names, head, aim).await?;
        let when = if ends.is_some() { self.settings.when } else { When::After(aim) };
        Ok(Manner { when, ends, listeners })
    }

    /// The live objects of an upload, if it has any.
    #[must_use]
    pub fn of(&self, upload_id: &str) -> Option<LiveObjects> {
        self.state().uploads.get(upload_id).cloned()
    }

    /// Nothing more is asked or written for this upload.
    pub(crate) async fn stop(&self, upload_id: &str) {
        if let Some(live) = self.of(upload_id) {
            live.stop().await;
        }
    }

    /// An upload was aborted.
    pub(crate) fn aborted(&self, upload_id: &str) {
        let mut state = self.state();
        if let Some(live) = state.uploads.remove(upload_id) {
            state.behind.spawn(async move { drop(live.aborted().await) });
        }
    }

    /// Waits until nothing of what has ended lies there any more, but for what waits for players.
    pub async fn tidied(&self) {
        self.all_done(|state| &mut state.behind).await;
    }

    /// Waits until nothing lies there any more that players needed. Whoever tells of them has to have ended before, or to
    /// run beside this.
    pub async fn played_to_the_end(&self) {
        self.all_done(|state| &mut state.played).await;
    }

    /// Whether something lies there that players need, or may need.
    #[must_use]
    pub fn is_played(&self) -> bool {
        !self.state().played.is_empty()
    }

    async fn all_done(&self, tasks: impl Fn(&mut State) -> &mut JoinSet<()>) {
        loop {
            let mut behind = std::mem::take(tasks(&mut self.state()));
            if behind.is_empty() {
                return;
            }
            while behind.join_next().await.is_some() {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> Option<LiveObjects> {
        self.state().newest.clone()
    }
}

impl Tap for Recorder {
    fn begin(&self, opening: &Opening<'_>) {
        let next = self.of(opening.upload_id);
        if let Some(next) = &next {
            next.input_begins();
        }
        let before = std::mem::replace(&mut self.state().newest, next);
        if let Some(before) = before {
            before.input_ended();
        }
    }

    fn took(&self, offset: u64, bytes: &[u8]) {
        if let Some(live) = self.newest() {
            live.took(offset, bytes);
        }
    }

    fn looks(&self) -> bool {
        matches!(self.settings.when, When::AtSegment(_))
    }

    fn saw(&self, found: &Found) {
        if let Some(live) = self.newest() {
            live.saw(found);
        }
    }

    fn input_ended(&self) {
        if let Some(live) = self.newest() {
            live.input_ended();
        }
    }

    fn ended(&self, upload_id: &str, end: End) {
        let mut state = self.state();
        let Some(live) = state.uploads.remove(upload_id) else { return };
        match end {
            End::Completed { bytes } => match self.players.clone() {
                Some(mut players) => {
                    let upload_id = upload_id.to_owned();
                    let over = async move { players.wait_for(|over| over.contains(&upload_id)).await.is_ok() };
                    state.played.spawn(async move { drop(live.completed(bytes, over).await) });
                }
                None => drop(state.behind.spawn(async move { drop(live.completed(bytes, ready(true)).await) })),
            },
            End::Unfinished => drop(state.behind.spawn(live.left_open())),
        }
    }
}

/// Takes away what earlier writers left of the key.
async fn clean_up(store: Patient, names: Names, key: String, mine: RecordingId, before: Option<RecordingId>) {
    match clean(&store, &names, &key, Some(&mine), before).await {
        Ok(found) => {
            for one in found {
                match one.stale {
                    Stale::Swept(left) if left.is_nothing() => {
                        tracing::info!("took away the live objects that the recording {} had left", one.recording);
                    }
                    Stale::Swept(_) | Stale::LeftAlone => {}
                    // That the upload is open is said where all open uploads are.
                    Stale::Open(upload) => tracing::debug!(upload, "its live objects stay"),
                }
            }
        }
        Err(error) => tracing::debug!("what earlier recordings left cannot be seen: {error}"),
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
