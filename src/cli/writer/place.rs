//! Where input goes: the store, and the way in which it is live there.

use crate::cli::writer::copy_job::CopyJob;
use crate::protocol::live_objects::Prefix;
use crate::store::live_check::LiveRead;
use crate::store::{Connection, Patient, Store};
use crate::tool::exit::Exit;
use crate::writer::live_objects::{Chosen, Wanted, is_backblaze};
use crate::writer::pool::Idle;

/// Parts on their way at once of all that one program writes, beside one of each.
const FURTHER: usize = 16;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) store: Patient,
    /// The store's address, where it is not Amazon's.
    pub(super) endpoint: Option<String>,
    /// Part buffers that nobody uses, of all that is written there.
    pub(super) idle: Idle,
}

impl Place {
    /// Finds it; says why it cannot be found.
    pub(crate) async fn find(connection: &Connection) -> Result<Self, Exit> {
        match Store::connect(connection).await {
            Ok((store, resolved)) => {
                let store = store.patient(connection.retry);
                Ok(Self { store, endpoint: resolved.endpoint, idle: Idle::default() })
            }
            Err(error) => {
                tracing::error!("{error}");
                Err(Exit::Failed)
            }
        }
    }

    /// The same for several who write there, each so many parts at once: all of them together have a bound.
    pub(crate) fn of_several(self, concurrency: usize) -> Self {
        Self { idle: Idle::of_several(FURTHER.max(concurrency)), ..self }
    }

    /// The same, for one of several who count their requests each for himself.
    pub(crate) fn counted_apart(&self) -> Self {
        let store = self.store.once().counted_apart().patient(self.store.retry());
        Self { store, endpoint: self.endpoint.clone(), idle: self.idle.clone() }
    }

    /// Where there are to be live objects in it, and the way in which it is live.
    pub(super) fn live(&self, job: &CopyJob) -> (Chosen, Option<Wanted>) {
        let endpoint = self.endpoint.as_deref();
        let chosen = job.live.mode.choose(endpoint);
        (chosen, wanted(chosen, endpoint))
    }

    /// What the names of live objects begin with, where there may be some.
    pub(super) fn prefix<'a>(&self, job: &'a CopyJob) -> Option<&'a Prefix> {
        self.live(job).1.map(|_| &job.live.objects.prefix)
    }
}

/// Where there are to be live objects on the store at `endpoint`, if anywhere.
fn wanted(chosen: Chosen, endpoint: Option<&str>) -> Option<Wanted> {
    let presumed = if endpoint.is_some_and(is_backblaze) { LiveRead::On } else { LiveRead::Off };
    match chosen {
        Chosen::Either => Some(Wanted::WithoutLiveRead { presumed }),
        Chosen::Objects => Some(Wanted::Always),
        Chosen::LiveRead | Chosen::Nothing | Chosen::Refrained(_) => None,
    }
}
