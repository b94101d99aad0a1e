//! The publishing points of all streams: a request goes to the one of its stream, or begins it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, mpsc, oneshot};
use tracing::Instrument;

use super::point::{Answer, Enter, Entry, Point, Word};
use super::target::Way;
use crate::ingest::entrance::Checked;
use crate::ingest::words::Refusal;

/// How to speak to the point of a stream, where there is one. Only one request at a time begins one.
type Slot = Arc<Turn<Option<mpsc::Sender<Word>>>>;

/// See the [module](self).
#[derive(Debug)]
pub(in crate::ingest) struct Points {
    /// By the ids of streams.
    slots: Mutex<HashMap<String, Slot>>,
    /// An encoder that is there is left alone.
    yields: bool,
}

/// Why a request may bring nothing.
#[derive(Debug)]
pub(super) enum NoEntry {
    Refused(Refusal),
    /// Somebody pushes the same.
    Taken,
    /// There are too many at once.
    Full,
}

impl Points {
    pub(in crate::ingest) fn new(yields: bool) -> Self {
        Self { slots: Mutex::default(), yields }
    }

    /// Lets somebody in who may publish the stream.
    pub(super) async fn enter(
        &self,
        checked: Checked,
        who: (SocketAddr, String),
        source: &str,
        way: Way,
    ) -> Result<Entry, NoEntry> {
        let slot = self.slot(checked.id());
        loop {
            let (answer, said) = oneshot::channel();
            let enter = Enter { source: source.to_owned(), way, yields: self.yields, answer };
            let mut turn = slot.lock().await;
            let there = if let Some(point) = turn.as_ref().filter(|point| !point.is_closed()) {
                point.clone()
            } else {
                let lease = checked.clone().lease(who.0, who.1.clone()).await.map_err(NoEntry::Refused)?;
                let span = lease.recording.span.clone();
                let (point, words) = Point::new(lease);
                tokio::spawn(point.run().instrument(span));
                *turn = Some(words.clone());
                words
            };
            // Whoever begins a point is the first in it.
            let sent = there.send(Word::Enter(enter)).await;
            drop(turn);
            if sent.is_err() {
                continue;
            }
            match said.await {
                Ok(Answer::Welcome(entry)) => return Ok(entry),
                Ok(Answer::Taken) => return Err(NoEntry::Taken),
                Ok(Answer::Full) => return Err(NoEntry::Full),
                Ok(Answer::Later(after)) => tokio::time::sleep(after).await,
                // It was over at that moment.
                Err(_) => {}
            }
        }
    }

    /// Ends a stream that is pushed, if it is.
    pub(super) async fn close(&self, checked: &Checked, at_once: bool) {
        let point = self.slot(checked.id()).lock().await.clone();
        if let Some(point) = point {
            // Where it is over there is nothing to be ended.
            drop(point.send(Word::Close { at_once }).await);
        }
    }

    fn slot(&self, id: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |slot: &Slot| slot.try_lock().is_ok_and(|point| point.as_ref().is_none_or(mpsc::Sender::is_closed));
        // Who has a slot in his hands keeps it.
        slots.retain(|known, slot| known == id || Arc::strong_count(slot) > 1 || !idle(slot));
        slots.entry(id.to_owned()).or_default().clone()
    }
}
