//! What the tasks of one upload's live objects share: what is cut and stored, the requests, and when they are given up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::cutter::Cutter;
use super::segment_ends::{Place, SegmentEnds};
use super::stage::Stage;
use super::stored::Stored;
use super::{GIVE_UP, Manner, pointer};
use crate::media::fmp4::Found;
use crate::object::live::Upload;
use crate::object::tap::Taps;
use crate::protocol::live_objects::{
    CACHE_IMMUTABLE, CACHE_NONE, DOCUMENT_TYPE, END_METADATA, EndMark, LENGTH_METADATA, MAX_DOCUMENT, Names,
    RecordingId, State as HeadState,
};
use crate::store::{Kind, Labels, Patient, StoreError};

/// How long a document may keep failing.
const DOCUMENT_PATIENCE: Duration = Duration::from_secs(20);

/// Between two writes of one key: some stores refuse more than one in a second.
const PACE: Duration = Duration::from_secs(1);

/// How often in a row a copy may fail for a reason that may pass.
const COPIES_MAY_FAIL: u32 = 3;

/// See the [module](self).
pub(super) struct Shared {
    pub(super) store: Patient,
    pub(super) names: Names,
    pub(super) recording: RecordingId,
    /// Those who are told of each that is stored.
    pub(super) listeners: Taps,
    upload_id: String,
    content_type: String,
    state: Mutex<State>,
    news: watch::Sender<()>,
    /// When the head was written last. Held while it is written.
    written: tokio::sync::Mutex<Option<Instant>>,
    /// Whether there are live objects at all.
    stage: watch::Sender<Stage>,
    /// While that is asked: a part was stored.
    pub(super) part_stored: Notify,
    /// The input is being taken.
    pub(super) taken: Notify,
}

/// What changes.
pub(super) struct State {
    pub(super) cutter: Cutter,
    /// Where segments of a playlist end, if that matters.
    ends: Option<SegmentEnds>,
    pub(super) stored: Stored,
    pub(super) trouble: Trouble,
    /// How often copies have failed in a row; none where they are not tried any more.
    pub(super) copies: Option<u32>,
    /// The bucket keeps what is deleted as older versions.
    pub(super) versioned: bool,
    /// Why it is not known whether there is Live Read.
    pub(super) unanswered: Option<StoreError>,
    /// Where the pointer led before it led here. Where nothing is listed, it alone tells what a killed writer left.
    pub(super) pointed_to: Option<RecordingId>,
}

impl Shared {
    pub(super) fn new(
        upload: &Upload,
        names: Names,
        stored: Stored,
        cutter: Cutter,
        begins: Stage,
        manner: Manner,
    ) -> Self {
        let head = stored.head();
        let content_type = head.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
        let (recording, trouble) = (head.recording.clone(), Trouble::default());
        let Manner { ends, listeners, .. } = manner;
        let changes = State {
            cutter,
            ends,
            stored,
            trouble,
            copies: Some(0),
            versioned: false,
            unanswered: None,
            pointed_to: None,
        };
        let (state, news, written) = (Mutex::new(changes), watch::channel(()).0, tokio::sync::Mutex::new(None));
        let upload_id = upload.id().to_owned();
        let (store, part_stored) = (upload.store().clone(), Notify::new());
        Self {
            store,
            names,
            recording,
            listeners,
            upload_id,
            content_type,
            state,
            news,
            written,
            stage: watch::channel(begins).0,
            part_stored,
            taken: Notify::new(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Goes on to `stage`, unless it is settled already. Whether it was not.
    pub(super) fn go_on_to(&self, stage: Stage) -> bool {
        let gone_on = self.stage.send_if_modified(|now| {
            let goes_on = !now.is_settled();
            if goes_on {
                *now = stage;
            }
            goes_on
        });
        if gone_on && stage == Stage::Without {
            self.state().cutter.give_up();
            self.listeners.no_more_live_objects(&self.upload_id);
        }
        gone_on
    }

    /// Waits until it is settled whether there are live objects; whether there are.
    pub(super) async fn are_made(&self) -> bool {
        let settled = self.stage.subscribe().wait_for(|stage| stage.is_settled()).await.map(|stage| *stage);
        settled.is_ok_and(|stage| stage == Stage::Made)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed.
    pub(super) fn tell(&self) {
        self.news.send_replace(());
    }

    /// Sees each change from now on.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Stores a live object in one attempt.
    pub(super) async fn post(&self, offset: u64, bytes: Bytes, patience: Duration) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        let run = self.state().stored.head().run().run;
        let name = self.names.object(&self.recording, run, offset);
        let metadata = Some((LENGTH_METADATA, length.to_string()));
        let labels = Labels { content_type: self.content_type.clone(), cache_control: CACHE_IMMUTABLE, metadata };
        let stored = self.store.once().put_labelled(&name, bytes, &labels, patience).await;
        let mut state = self.state();
        match stored {
            Ok(version) => {
                state.versioned |= version.is_some();
                state.stored.note(offset, length);
                state.trouble.passed();
                drop(state);
                self.tell();
                self.listeners.live_object(&self.upload_id, &(offset..offset + length));
                Ok(())
            }
            Err(error) => {
                state.trouble.failed(Instant::now());
                Err(error)
            }
        }
    }

    /// Gives live reading up for this recording, unless that was done before.
    pub(super) fn give_up(&self, error: &StoreError) {
        if !self.make_no_more(&error.to_string()) {
            return;
        }
        tracing::warn!(
            "live objects cannot be stored: {error} This recording cannot be read any further before it is complete. The \
             upload itself goes on."
        );
        self.listeners.no_more_live_objects(&self.upload_id);
        self.tell();
    }

    /// The same without a word. False if it was done before.
    pub(super) fn make_no_more(&self, cause: &str) -> bool {
        let mut state = self.state();
        if !state.trouble.give_up(cause.to_owned()) {
            return false;
        }
        state.cutter.give_up();
        state.stored.head_mut().state = HeadState::GivenUp;
        true
    }

    /// Writes the full pages, and then the head that counts them.
    pub(super) async fn write_head(&self) -> Result<(), StoreError> {
        let mut written = self.written.lock().await;
        loop {
            // One look at both, so that the head never counts a page that is not there.
            let (page, head) = {
                let state = self.state();
                (state.stored.unstored_pages().first().cloned(), state.stored.head().to_bytes())
            };
            if let Some((number, page)) = page {
                self.write(&self.names.page(&self.recording, number), page.to_bytes(), CACHE_IMMUTABLE, None).await?;
                self.state().stored.page_is_stored(number);
                continue;
            }
            return self.write(&self.names.head(&self.recording), head, CACHE_NONE, Some(&mut written)).await;
        }
    }

    /// Writes the pointer, over whatever is there.
    pub(super) async fn write_pointer(&self) -> Result<(), StoreError> {
        self.write(&self.names.pointer(), pointer(&self.recording), CACHE_NONE, None).await
    }

    /// Writes the pointer where there is none. One that points elsewhere belongs to a recording that was started later, by
    /// whoever's clock.
    pub(super) async fn restore_pointer(&self) -> Result<(), StoreError> {
        let there = self.store.at_most(DOCUMENT_PATIENCE).get_small(&self.names.pointer(), MAX_DOCUMENT).await?;
        if there.is_none() { self.write_pointer().await } else { Ok(()) }
    }

    /// Marks the end of the input.
    pub(super) async fn write_end(&self, size: u64, patience: Duration) -> Result<(), StoreError> {
        let run = self.state().stored.head().run().run;
        let (name, mark) = (self.names.object(&self.recording, run, size), EndMark(size));
        let metadata = Some((END_METADATA, mark.metadata()));
        let labels = Labels { content_type: "text/plain".to_owned(), cache_control: CACHE_NONE, metadata };
        let store = self.store.at_most(patience);
        let body = Bytes::from(mark.body());
        let written = store.retry().run(|_| store.once().put_labelled(&name, body.clone(), &labels, patience)).await?;
        self.state().versioned |= written.is_some();
        Ok(())
    }

    async fn write(
        &self,
        name: &str,
        document: Vec<u8>,
        cache_control: &'static str,
        mut paced: Option<&mut Option<Instant>>,
    ) -> Result<(), StoreError> {
        let labels = Labels { content_type: DOCUMENT_TYPE.to_owned(), cache_control, metadata: None };
        let (store, document) = (self.store.at_most(DOCUMENT_PATIENCE), Bytes::from(document));
        let patience = store.patience().part(document.len() as u64, 0).min(DOCUMENT_PATIENCE);
        let mut failures = store.retry().start();
        loop {
            if let Some(last) = paced.as_deref_mut() {
                if let Some(last) = *last {
                    sleep_until(last + PACE).await;
                }
                *last = Some(Instant::now());
            }
            let written = store.once().put_labelled(name, document.clone(), &labels, patience).await;
            if let Some(last) = paced.as_deref_mut() {
                // The store counts from when it had the last one, which is later than when that was sent.
                *last = Some(Instant::now());
            }
            match written {
                Ok(version) => {
                    self.state().versioned |= version.is_some();
                    return Ok(());
                }
                // Whether it may write here is not known yet, whatever it may write elsewhere.
                Err(mut error) if error.kind == Kind::Denied && self.stage() == Stage::Beginning => {
                    error.allowed_before = false;
                    return Err(error);
                }
                Err(error) => tokio::time::sleep(failures.next_wait(error)?).await,
            }
        }
    }
}

/// Whether the same request may succeed later.
pub(super) fn may_pass(error: &StoreError) -> bool {
    matches!(error.kind, Kind::Passing | Kind::Capped | Kind::Skewed | Kind::Expired)
}

impl State {
    /// Takes the next bytes of the input; gives what was found in them, where nobody else looks.
    pub(super) fn take(&mut self, offset: u64, mut bytes: &[u8], now: Instant) -> Vec<Found> {
        let found = self.ends.as_mut().map(|ends| ends.look(offset, bytes)).unwrap_or_default();
        let mut at = offset;
        for found in &found {
            let to = match found {
                Found::Header(header) => header.end,
                Found::Begun(fragment) => fragment.moof_end,
                Found::Ended(fragment) => fragment.end.unwrap_or(at),
                Found::Bare | Found::Off(_) => at,
            };
            // A place is told of when all before it has been taken, and nothing behind it.
            let count = usize::try_from(to.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
            let (before, rest) = bytes.split_at(count);
            self.cutter.take(at, before, now);
            (at, bytes) = (at + count as u64, rest);
            self.see(found);
        }
        self.cutter.take(at, bytes, now);
        found
    }

    /// Something was found in what has been taken.
    pub(super) fn see(&mut self, found: &Found) {
        let Some(ends) = &mut self.ends else { return };
        for place in ends.see(found) {
            match place {
                Place::Fragment(end) => self.cutter.fragment_ends(end),
                Place::Segment(end) => self.cutter.segment_ends(end),
                Place::Nowhere => self.cutter.has_no_segments(),
            }
        }
    }

    /// A copy has failed; whether it is worth to try the next.
    pub(super) fn copy_failed(&mut self, error: &StoreError) {
        let failed = self.copies.map_or(0, |failed| failed + 1);
        self.copies = Some(failed).filter(|failed| may_pass(error) && *failed < COPIES_MAY_FAIL);
        if self.copies.is_none() {
            tracing::info!("this store does not make parts out of objects: {error} Each part is sent once more.");
        }
    }
}

/// How live objects fare beside the parts. Pure.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Since when all live objects have failed.
    failing: Option<Instant>,
    /// When a part was stored last.
    part_stored: Option<Instant>,
    given_up: Option<String>,
}

impl Trouble {
    fn failed(&mut self, now: Instant) {
        self.failing.get_or_insert(now);
    }

    fn passed(&mut self) {
        self.failing = None;
    }

    pub(super) fn part_is_stored(&mut self, now: Instant) {
        self.part_stored = Some(now);
    }

    /// Whether live objects have failed for long enough to find out whether a part fares better.
    pub(super) fn is_long(&self, now: Instant) -> bool {
        self.failing.is_some_and(|since| now.duration_since(since) >= GIVE_UP)
    }

    /// Whether parts were stored while live objects failed for that long: then the store is not away.
    pub(super) fn is_hopeless(&self, now: Instant) -> bool {
        self.is_long(now) && self.failing < self.part_stored
    }

    /// Whether it was not given up before.
    fn give_up(&mut self, cause: String) -> bool {
        let first = self.given_up.is_none();
        self.given_up.get_or_insert(cause);
        first
    }

    pub(super) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_for_parts_too_is_no_reason_to_give_up() {
        let (now, mut trouble) = (Instant::now(), Trouble::default());
        trouble.part_is_stored(now);
        trouble.failed(now + Duration::from_secs(1));
        assert!(!trouble.is_long(now + GIVE_UP));
        let hour = now + Duration::from_secs(3600);
        assert!(trouble.is_long(hour) && !trouble.is_hopeless(hour));
        trouble.part_is_stored(hour);
        assert!(trouble.is_hopeless(hour));
        trouble.passed();
        assert!(!trouble.is_long(hour) && !trouble.is_hopeless(hour));
    }
}
