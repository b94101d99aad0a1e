//! `reader`: copies an S3 object to a file or standard output while it is still being written.

#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::ExitCode;

use live_read::cli::reader::args::ReaderArgs;
use live_read::cli::reader::job::Job;
use live_read::cli::reader::{copy, list, probe, serve};
use live_read::cli::run;
use live_read::message::logging::Console;
use live_read::store::{Connection, Store};
use live_read::tool::exit::Exit;
use live_read::tool::shutdown::EndSignals;

fn main() -> ExitCode {
    run::run::<ReaderArgs, _>("reader", run)
}

/// Runs the tool until it is done or a signal ends it.
async fn run(args: ReaderArgs, connection: Connection, console: &Console, mut signals: EndSignals) -> Exit {
    let job = match Job::of(args) {
        Job::Serve(job) => return serve::serve(*job, &connection, signals).await,
        job => job,
    };
    tokio::select! {
        exit = work(job, connection, console) => exit,
        signal = signals.next() => Exit::Signal(signal),
    }
}

async fn work(job: Job, mut connection: Connection, console: &Console) -> Exit {
    // The rules for requests; only the connection itself has to be there in time.
    let retry = connection.retry;
    if let Some(timeout) = job.wanted().timeout {
        connection.retry.give_up_after = connection.retry.give_up_after.min(timeout);
    }
    let store = match Store::connect(&connection).await {
        Ok((store, _)) => store.patient(retry),
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    match job {
        Job::Copy(job) => copy::copy(&job, &store, console).await,
        Job::Probe { wanted, json } => probe::probe(&wanted, json, &store).await,
        Job::List { wanted, prefix, json } => list::list(&wanted, &prefix, json, &store).await,
        Job::Serve(_) => Exit::Failed,
    }
}
