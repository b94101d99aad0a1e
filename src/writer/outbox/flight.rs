//! The parts in flight, and how long parts take.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::put::Parcel;
use super::{OutboxError, Stored};
use crate::protocol::part::PartNumber;

/// The store counts as away when no part has been stored for this long, even if no request has failed yet ...
const AWAY: Duration = Duration::from_secs(5);

/// ... and for this many times as long as parts take: a slow store is not away, it slows the input down.
const AWAY_TIMES: u32 = 3;

/// How long parts take before any has been stored.
const UNKNOWN: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Flight {
    tasks: JoinSet<Result<Stored, OutboxError>>,
    /// What is in flight, and what was and failed.
    parcels: BTreeMap<PartNumber, Parcel>,
    /// The highest part that was sent.
    highest: Option<PartNumber>,
    /// Turns true when no part is to be tried again.
    over: watch::Sender<bool>,
    /// How long parts take, the slow ones.
    usual: Option<Duration>,
}

impl Flight {
    pub(super) fn new() -> Self {
        let (tasks, parcels, over) = (JoinSet::new(), BTreeMap::new(), watch::channel(false).0);
        Self { tasks, parcels, highest: None, over, usual: None }
    }

    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The highest part that was sent.
    pub(super) fn highest(&self) -> Option<PartNumber> {
        self.highest
    }

    /// What is in flight, and what was and failed.
    pub(super) fn parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.parcels.values()
    }

    /// Turns true when no part is to be tried again.
    pub(super) fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    pub(super) fn start(
        &mut self,
        parcel: Parcel,
        sent: impl Future<Output = Result<Stored, OutboxError>> + Send + 'static,
    ) {
        self.highest = self.highest.max(Some(parcel.number));
        self.parcels.insert(parcel.number, parcel);
        self.tasks.spawn(sent);
    }

    /// Waits for the next one to end; `None` if there is none. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Result<Result<Stored, OutboxError>, JoinError>> {
        self.tasks.join_next().await
    }

    /// Notes that a part is stored.
    pub(super) fn landed(&mut self, stored: &Stored) {
        self.parcels.remove(&stored.number);
        self.usual = Some(self.usual.map_or(stored.took, |usual| stored.took.max(usual * 7 / 8)));
    }

    /// After how long without a stored part the store counts as away.
    pub(super) fn away_after(&self) -> Duration {
        AWAY.max(self.usual.unwrap_or(UNKNOWN) * AWAY_TIMES)
    }

    /// What fails from now on is not tried again.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Ends all at once.
    pub(super) fn stop(&mut self) {
        self.end();
        self.tasks.abort_all();
    }
}
