//! `reader`: copies an S3 object to a file or standard output while it is still being written.

#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use live_read::cli::reader::{By, POLL_INTERVAL, ReaderArgs};
use live_read::cli::run;
use live_read::human::sizes::show_bytes;
use live_read::message::logging::Console;
use live_read::object::locate::Wanted;
use live_read::object::reading::Reading;
use live_read::reader::chain;
use live_read::reader::copy;
use live_read::reader::error::ReadError;
use live_read::reader::held::Held;
use live_read::reader::join;
use live_read::reader::probe;
use live_read::reader::sink::{Sink, SinkError};
use live_read::store::retry::Retry;
use live_read::store::{Connection, Store};
use live_read::tool::exit::Exit;
use live_read::tool::nowhere;
use live_read::tool::progress::{self, Progress};
use live_read::tool::shutdown::EndSignals;
use live_read::tool::stats::{self, Stats};
use serde_json::{Value, json};

fn main() -> ExitCode {
    run::run::<ReaderArgs, _>("reader", run)
}

/// Runs the tool until it is done or a signal ends it.
async fn run(args: ReaderArgs, connection: Connection, console: &Console, mut signals: EndSignals) -> Exit {
    tokio::select! {
        exit = work(args, connection, console) => exit,
        signal = signals.next() => Exit::Signal(signal),
    }
}

async fn work(args: ReaderArgs, mut connection: Connection, console: &Console) -> Exit {
    if let Some(timeout) = args.timeout {
        connection.retry.give_up_after = connection.retry.give_up_after.min(timeout);
    }
    let (store, _) = match Store::connect(&connection).await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let wanted = wanted(&args);
    if args.probe {
        return probe(&store, &wanted, args.json).await;
    }
    let excerpt = args.excerpt();
    let progress = Arc::new(Progress::default());
    let mut held = None;
    let sink = if args.file == Path::new("-") {
        if nowhere::stdout_seems_closed() {
            tracing::warn!("standard output is closed, or /dev/null: what is read goes nowhere. Give FILE to keep it");
        }
        Sink::stdout(progress.clone())
    } else if args.resume {
        Sink::append(&args.file, progress.clone()).map(|(sink, bytes)| {
            held = begins_with(&args.file, bytes);
            sink
        })
    } else {
        // Opening a named pipe waits for its other end, and must not keep signals from being heard.
        let (file, progress) = (args.file.clone(), progress.clone());
        match tokio::task::spawn_blocking(move || Sink::file(&file, progress)).await {
            Ok(sink) => sink,
            Err(error) => {
                tracing::error!("cannot open {}: {error}", args.file.display());
                return Exit::Failed;
            }
        }
    };
    let mut sink = match sink {
        Ok(sink) => sink,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let reading = Reading {
        wanted,
        by_part: args.by == By::Part,
        chunk_size: args.chunk_size,
        queue_size: usize::from(args.queue_size),
        strict_poll: args.poll_interval.is_some(),
        timeout: args.timeout,
    };
    let figures = args.common.stats.as_deref().map(|path| Stats::start(path, &store, &progress, facts));
    let _figures = match figures.transpose() {
        Ok(figures) => figures,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let status = progress::show(console.clone(), progress.clone(), args.common.quiet, |progress, rate| {
        format!("{rate}, {}", behind_live(progress))
    });
    let result = if let Some(excerpt) = &excerpt {
        join::read(&store, &reading, excerpt, &mut sink, &progress).await.map(|bytes| (bytes, 1))
    } else if args.follow_rollover {
        chain::read(&store, &reading, &mut sink, &progress).await.map(|walked| (walked.bytes, walked.objects))
    } else {
        copy::read(&store, &reading, held.as_ref(), &mut sink, &progress).await.map(|bytes| (bytes, 1))
    };
    if let Some(status) = status {
        status.abort();
    }
    let settled = if result.is_ok() { sink.settle() } else { Ok(()) };
    let result = match (result, settled) {
        (Ok(_), Err(error)) => Err(error.into()),
        (result, _) => result,
    };
    match result {
        Ok((bytes, objects)) => {
            let object = store.object(&reading.wanted.key);
            let more = if objects > 1 { format!(" in {objects} objects") } else { String::new() };
            let ended = if excerpt.is_some() { ": the excerpt ended" } else { " ended" };
            let (seconds, requests) = (progress.elapsed().as_secs_f64(), store.requests());
            tracing::info!("{object}{ended}: {bytes} bytes{more}, {seconds:.1} s; requests: {requests}");
            Exit::Done
        }
        // Whoever reads our output has had enough: that is an end, not a failure.
        Err(ReadError::Sink(SinkError::Closed)) => Exit::Done,
        Err(error) => {
            tracing::error!("{error}");
            Exit::Failed
        }
    }
}

/// How far behind live, as far as the store's answers tell without its clock.
fn behind_live(progress: &Progress) -> String {
    let newest = progress.silence().as_secs_f64();
    match (progress.at_edge.load(Relaxed), progress.held()) {
        (true, 0) => format!("live; the newest came {newest:.0} s ago"),
        (true, held) => format!("{} behind live; the newest came {newest:.0} s ago", show_bytes(held)),
        (false, held) => format!("catching up, {} queued", show_bytes(held)),
    }
}

/// What a line of `--stats` tells.
fn facts(progress: &Progress) -> Value {
    json!({
        "bytes_read": progress.bytes_in.load(Relaxed),
        "bytes_written": progress.bytes_out.load(Relaxed),
        "at_live_edge": progress.at_edge.load(Relaxed),
        "bytes_behind": progress.held(),
        "newest_came": stats::round(progress.silence()),
    })
}

/// What to look for.
fn wanted(args: &ReaderArgs) -> Wanted {
    Wanted {
        key: args.key.clone(),
        upload_id: args.upload_id.clone(),
        wait: !args.no_wait,
        poll_interval: args.poll_interval.unwrap_or(POLL_INTERVAL),
        timeout: args.timeout,
        retry: Retry { give_up_after: args.common.retry_timeout },
    }
}

/// Tells what is in the recording.
async fn probe(store: &Store, wanted: &Wanted, json: bool) -> Exit {
    let report = match copy::in_time(store, wanted, Box::pin(probe::examine(store, wanted))).await {
        Ok(report) => report,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let text = if json { format!("{:#}\n", report.json) } else { report.text };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            tracing::error!("cannot write to standard output: {error}");
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// What there is to go on after in the file of `--resume`; says so where there is nothing.
fn begins_with(path: &Path, bytes: Option<u64>) -> Option<Held> {
    match bytes {
        None => tracing::info!("{} did not exist; reading from the first byte", path.display()),
        Some(0) => tracing::info!("{} is empty; reading from the first byte", path.display()),
        Some(bytes) => return Some(Held { path: path.to_owned(), bytes }),
    }
    None
}
