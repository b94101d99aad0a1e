//! The tail part, sent before it is full (`--max-latency`): below one part's worth of delay.
//!
//! The highest part of a Live Read upload may be short, and may be replaced by a longer version of itself. So what has
//! waited long enough is sent as it is, and again with what came after it, until the part is full. [`clock`] says when,
//! `cost` at what price, [`probe`] whether the store takes it; the outbox sees to the order.

mod bursts;
pub mod clock;
mod cost;
pub mod probe;
mod rate;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::protocol::part::{PartNumber, PartSize};
use crate::store::Patient;
use crate::store::trial::Trials;
use crate::writer::outbox::{Outbox, Taken};

pub use clock::{TailClock, TailSettings};
use probe::Replaces;

/// Sends the tail part of one input when it is due.
#[derive(Debug)]
pub struct TailSender {
    clock: TailClock,
    probe: Option<JoinHandle<Replaces>>,
    /// Whether tails are sent; `None` until the probe has answered.
    on: Option<bool>,
}

impl TailSender {
    /// Finds out in the background, with a throw-away key beside `key`, whether the store takes tails.
    #[must_use]
    pub fn start(settings: TailSettings, store: &Patient, key: &str, part_size: PartSize, trials: &Trials) -> Self {
        let (store, key, trials) = (store.clone(), key.to_owned(), trials.clone());
        let probe = tokio::spawn(probe::replaces_tail(store, key, part_size, trials));
        Self { clock: TailClock::new(settings, part_size), probe: Some(probe), on: None }
    }

    /// A new part is begun, of which the store holds the first `kept` bytes already.
    pub fn begin_part(&mut self, kept: u64) {
        self.clock.begin_part(kept);
    }

    /// Input came into the part.
    pub fn took(&mut self, count: u64) {
        self.clock.took(Instant::now(), count);
        if let Some(warning) = self.clock.warning(Instant::now()).filter(|_| self.on == Some(true)) {
            tracing::warn!("{warning}");
        }
    }

    /// The part is handed over whole, or as the last one.
    pub fn handed_over(&mut self) {
        self.clock.handed_over();
    }

    /// Sends what is in the part so far, if the time has come, the store takes it, and the part may be short (`number`).
    pub async fn send(&mut self, number: Option<PartNumber>, filled: &[u8], outbox: &mut Outbox) {
        let now = Instant::now();
        if self.on.is_none() {
            self.ask_probe().await;
        }
        match self.on {
            Some(true) => {}
            Some(false) => return,
            None => return self.clock.hold(now),
        }
        if !self.clock.is_time(now) {
            return;
        }
        let Some(number) = number else { return self.clock.hold(now) };
        match outbox.send_tail(number, filled) {
            Taken::Yes => self.clock.sent(now),
            Taken::NotNow => self.clock.hold(now),
            Taken::Never => self.on = Some(false),
        }
    }

    /// Whether and when the tail is due.
    fn next(&self) -> Option<Instant> {
        self.clock.due().filter(|_| self.on != Some(false))
    }

    /// Takes the probe's answer, if it is there.
    async fn ask_probe(&mut self) {
        let Some(probe) = self.probe.take_if(|probe| probe.is_finished()) else { return };
        // It has ended, so this does not wait.
        let answer = probe.await.unwrap_or_else(|error| Replaces::Unknown(error.to_string()));
        self.on = Some(answer == Replaces::Yes);
        match answer {
            Replaces::Yes => tracing::debug!("the store lets the tail part be replaced"),
            // Another warning says what that means.
            Replaces::NoLiveRead => tracing::debug!("--max-latency has no effect without Live Read"),
            Replaces::No(cause) => tracing::warn!(
                "this store does not let the tail part be replaced by a longer version of itself, so --max-latency has no \
                 effect and only full parts are sent; nothing is lost ({cause})"
            ),
            Replaces::Unknown(cause) => tracing::warn!(
                "could not find out whether this store lets the tail part be replaced, so --max-latency has no effect and \
                 only full parts are sent; nothing is lost ({cause})"
            ),
        }
    }
}

/// Waits until the tail is due; for ever while nothing waits to be sent, or without a sender. Dropping the future loses
/// nothing.
pub async fn due(sender: Option<&TailSender>) {
    match sender.and_then(TailSender::next) {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
