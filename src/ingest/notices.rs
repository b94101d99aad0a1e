//! What somebody else is told of recordings, behind their backs: nothing waits for it, and nothing follows from the answer.
//!
//! All that is told goes through one queue, in order. What cannot be told is tried again, a few times; where too much waits,
//! what comes then is not told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::hook::Hook;
use crate::human::times::show_of_day;

/// What waits at most.
const MOST: usize = 1024;
/// How long to wait before the second try, and the third.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How long the end of the program waits for what is still to be told.
const LAST: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub struct Notices(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    to_teller: mpsc::Sender<String>,
    /// How many have come, and how many of them are through.
    come: watch::Sender<u64>,
    through: watch::Receiver<u64>,
    is_full: AtomicBool,
}

/// The same about one recording.
#[derive(Debug, Clone, Default)]
pub struct Herald {
    notices: Notices,
    about: Arc<Value>,
}

impl Notices {
    /// Tells this one, from a task of its own; nobody where there is none to be told.
    pub(super) fn to(hook: Option<Hook>) -> Self {
        Self(hook.filter(Hook::hears).map(|hook| {
            let (to_teller, notices) = mpsc::channel(MOST);
            let (says_through, through) = watch::channel(0);
            tokio::spawn(tell(hook, notices, says_through).in_current_span());
            let (come, is_full) = (watch::Sender::new(0), AtomicBool::new(false));
            Arc::new(Queue { to_teller, come, through, is_full })
        }))
    }

    /// Of a recording of which this is known.
    pub(super) fn of(&self, about: Value) -> Herald {
        Herald { notices: self.clone(), about: Arc::new(about) }
    }

    /// Waits until all is told, some seconds at most.
    pub async fn are_told(&self) {
        let Some(queue) = &self.0 else { return };
        let (come, mut through) = (*queue.come.borrow(), queue.through.clone());
        let told = through.wait_for(|through| *through >= come);
        if timeout(LAST, told).await.is_err() {
            tracing::warn!("--on-publish could not be told of all that has happened");
        }
    }

    fn say(&self, notice: &Value) {
        let Some(queue) = &self.0 else { return };
        if queue.to_teller.try_send(notice.to_string()).is_ok() {
            queue.come.send_modify(|come| *come += 1);
            queue.is_full.store(false, Relaxed);
        } else if !queue.is_full.swap(true, Relaxed) {
            tracing::warn!("{MOST} messages wait for --on-publish to hear them: others are not sent");
        }
    }
}

impl Herald {
    /// Tells that this has happened, with what belongs to it.
    pub fn say(&self, event: &str, more: Value) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = show_of_day(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let mut notice = json!({ "event": event, "time": time });
        let own = notice.as_object_mut();
        if let (Some(own), Value::Object(about), Value::Object(more)) = (own, &*self.about, more) {
            own.extend(about.clone());
            own.extend(more);
        }
        self.notices.say(&notice);
    }
}

async fn tell(hook: Hook, mut notices: mpsc::Receiver<String>, through: watch::Sender<u64>) {
    let mut is_deaf = false;
    while let Some(notice) = notices.recv().await {
        let mut waits = AGAIN.into_iter();
        let failed = loop {
            match hook.tell(notice.clone()).await {
                Ok(()) => break None,
                Err(why) => match waits.next() {
                    Some(wait) => sleep(wait).await,
                    None => break Some(why),
                },
            }
        };
        match &failed {
            // Once, until it hears again.
            Some(why) if !is_deaf => tracing::warn!("--on-publish could not be told what happened to a stream: {why}"),
            Some(why) => tracing::debug!("--on-publish could not be told what happened to a stream: {why}"),
            None => {}
        }
        is_deaf = failed.is_some();
        through.send_modify(|through| *through += 1);
    }
}
