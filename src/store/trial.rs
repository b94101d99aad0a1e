//! A throw-away upload, to try out what a store allows. It is aborted whatever becomes of the one who asked for it.
//!
//! A task of its own begins and ends it, so that a caller that is dropped in the middle, by a signal or a time limit, leaves
//! nothing behind; and the end of the program waits for such tasks ([`Trials::finish`]). Where even that does not help, the
//! upload is named.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};

use crate::human::shell::shell_word;
use crate::message::fields;
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::live_check::LiveRead;
use crate::store::retry::Retry;
use crate::store::{Beginning, Kind, Patient, StoreError};

/// How long an abort may keep failing.
const ABORT_PATIENCE: Duration = Duration::from_secs(30);

/// All throw-away uploads of one run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trials {
    running: Arc<Mutex<Vec<Running>>>,
    closing: Arc<watch::Sender<bool>>,
}

impl Default for Trials {
    fn default() -> Self {
        Self { running: Arc::default(), closing: Arc::new(watch::channel(false).0) }
    }
}

#[derive(Debug)]
struct Running {
    place: Arc<Throwaway>,
    task: JoinHandle<()>,
}

/// A throw-away upload: where it lies, and its id once there is one.
struct Throwaway {
    store: Patient,
    key: String,
    id: Mutex<Option<String>>,
}

impl fmt::Debug for Throwaway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// A throw-away upload. It is aborted when this is [ended](Self::end) or dropped.
#[derive(Debug)]
pub struct Trial {
    store: Patient,
    /// Its key.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    end: oneshot::Sender<oneshot::Sender<Result<(), StoreError>>>,
}

impl Trial {
    /// Stores its first part.
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn put(&self, body: Bytes) -> Result<(), StoreError> {
        let patience = self.store.patience().part(body.len() as u64, 0);
        self.store.put_part(&self.key, &self.upload_id, PartNumber::FIRST, body, patience).await?;
        Ok(())
    }

    /// Looks whether it can be read while it is open.
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn look(&self) -> Result<LiveRead, StoreError> {
        self.store.look(&self.key, &self.upload_id).await
    }

    /// Aborts it.
    ///
    /// # Errors
    /// [`StoreError`] when it is left open.
    pub async fn end(self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        // Without an answer the task was cut off by the end of the program, which names what is left open.
        drop(self.end.send(answer));
        answered.await.unwrap_or(Ok(()))
    }
}

impl Trials {
    /// Begins an upload under a key that begins with `beside` and goes on with `suffix`.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn begin(
        &self,
        store: &Patient,
        beside: &str,
        suffix: &str,
        part_size: PartSize,
    ) -> Result<Trial, StoreError> {
        // A key has at most 1,024 bytes, and a character up to four.
        let beside: String = beside.chars().take(200).collect();
        let key = format!("{beside}.{suffix}-{:08x}", fastrand::u32(..));
        let place = Arc::new(Throwaway { store: store.clone(), key: key.clone(), id: Mutex::default() });
        let (begun, begins) = oneshot::channel();
        let (end, ends) = oneshot::channel();
        let run = run(place.clone(), part_size, begun, ends, self.closing.subscribe());
        let task = tokio::spawn(run.instrument(fields::upload(&key, None)));
        self.note(Running { place, task });
        let upload_id = begins.await.unwrap_or_else(|_| {
            let doing = "starting the upload";
            Err(StoreError::local(doing, store.object(&key), Kind::Refused, "the program ends"))
        })?;
        Ok(Trial { store: store.clone(), key, upload_id, end })
    }

    fn note(&self, new: Running) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|running| !running.task.is_finished());
        running.push(new);
    }

    /// Ends all of them, and waits for that; says which are left open because it took too long.
    pub async fn finish(&self, patience: Duration) {
        self.closing.send_replace(true);
        let until = Instant::now() + patience;
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for Running { place, task } in running {
            if timeout_at(until, task).await.is_err() {
                place.tell_left("the store did not answer in time");
            }
        }
    }
}

/// Begins the upload, waits until it is to end, and aborts it.
async fn run(
    place: Arc<Throwaway>,
    part_size: PartSize,
    begun: oneshot::Sender<Result<String, StoreError>>,
    ends: oneshot::Receiver<oneshot::Sender<Result<(), StoreError>>>,
    mut closing: watch::Receiver<bool>,
) {
    let unclear = AtomicBool::new(false);
    let beginning = Beginning { live_read: Some(part_size), ..Beginning::default() };
    let started = place.store.retry().run(async |_| {
        let started = place.store.once().create_upload(&place.key, beginning).await;
        let lost = started.as_ref().is_err_and(|error| error.kind == Kind::Passing);
        unclear.fetch_or(lost, Relaxed);
        started
    });
    let started = started.await;
    let id = started.as_ref().ok().cloned();
    if let Some(id) = &id {
        fields::learned(&Span::current(), id);
    }
    place.id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&id);
    let mut asker = None;
    if begun.send(started).is_ok() && id.is_some() {
        asker = tokio::select! {
            asker = ends => asker.ok(),
            _ = closing.wait_for(|closing| *closing) => None,
        };
    }
    let result = place.clean(id, unclear.load(Relaxed)).await;
    // If nobody waits for the answer, say it here.
    let untold = match asker {
        Some(asker) => asker.send(result).err(),
        None => Some(result),
    };
    if let Some(Err(error)) = untold {
        place.tell_left(&error.to_string());
    }
}

impl Throwaway {
    /// Aborts the upload, and those that a lost answer to its start has left behind.
    async fn clean(&self, id: Option<String>, unclear: bool) -> Result<(), StoreError> {
        let store = self.store.once().patient(Retry { give_up_after: ABORT_PATIENCE });
        let mut ids: Vec<String> = id.into_iter().collect();
        if unclear {
            match store.open_uploads(&self.key).await {
                Ok(uploads) => {
                    ids.extend(uploads.into_iter().map(|upload| upload.id));
                    ids.sort_unstable();
                    ids.dedup();
                }
                Err(error) => tracing::debug!("{error}"),
            }
        }
        for id in ids {
            store.abort_upload(&self.key, &id).await?;
        }
        Ok(())
    }

    fn tell_left(&self, why: &str) {
        let (object, key) = (self.store.object(&self.key), shell_word(&self.key));
        let id = self.id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let which = id.map_or_else(String::new, |id| format!(" {id}"));
        tracing::warn!(
            "a throw-away upload{which} of {object} may be left open: {}. `writer {key} --abort` cancels it",
            why.trim_end_matches('.')
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::live_read::MIN_PART_SIZE;
    use crate::store::Store;
    use crate::store::scripted::{self, Op, Reply, Shelf};

    const RETRY: Retry = Retry { give_up_after: Duration::from_secs(60) };

    async fn begin(trials: &Trials, store: &Store) -> Trial {
        let part_size = PartSize::new(MIN_PART_SIZE).expect("in range");
        trials.begin(&store.patient(RETRY), "live.mp4", "check", part_size).await.expect("it begins")
    }

    fn open(shelf: &Shelf, key: &str) -> usize {
        shelf.open(key).len()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_is_aborted_as_often_as_it_takes() {
        let (store, shelf) = scripted::store();
        shelf.script(|asked, nth| match (asked.op, nth) {
            (Op::Abort, 0) => Reply::Status(503, "SlowDown"),
            (Op::Abort, 1) => Reply::Unreachable,
            _ => Reply::Honest,
        });
        let trials = Trials::default();
        let trial = begin(&trials, &store).await;
        let key = trial.key.clone();
        assert_eq!(open(&shelf, &key), 1);
        drop(trial);
        trials.finish(Duration::from_secs(30)).await;
        assert_eq!((open(&shelf, &key), shelf.count(Op::Abort)), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_still_held_is_aborted_at_the_end_of_the_program() {
        let (store, shelf) = scripted::store();
        let trials = Trials::default();
        let trial = begin(&trials, &store).await;
        trials.finish(Duration::from_secs(1)).await;
        assert_eq!(open(&shelf, &trial.key), 0);
        assert!(trial.end().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_lost_answer_has_begun_is_aborted_too() {
        let (store, shelf) = scripted::store();
        let lose = |asked: &scripted::Asked, nth| match (asked.op, nth) {
            (Op::Create, 0 | 1) => Reply::Lost,
            _ => Reply::Honest,
        };
        shelf.script(lose);
        let trial = begin(&Trials::default(), &store).await;
        let key = trial.key.clone();
        assert_eq!(open(&shelf, &key), 3);
        trial.end().await.expect("it is aborted");
        assert_eq!(open(&shelf, &key), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_gone_before_it_has_begun_leaves_nothing() {
        let (store, shelf) = scripted::store();
        shelf.script(|asked, _| match asked.op {
            Op::Create => Reply::Late(Duration::from_secs(2)),
            _ => Reply::Honest,
        });
        let trials = Trials::default();
        let part_size = PartSize::new(MIN_PART_SIZE).expect("in range");
        let store = store.patient(RETRY);
        let begins = trials.begin(&store, "live.mp4", "check", part_size);
        assert!(tokio::time::timeout(Duration::from_secs(1), begins).await.is_err());
        trials.finish(Duration::from_secs(10)).await;
        assert_eq!((shelf.count(Op::Create), shelf.count(Op::Abort)), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_aborted_is_an_error_and_holds_the_end_up_for_so_long_only() {
        let (store, shelf) = scripted::store();
        shelf.script(|asked, _| match asked.op {
            Op::Abort => Reply::Status(503, "SlowDown"),
            _ => Reply::Honest,
        });
        let trials = Trials::default();
        let error = begin(&trials, &store).await.end().await.expect_err("it is refused");
        assert_eq!(error.kind, Kind::Passing);
        let start = Instant::now();
        let _held = begin(&trials, &store).await;
        trials.finish(Duration::from_secs(10)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }
}
