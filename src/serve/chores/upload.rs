//! `PUT /buckets/B/objects/KEY`: what comes is stored part by part as it comes. What does not come to its end leaves nothing.
//!
//! An upload runs in a task of its own, so that it is aborted whatever becomes of its connection: it is completed only while
//! somebody still waits for the answer, and has sent as much as was said.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::object::live::Upload;
use crate::protocol::content_type::content_type_of;
use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::{PartNumber, PartSize};
use crate::serve::blocks::{Blocks, Loan};
use crate::serve::recordings::of_store;
use crate::serve::refusal::Refusal;
use crate::serve::wire::STALLED;
use crate::store::{Beginning, ETag, Patient, StoreError};
use crate::writer::completion;
use crate::writer::ledger::Ledger;

/// How long the store may keep failing.
const PATIENCE: Duration = Duration::from_secs(120);

/// How large parts are, unless more than 10,000 of them would be needed.
const PART: u64 = 8 << 20;

/// One part is being filled while another one is sent.
const PARTS_AT_A_TIME: u64 = 2;

/// What is kept with an object that has no byte.
const EMPTY: &str = "no-cache";

/// See the module.
#[derive(Debug)]
pub(crate) struct Uploads {
    /// The largest object.
    most: u64,
    blocks: Arc<Blocks>,
    /// What is being uploaded, and by whom.
    busy: Arc<Mutex<HashSet<Busy>>>,
    /// How many tasks run.
    running: watch::Sender<usize>,
    /// Whether the program is about to end.
    ending: watch::Receiver<bool>,
}

/// What there is one upload at a time of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Busy {
    /// A bucket and a key.
    Key(String, String),
    /// A token.
    Token([u8; 32]),
}

/// An upload's place among the others.
#[derive(Debug)]
struct Seat {
    what: Vec<Busy>,
    busy: Arc<Mutex<HashSet<Busy>>>,
    running: watch::Sender<usize>,
    _loan: Loan,
}

/// What became of an upload.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) size: u64,
    pub(crate) version: Option<String>,
}

impl Uploads {
    pub(super) fn new(most: u64, blocks: Arc<Blocks>, ending: watch::Receiver<bool>) -> Self {
        Self { most, blocks, busy: Arc::default(), running: watch::channel(0).0, ending }
    }

    /// Waits until those that run have come to an end, or have been aborted.
    pub(crate) async fn ended(&self) {
        let mut running = self.running.subscribe();
        drop(timeout(Duration::from_secs(10), running.wait_for(|count| *count == 0)).await);
    }

    /// Stores `body` under a key that may be written.
    pub(crate) async fn put(
        &self,
        store: &Patient,
        key: &str,
        token: Option<[u8; 32]>,
        body: Incoming,
    ) -> Result<Done, Refusal> {
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > self.most) {
            return Err(too_large());
        }
        let part_size = length.unwrap_or(self.most).div_ceil(MAX_PARTS.into()).max(PART);
        let part_size = PartSize::new(part_size).map_err(|_| too_large())?;
        let seat = self.seat(store.bucket(), key, token, part_size)?;
        let store = store.at_most(PATIENCE);
        if !store.open_uploads(key).await.map_err(|error| of_store(&error))?.is_empty() {
            return Err(Refusal::new(StatusCode::CONFLICT, "this is being recorded or uploaded right now"));
        }
        let (waits, waited_for) = oneshot::channel();
        let sending = Sending {
            store,
            key: key.to_owned(),
            part_size,
            most: self.most,
            length,
            body,
            got: 0,
            rest: Bytes::new(),
            waited_for,
            ending: self.ending.clone(),
        };
        let task = tokio::spawn(async move {
            let done = sending.run().await;
            drop(seat);
            done
        });
        let done = task.await;
        drop::<oneshot::Sender<()>>(waits);
        done.unwrap_or_else(|_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the gateway")))
    }

    fn seat(&self, bucket: &str, key: &str, token: Option<[u8; 32]>, part_size: PartSize) -> Result<Seat, Refusal> {
        let loan = Blocks::lend(&self.blocks, part_size.get().saturating_mul(PARTS_AT_A_TIME));
        let loan = loan.ok_or_else(|| Refusal::busy("no memory is left for another upload (--memory)"))?;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = Busy::Key(bucket.to_owned(), key.to_owned());
        let of_token = token.map(Busy::Token);
        if busy.contains(&of_key) {
            return Err(Refusal::new(StatusCode::CONFLICT, "this is being recorded or uploaded right now"));
        }
        if of_token.as_ref().is_some_and(|token| busy.contains(token)) {
            let refusal =
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, "this token is uploading something else right now");
            return Err(refusal.soon());
        }
        let what: Vec<_> = std::iter::once(of_key).chain(of_token).collect();
        busy.extend(what.iter().cloned());
        drop(busy);
        self.running.send_modify(|count| *count += 1);
        Ok(Seat { what, busy: Arc::clone(&self.busy), running: self.running.clone(), _loan: loan })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|one| !self.what.contains(one));
        drop(busy);
        self.running.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// An upload on its way.
struct Sending {
    store: Patient,
    key: String,
    part_size: PartSize,
    most: u64,
    /// What the client said.
    length: Option<u64>,
    body: Incoming,
    got: u64,
    /// What has come and belongs into the next part.
    rest: Bytes,
    /// Closed when nobody waits for the answer any more.
    waited_for: oneshot::Receiver<()>,
    ending: watch::Receiver<bool>,
}

/// A part that is being stored.
type OnItsWay = (PartNumber, u64, JoinHandle<Result<ETag, StoreError>>);

impl Sending {
    async fn run(mut self) -> Result<Done, Refusal> {
        // What there is before the first part is full tells whether there is anything.
        let (first, is_all) = self.fill().await?;
        if first.is_empty() {
            self.is_wanted()?;
            let kind = content_type_of(&self.key).unwrap_or("application/octet-stream");
            let put = self.store.put_object(&self.key, first, kind, EMPTY, self.store.patience().part(0, 0));
            put.await.map_err(|error| of_store(&error))?;
            return Ok(Done { size: 0, version: None });
        }
        let beginning = Beginning { content_type: content_type_of(&self.key), ..Beginning::default() };
        let upload = Upload::begin(&self.store, &self.key, self.part_size, beginning).await;
        let upload = upload.map_err(|error| of_store(&error))?;
        let mut on_its_way = None;
        let stored = self.store_all(&upload, (first, is_all), &mut on_its_way).await;
        if stored.is_err() {
            if let Some((_, _, task)) = on_its_way {
                task.abort();
                drop(task.await);
            }
            if let Err(error) = upload.abort().await {
                tracing::warn!("{error}; an upload that nobody goes on with is left open");
            }
        }
        stored
    }

    async fn store_all(
        &mut self,
        upload: &Upload,
        first: (Bytes, bool),
        on_its_way: &mut Option<OnItsWay>,
    ) -> Result<Done, Refusal> {
        let mut ledger = Ledger::default();
        let (mut part, mut is_all) = first;
        let mut number = PartNumber::FIRST;
        loop {
            let size = part.len() as u64;
            if size > 0 {
                note(&mut ledger, on_its_way.take()).await?;
                let (store, key, id) = (self.store.clone(), self.key.clone(), upload.id().to_owned());
                let patience = store.patience().part(size, 0);
                let put = async move { store.put_part(&key, &id, number, part, patience).await };
                *on_its_way = Some((number, size, tokio::spawn(put)));
            }
            if is_all {
                break;
            }
            number = number.next().ok_or_else(too_large)?;
            (part, is_all) = self.fill().await?;
        }
        note(&mut ledger, on_its_way.take()).await?;
        self.is_wanted()?;
        let parts = ledger.close(self.part_size).map_err(|gap| {
            tracing::error!("{}: {gap}", upload.object());
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the gateway")
        })?;
        completion::finish(upload, &ledger, &parts).await.map_err(|error| of_store(&error))?;
        Ok(Done { size: ledger.bytes(), version: Some(upload.id().to_owned()) })
    }

    /// The next part, and whether it is the last one.
    async fn fill(&mut self) -> Result<(Bytes, bool), Refusal> {
        let size = self.part_size.as_len();
        // All of it at once: a buffer that grows would be there twice. The system gives what is not written to only by name.
        let mut part = BytesMut::with_capacity(size);
        loop {
            let some = self.rest.split_to(self.rest.len().min(size - part.len()));
            part.extend_from_slice(&some);
            if part.len() == size {
                return Ok((part.freeze(), false));
            }
            let frame = tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending) => {
                    return Err(Refusal::busy("the gateway is about to end"));
                }
                _ = &mut self.waited_for => return Err(gone()),
                frame = timeout(STALLED, next_frame(&mut self.body)) => frame,
            };
            let Ok(frame) = frame else {
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "nothing more of it has come for a minute"));
            };
            let Some(frame) = frame else {
                if self.length.is_some_and(|length| length != self.got) {
                    return Err(gone());
                }
                return Ok((part.freeze(), true));
            };
            let Ok(bytes) = frame.map_err(|_| gone())?.into_data() else { continue };
            self.got = self.got.saturating_add(bytes.len() as u64);
            if self.got > self.most {
                return Err(too_large());
            }
            self.rest = bytes;
        }
    }

    /// Whether somebody still waits for the answer.
    fn is_wanted(&mut self) -> Result<(), Refusal> {
        match self.waited_for.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => Ok(()),
            _ => Err(gone()),
        }
    }
}

async fn next_frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// Waits for a part on its way.
async fn note(ledger: &mut Ledger, on_its_way: Option<OnItsWay>) -> Result<(), Refusal> {
    let Some((number, size, task)) = on_its_way else { return Ok(()) };
    let stored = task.await;
    let stored =
        stored.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the gateway"))?;
    ledger.note(number, stored.map_err(|error| of_store(&error))?, size);
    Ok(())
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "this is larger than --max-upload of the gateway allows")
}

/// Nobody may hear of it.
fn gone() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "it ended before all of it had come; nothing is kept of it")
}
