//! The live objects of all uploads of one run: of the first, of those that a rollover goes on in, and of one that is gone on
//! with. It hears of the input as a [tap](crate::object::tap).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::Instrument;

use super::asking::{HOLD, Question};
use super::going_on::stored;
use super::stale::{Stale, clean};
use super::{Again, LiveObjects, When, find};
use crate::media::fmp4::Found;
use crate::object::live::Upload;
use crate::object::live_objects::Recording;
use crate::object::tap::{End, Opening, Tap};
use crate::protocol::live_objects::{Head, Names, Prefix, RecordingId, Run, State as HeadState};
use crate::protocol::part::PartSize;
use crate::store::live_check::LiveRead;
use crate::store::{Beginning, Patient, StoreError};
use crate::tool::clock;

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
}

impl Recorder {
    /// With these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let question = match settings.wanted {
            Wanted::Always => None,
            Wanted::WithoutLiveRead { presumed } => Some(Question { found: Arc::default(), presumed }),
        };
        Self { settings, state: Arc::default(), question }
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
        if let When::After(time) | When::AtFragment(time) = self.settings.when {
            head.max_latency = u64::try_from(time.as_millis()).ok();
        }
        let (store, recording) = (store.clone(), head.recording.clone());
        let live = LiveObjects::beside(&upload, names.clone(), head, self.settings.when, self.question.clone());
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
                return LiveObjects::begin_with(upload, names, known, self.settings.when).await.map(Some);
            }
        }
        let from = in_parts.min(head.edge());
        head.runs.push(Run { run: head.run().run + 1, from, same_input: input.is_same_input() });
        head.state = HeadState::GivenUp;
        let live = LiveObjects::begin(upload, names, head, When::PartIsFull).await?;
        live.shared.make_no_more("the writer that goes on has not all of the input behind them");
        Ok(Some(live))
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

    /// Waits until nothing of what has ended lies there any more.
    pub async fn tidied(&self) {
        loop {
            let mut behind = std::mem::take(&mut self.state().behind);
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
        matches!(self.settings.when, When::AtFragment(_))
    }

    fn saw(&self, found: &Found) {
        if let (Found::Ended(fragment), Some(live)) = (found, self.newest())
            && let Some(end) = fragment.end
        {
            live.fragment_ends(end);
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
            End::Completed { bytes } => {
                state.behind.spawn(async move { drop(live.completed(bytes, Duration::ZERO).await) });
            }
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
mod tests {
    use std::io::Write;

    use super::*;
    use crate::object::tap::Taps;
    use crate::protocol::live_objects::MAX_DOCUMENT;
    use crate::protocol::live_objects::Pointer;
    use crate::store::retry::Retry;
    use crate::store::scripted::{self, Op, Shelf};
    use crate::tool::progress::Progress;
    use crate::writer::plan::Plan;
    use crate::writer::source::Source;
    use crate::writer::spool::SpoolSettings;
    use crate::writer::upload::{Ended, write};

    fn input(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from((at / 5 + at / 997) % 251).expect("small")).collect()
    }

    fn plan(settings: Option<Settings>, part_size: u64) -> Plan {
        let live = settings.map(Recorder::new);
        Plan {
            key: "a/live.mp4".to_owned(),
            part_size: PartSize::new(part_size).expect("a part size"),
            concurrency: 2,
            content_type: Some("video/mp4".to_owned()),
            spool: SpoolSettings { dir: std::env::temp_dir(), make_dir: false, limit: 0 },
            at_once: tokio::sync::watch::channel(false).1,
            taps: live.iter().map(|live| Arc::new(live.clone()) as Arc<dyn Tap>).collect::<Taps>(),
            tail: None,
            live_read: true,
            live,
        }
    }

    fn settings(when: When) -> Settings {
        let wanted = Wanted::WithoutLiveRead { presumed: LiveRead::Off };
        Settings { prefix: Prefix::default(), when, wanted }
    }

    /// Uploads `input`.
    async fn run(plan: &Plan, store: &Patient, input: &[u8]) -> Ended {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(input).expect("written");
        let stop = tokio::sync::watch::channel(false).1;
        let mut source = Source::file(file.path(), None, stop).await.expect("it opens");
        let progress = Arc::new(Progress::default());
        Box::pin(write(store, plan, None, &mut source, &progress)).await.expect("it completes")
    }

    fn store() -> (Patient, Shelf) {
        let (store, shelf) = scripted::store();
        (store.patient(Retry { give_up_after: Duration::from_secs(60) }), shelf)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_whole_upload_has_live_objects_and_leaves_none() {
        for (when, input_size) in [
            (When::PartIsFull, 12_000_000),
            (When::After(Duration::from_millis(50)), 12_000_000),
            (When::PartIsFull, 0),
        ] {
            let (store, shelf) = store();
            shelf.without_live_read();
            let (plan, input) = (plan(Some(settings(when)), 5_000_000), input(input_size));
            let ended = run(&plan, &store, &input).await;
            assert_eq!(ended == Ended::Empty, input.is_empty());
            if input.is_empty() {
                assert!(shelf.keys().is_empty() && shelf.open("a/live.mp4").is_empty(), "{:?}", shelf.keys());
                continue;
            }
            assert!(shelf.object("a/live.mp4").expect("an object") == input);
            assert_eq!(shelf.keys(), ["a/live.mp4"]);
            // Parts that are full before the store has said that it has no Live Read are sent, too.
            let copies = shelf.count(Op::CopyPart);
            assert!(copies <= if when == When::PartIsFull { 2 } else { 0 });
            let marked =
                |asked: &scripted::Asked| asked.headers.iter().any(|(name, _)| name.ends_with("live-read-end"));
            let asked = shelf.asked();
            let mark = asked.iter().position(marked).expect("the end is marked");
            let complete = asked.iter().position(|asked| asked.op == Op::Complete).expect("it is completed");
            assert!(mark < complete && !asked[..complete].iter().any(|asked| asked.op == Op::DeleteMany));
            let put_part = asked.iter().rposition(|asked| asked.op == Op::PutPart).expect("the last part");
            assert!(put_part < mark, "readers look at the key before all parts are stored");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_there_is_live_read_there_are_no_live_objects_unless_they_are_wanted() {
        for wanted in [Wanted::WithoutLiveRead { presumed: LiveRead::Off }, Wanted::Always] {
            let (store, shelf) = store();
            let input = input(6_000_000);
            run(&plan(Some(Settings { wanted, ..settings(When::PartIsFull) }), 5_000_000), &store, &input).await;
            assert_eq!(shelf.keys(), ["a/live.mp4"]);
            let puts = shelf.asked().iter().filter(|asked| asked.op == Op::Put).count();
            assert_eq!(puts == 0, wanted != Wanted::Always);
            assert_eq!(shelf.count(Op::PutPart), if wanted == Wanted::Always { 1 } else { 2 });
        }
        let (store, shelf) = store();
        run(&plan(None, 5_000_000), &store, &input(6_000_000)).await;
        assert_eq!((shelf.count(Op::Put), shelf.count(Op::Objects)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn without_lists_the_next_start_takes_away_what_the_pointer_led_to() {
        let (store, shelf) = store();
        shelf.without_live_read();
        shelf.script(|asked, _| match asked.op {
            Op::Objects | Op::Versions | Op::Uploads => scripted::Reply::Status(403, "AccessDenied"),
            _ => scripted::Reply::Honest,
        });
        let begin = async || {
            let live = Recorder::new(settings(When::PartIsFull));
            let size = PartSize::new(5_000_000).expect("a part size");
            let upload = live.begin(&store, "a/live.mp4", size, Beginning::default()).await.expect("it begins");
            let made = live.of(upload.id()).expect("live objects");
            made.input_begins();
            assert!(made.shared.are_made().await);
            (live, upload)
        };
        let (killed, first) = begin().await;
        killed.ended(first.id(), End::Unfinished);
        killed.tidied().await;
        shelf.abort(first.id());
        tokio::time::sleep(Duration::from_secs(200)).await;
        let (live, second) = begin().await;
        live.tidied().await;
        assert_eq!(shelf.keys().len(), 2, "its own head and pointer: {:?}", shelf.keys());
        live.aborted(second.id());
        live.tidied().await;
        assert!(shelf.keys().is_empty(), "{:?}", shelf.keys());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_that_is_too_long_is_uploaded_without() {
        let (store, shelf) = store();
        shelf.without_live_read();
        let key = "k".repeat(1_000);
        let plan = Plan { key: key.clone(), ..plan(Some(settings(When::PartIsFull)), 5_000_000) };
        run(&plan, &store, &input(100)).await;
        assert_eq!((shelf.keys(), shelf.count(Op::Put)), (vec![key], 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_goes_on_behind_its_live_objects_and_where_it_cannot_readers_are_told() {
        let (store, shelf) = store();
        shelf.without_live_read();
        let (plan, input) = (plan(Some(settings(When::PartIsFull)), 5_000_000), input(5_000_000));
        let live = plan.live.as_ref().expect("live");
        let upload = live.begin(&store, "a/live.mp4", plan.part_size, Beginning::default()).await.expect("it begins");
        let first = live.of(upload.id()).expect("live objects");
        first.input_begins();
        first.took(0, &input);
        let patience = Duration::from_secs(9);
        let part = first.put_part(&upload, crate::protocol::part::PartNumber::FIRST, input.clone().into(), patience);
        part.await.expect("it is stored");
        // More is read by readers than the part that is kept.
        first.took(5_000_000, &input[..1_000]);
        first.shared.post(5_000_000, bytes::Bytes::copy_from_slice(&input[..1_000]), patience).await.expect("stored");
        live.ended(upload.id(), End::Unfinished);
        live.tidied().await;
        let names = Names::new(&Prefix::default(), "a/live.mp4").expect("short");
        // It has what is in live objects, and goes on behind them.
        let recording = live.go_on(&upload, 5_000_000, Again::Stream).await.expect("they are gone on with");
        assert_eq!(recording.head.run(), Run { run: 1, from: 5_001_000, same_input: false });
        live.ended(upload.id(), End::Unfinished);
        live.tidied().await;
        // More is in parts than in live objects: nobody can put that there.
        assert_eq!(live.go_on(&upload, 6_000_000, Again::Stream).await, None);
        assert!(live.of(upload.id()).is_some_and(|live| live.given_up().is_some()));
        live.ended(upload.id(), End::Unfinished);
        live.tidied().await;
        let pointer = store.get_small(&names.pointer(), MAX_DOCUMENT).await.expect("answered").expect("a pointer");
        let recording = Pointer::parse(&pointer.bytes).expect("a pointer").recording;
        let head = store.get_small(&names.head(&recording), MAX_DOCUMENT).await.expect("answered").expect("a head");
        let head = Head::parse(&head.bytes).expect("a head");
        assert_eq!((head.state, head.edge()), (HeadState::GivenUp, 5_001_000));
        assert_eq!(head.run(), Run { run: 2, from: 5_001_000, same_input: false });
        // Of a file they go on.
        let mut open = head;
        open.state = HeadState::Open;
        open.runs.pop();
        LiveObjects::begin(&upload, names, open, When::PartIsFull).await.expect("written").left_open().await;
        let recording = live.go_on(&upload, 6_000_000, Again::File).await.expect("they are gone on with");
        assert_eq!((recording.head.edge(), recording.head.run().same_input), (5_001_000, true));
    }
}
