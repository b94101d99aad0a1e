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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;
    use crate::ingest::recording::{Behind, Recording, Shape};
    use crate::ingest::stage::{Manners, Stage, Stop, Takeover};
    use crate::ingest::words::Left;
    use crate::writer::source::feed;

    #[tokio::test(start_paused = true)]
    async fn those_who_push_the_same_take_each_others_place_every_two_seconds_at_most() {
        let manners = Manners { takeover: Takeover::Newest, reconnect: Duration::from_secs(60), waits: true };
        let shape = Shape { fragment: Duration::from_secs(1), renditions: false, max_bitrate: None };
        let (_stop, stopped) = watch::channel(Stop::No);
        let ((feeder, _source), (stage, door)) = (feed(1 << 20), Stage::new(manners, stopped));
        tokio::spawn(stage.run(Recording::new(shape, feeder, Behind::default())));
        let points = Points::new(false);
        let enter = async || {
            let peer = "192.0.2.1:1".parse().expect("an address");
            let entered = points.enter(Checked::One(door.clone()), (peer, String::new()), "", Way::Long);
            entered.await.expect("an entry")
        };
        let mut before = enter().await;
        // The first of them at once; then each as soon as it may, and after a while, which is waited for no more.
        for (pause, wanted) in [(0, 0), (0, 2000), (0, 2000), (500, 1500), (5000, 0)] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let came = Instant::now();
            let next = enter().await;
            assert_eq!((&mut before.called).await, Ok(Left::TakenOver));
            let waited = u64::try_from(came.elapsed().as_millis()).expect("small");
            assert!((wanted..wanted + 50).contains(&waited), "{waited} ms after {pause}");
            before = next;
        }
    }
}
