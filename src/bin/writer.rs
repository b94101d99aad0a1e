//! `writer`: copies standard input, or a file as it grows, into an S3 object that can be read while it is written.

#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use live_read::cli::going_on::Words;
use live_read::cli::run;
use live_read::cli::writer::args::WriterArgs;
use live_read::cli::writer::job::Job;
use live_read::cli::writer::signals::Switches;
use live_read::cli::writer::{copy, errand, one_input, one_stream, streams};
use live_read::message::logging::Console;
use live_read::store::Connection;
use live_read::tool::exit::Exit;
use live_read::tool::progress::Progress;
use live_read::tool::shutdown::EndSignals;

/// How long the end waits until throw-away uploads are aborted ...
const TRIALS_PATIENCE: Duration = Duration::from_secs(10);

/// ... and when somebody is impatient.
const TRIALS_HURRY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    run::run::<WriterArgs, _>("writer", run)
}

/// Runs the tool until it is done or signals end it, and leaves no throw-away upload behind.
async fn run(args: WriterArgs, connection: Connection, console: &Console, mut signals: EndSignals) -> Exit {
    let usual_bucket = std::env::var("BUCKET_NAME").ok();
    let job = match Job::of(args, &connection, usual_bucket.as_deref()) {
        Ok(job) => job,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Usage;
        }
    };
    let progress = Arc::new(Progress::default());
    let (switches, stops) = Switches::install(&progress);
    let exit = match job {
        Job::Copy(job) => {
            let work = Box::pin(copy::copy(&job, &connection, console, stops, &progress));
            switches.see_through(work, async || signals.next().await, &progress, &job.words).await
        }
        Job::Streams(job) => {
            let words = Words::of("KEY", Path::new("-"), &connection, usual_bucket.as_deref());
            let work = Box::pin(streams::record(*job, &connection, usual_bucket.as_deref(), stops, &progress));
            switches.see_through(work, async || signals.next().await, &progress, &words).await
        }
        Job::Renditions(job) => {
            let words = Words::of("KEY", Path::new("-"), &connection, usual_bucket.as_deref());
            let work = Box::pin(one_stream::record(*job, &connection, usual_bucket.as_deref(), stops, &progress));
            switches.see_through(work, async || signals.next().await, &progress, &words).await
        }
        Job::Ladder(job) => {
            let words = job.words.clone();
            let work = one_input::record(*job, &connection, usual_bucket.as_deref(), console, stops, &progress);
            switches.see_through(Box::pin(work), async || signals.next().await, &progress, &words).await
        }
        // It can be ended at any moment.
        Job::Errand(errand) => tokio::select! {
            exit = errand::run(errand, connection, &progress) => exit,
            signal = signals.next() => Exit::Signal(signal),
        },
    };
    let patience = if matches!(exit, Exit::Signal(_)) { TRIALS_HURRY } else { TRIALS_PATIENCE };
    progress.trials.finish(patience).await;
    exit
}
