//! What the copies have in common of which one program makes several. Each is counted apart, and has figures under its own name.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::writer::copy::copy_from;
use crate::cli::writer::copy_job::CopyJob;
use crate::cli::writer::encoders::Stream;
use crate::cli::writer::figures;
use crate::cli::writer::place::Place;
use crate::store::Connection;
use crate::tool::exit::Exit;
use crate::tool::progress::Progress;
use crate::tool::stats::{Stats, StatsFile};
use crate::writer::source::StopSignal;

/// How long the end of a copy waits until its throw-away uploads are aborted.
const TRIALS_PATIENCE: Duration = Duration::from_secs(10);

/// See the [module](self).
pub(crate) struct Copies {
    pub(crate) connection: Connection,
    pub(crate) usual_bucket: Option<String>,
    pub(crate) place: Place,
    pub(crate) stats: Option<StatsFile>,
    pub(crate) at_once: StopSignal,
}

impl Copies {
    /// Resolves what one of them is to do; says why that cannot be.
    pub(crate) fn job(
        &self,
        stream: &Stream,
        of: impl FnOnce(&Connection, Option<&str>) -> Result<CopyJob, String>,
    ) -> Result<CopyJob, Exit> {
        of(&self.connection, self.usual_bucket.as_deref()).map_err(|error| {
            tracing::error!("{error}; nothing of it is recorded");
            if let Some(journal) = &stream.journal {
                journal.remove();
            }
            Exit::Failed
        })
    }

    /// Makes one.
    pub(crate) async fn make(&self, job: &CopyJob, stream: Stream, name: &str, progress: &Arc<Progress>) -> Exit {
        let place = self.place.counted_apart();
        let figures = |file| Stats::into(file, Some(name), place.store.once(), progress, figures::facts);
        let stats = self.stats.as_ref().map(figures);
        let exit = copy_from(stream, job, &place, self.at_once.clone(), progress).await;
        drop(stats);
        progress.trials.finish(TRIALS_PATIENCE).await;
        exit
    }
}
