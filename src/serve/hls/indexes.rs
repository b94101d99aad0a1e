//! The indexes of all versions that somebody asked for of late: they outlive the last viewer, because they are small and dear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::indexed::Indexed;
use super::indexer;
use super::reload::There;
use crate::protocol::live_objects::RecordingId;
use crate::serve::identity::date_in;
use crate::serve::viewing::Viewing;

/// What all of them take together at most, in bytes, but for those that are being asked for.
const MOST: u64 = 64 << 20;

/// So long after the last who asked the texts that were made of one are let go of.
const IDLE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Indexes(Mutex<HashMap<[u8; 16], Arc<Indexed>>>);

impl Indexes {
    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 16], Arc<Indexed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of a version, which is looked through from now on.
    pub(crate) fn of(&self, viewing: &Viewing) -> Arc<Indexed> {
        let indexed = self.kept(viewing);
        indexer::run(&indexed, viewing);
        indexed
    }

    /// That of a version, where all of it has been seen.
    pub(crate) fn whole(&self, version: [u8; 16]) -> Option<Arc<Indexed>> {
        let known = self.all().get(&version).cloned();
        known.filter(|known| known.state().index.is_over())
    }

    /// What there is of a version that is being followed to its live edge, and goes on in no other object.
    pub(crate) fn followed(&self, version: [u8; 16]) -> Option<There> {
        let known = self.all().get(&version).cloned()?;
        let state = known.state();
        (state.is_at_edge() && !state.index.is_over()).then(|| state.there())
    }

    /// That of a version, as far as it has been looked through.
    pub(crate) fn kept(&self, viewing: &Viewing) -> Arc<Indexed> {
        let identity = &viewing.identity;
        let began = || {
            let seconds = date_in(&identity.version)
                .or_else(|| RecordingId::parse(&identity.version).map(|recording| recording.started()));
            seconds.and_then(|seconds| seconds.checked_mul(1_000_000))
        };
        Arc::clone(self.all().entry(identity.hash).or_insert_with(|| Arc::new(Indexed::new(began()))))
    }

    /// Lets go, from time to time, of what nobody has asked for in a while.
    pub(crate) async fn tidy(&self) {
        loop {
            tokio::time::sleep(IDLE / 12).await;
            self.forget_idle();
        }
    }

    fn forget_idle(&self) {
        let mut all = self.all();
        let mut idle: Vec<_> = all.iter().map(|(hash, indexed)| (indexed.idle(), *hash)).collect();
        idle.retain(|(idle, _)| *idle >= IDLE);
        idle.sort_unstable();
        for (_, hash) in &idle {
            if let Some(indexed) = all.get(hash) {
                indexed.forget_texts();
            }
        }
        let mut weight: u64 = all.values().map(|indexed| indexed.weight()).sum();
        while weight > MOST
            && let Some((_, hash)) = idle.pop()
        {
            weight -= all.remove(&hash).map_or(0, |indexed| indexed.weight());
        }
    }
}
