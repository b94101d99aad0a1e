//! `writer`: copies standard input, or a file as it grows, into an S3 object that can be read while it is written.

#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use live_read::cli::going_on::LeftOpen;
use live_read::cli::run;
use live_read::cli::tell;
use live_read::cli::writer::{WriterArgs, content_type_of};
use live_read::hls::rebuild;
use live_read::hls::rendition::Membership;
use live_read::hls::{self, Hls};
use live_read::human::shell::shell_word;
use live_read::human::sizes::show_bytes;
use live_read::message::logging::Console;
use live_read::message::stderr::{PATIENCE, outlet};
use live_read::protocol::part::PartSize;
use live_read::store::retry::Retry;
use live_read::store::{Connection, Store};
use live_read::tool::exit::Exit;
use live_read::tool::progress::{self, Progress};
use live_read::tool::shutdown::{self, EndSignals};
use live_read::tool::stats::{self, Stats};
use live_read::writer::abort;
use live_read::writer::check::{self, Verdict};
use live_read::writer::kept::{self, Kept, KeptFile};
use live_read::writer::resume::{self, Held, Input, ResumeError, Wanted};
use live_read::writer::rollover::{self, RollError, Rolled};
use live_read::writer::setup_cors;
use live_read::writer::source::{Source, SourceError, StopSignal};
use live_read::writer::spool::SpoolSettings;
use live_read::writer::spool_dir::{self, Medium, SpoolDir};
use live_read::writer::tail::TailSettings;
use live_read::writer::upload::{self, Ended, Plan, WriteError};
use serde_json::{Value, json};

fn main() -> ExitCode {
    run::run::<WriterArgs, _>("writer", run)
}

/// How long the end waits until throw-away uploads are aborted ...
const TRIALS_PATIENCE: Duration = Duration::from_secs(10);

/// ... and when somebody is impatient.
const TRIALS_HURRY: Duration = Duration::from_secs(2);

/// Runs the tool until it is done or a second signal ends it, and leaves no throw-away upload behind.
async fn run(args: WriterArgs, connection: Connection, console: &Console, mut signals: EndSignals) -> Exit {
    let progress = Arc::new(Progress::default());
    let exit = until_a_signal(args, connection, console, &mut signals, &progress).await;
    let patience = if matches!(exit, Exit::Signal(_)) { TRIALS_HURRY } else { TRIALS_PATIENCE };
    progress.trials.finish(patience).await;
    exit
}

async fn until_a_signal(
    args: WriterArgs,
    connection: Connection,
    console: &Console,
    signals: &mut EndSignals,
    progress: &Arc<Progress>,
) -> Exit {
    let (stop, stopped) = shutdown::stop_switch();
    let (end_at_once, at_once) = shutdown::stop_switch();
    // After a panic in any task, what was taken and not stored is kept as after a second signal.
    live_read::tool::crash::see_to_it({
        let (progress, end_at_once) = (progress.clone(), end_at_once.clone());
        move || {
            end_at_once.send_replace(true);
            progress.taking.load(Relaxed)
        }
    });
    let changes_nothing_yet = !args.setup_cors.is_empty() || args.check || args.abort || args.hls_rebuild;
    let words = Words::of(&args, &connection);
    let work = work(args, connection, console, Stops { stop: stopped, at_once }, progress.clone(), &words);
    tokio::pin!(work);
    let first = tokio::select! {
        exit = &mut work => return exit,
        signal = signals.next() => signal,
    };
    if changes_nothing_yet {
        return Exit::Signal(first);
    }
    tracing::info!(
        "{}: no longer waiting for input; uploading what there is. Once more ends at once",
        shutdown::name(first)
    );
    stop.send_replace(true);
    let second = async {
        loop {
            let signal = signals.next().await;
            if shutdown::is_impatient(signal) {
                break signal;
            }
        }
    };
    tokio::select! {
        exit = &mut work => exit,
        signal = second => {
            let name = shutdown::name(signal);
            if !progress.taking.load(Relaxed) {
                let how = progress.upload.get().map_or_else(String::new, |id| words.how_to_go_on(id));
                tracing::error!("{name} again: ended at once, before the upload was complete. {how}");
                return Exit::Signal(signal);
            }
            tracing::info!("{name} again: ending at once");
            end_at_once.send_replace(true);
            let third = async {
                while !shutdown::is_impatient(signals.next().await) {}
            };
            tokio::select! {
                exit = &mut work => if exit == Exit::Done { exit } else { Exit::Signal(signal) },
                () = third => {
                    tracing::error!("ended before what was taken and not stored could be kept: it is lost");
                    Exit::Signal(signal)
                }
            }
        }
    }
}

/// The requests of a person to end.
#[derive(Debug, Clone)]
struct Stops {
    /// To take no more input.
    stop: StopSignal,
    /// To end at once.
    at_once: StopSignal,
}

/// What messages need of the command line.
#[derive(Debug)]
struct Words {
    key: String,
    file: PathBuf,
    options: String,
}

impl Words {
    fn of(args: &WriterArgs, connection: &Connection) -> Self {
        let mut options = String::new();
        // What the environment tells need not be typed.
        if std::env::var("BUCKET_NAME").ok().as_ref() != Some(&connection.bucket) {
            options = format!(" --bucket {}", shell_word(&connection.bucket));
        }
        if let Some(url) = &connection.endpoint_url {
            options = format!("{options} --endpoint-url {}", shell_word(url));
        }
        Self { key: args.key.clone().unwrap_or_default(), file: args.file.clone(), options }
    }

    fn left_open<'a>(&'a self, upload_id: &'a str) -> LeftOpen<'a> {
        let Self { key, file, options } = self;
        LeftOpen { key, upload_id, file, options, kept: None, input: None, gone: false }
    }

    fn how_to_go_on(&self, upload_id: &str) -> String {
        self.left_open(upload_id).how_to_go_on()
    }
}

async fn work(
    args: WriterArgs,
    mut connection: Connection,
    console: &Console,
    stops: Stops,
    progress: Arc<Progress>,
    words: &Words,
) -> Exit {
    if args.check {
        // It is to say what is wrong now.
        connection.retry.give_up_after = Duration::ZERO;
    }
    let (store, resolved) = match Store::connect(&connection).await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    if args.check {
        let mut report = |line: check::Line| match line.verdict {
            Verdict::Good => tracing::info!("{line}"),
            Verdict::Note => tracing::warn!("{line}"),
            Verdict::Bad => tracing::error!("{line}"),
        };
        let good = check::check(&store, &resolved, args.key.as_deref(), &progress.trials, &mut report).await;
        return if good { Exit::Done } else { Exit::Failed };
    }
    if !args.setup_cors.is_empty() {
        return set_cors(&store, &args.setup_cors, args.yes, retry(&args)).await;
    }
    if args.abort {
        let key = args.key.as_deref().unwrap_or_default();
        return cancel(&store, key, args.upload_id.as_deref(), args.yes, retry(&args)).await;
    }
    let asked = args.part_size.unwrap_or(PartSize::DEFAULT);
    if let Some(settings) = playlist(&args, asked).filter(|_| args.hls_rebuild) {
        return rebuild(&store, args.key.as_deref().unwrap_or_default(), &settings, retry(&args)).await;
    }
    if let Some(Err(error)) = args.rollover.map(|rollover| rollover.check(asked)) {
        tracing::error!("{error}");
        return Exit::Usage;
    }
    Box::pin(copy(args, &store, console, stops, &progress, words)).await
}

/// Copies the input into the store, and says how it went.
async fn copy(
    args: WriterArgs,
    store: &Store,
    console: &Console,
    stops: Stops,
    progress: &Arc<Progress>,
    words: &Words,
) -> Exit {
    let kept = match args.kept.as_deref().map(KeptFile::open).transpose() {
        Ok(kept) => kept,
        Err(error) => {
            tracing::error!("{error}; nothing has been uploaded");
            return Exit::Failed;
        }
    };
    let (old, old_part_size) = (kept.as_ref().map(OldFile::of), kept.as_ref().map(|kept| kept.label.part_size));
    let stop = stops.stop;
    let source = if kept.is_some() && io::stdin().is_terminal() {
        Source::nothing(stop)
    } else if args.file == Path::new("-") {
        Source::stdin(stop)
    } else {
        Source::file(&args.file, (!args.no_follow).then_some(args.poll_interval), stop).await
    };
    let source = source.map(|source| match kept {
        Some(kept) => source.behind(kept, !args.resume),
        None => source,
    });
    let mut source = match source {
        Ok(source) => source,
        Err(error @ SourceError::Unopened(_)) => {
            tracing::warn!("{error}; nothing has been uploaded");
            return Exit::Done;
        }
        Err(error) => {
            tracing::error!("{error}; nothing has been uploaded");
            return Exit::Failed;
        }
    };
    let held = match take_up(&args, store, &source).await {
        Ok(held) => held,
        Err(error) => {
            let cause = error.to_string();
            let retrieve = how_to_retrieve(&error, args.kept.as_deref(), words);
            tracing::error!("{}. Nothing has been changed{retrieve}", cause.trim_end_matches('.'));
            return Exit::Failed;
        }
    };
    let figures = args.common.stats.as_deref().map(|path| Stats::start(path, store, progress, facts));
    let _figures = match figures.transpose() {
        Ok(figures) => figures,
        Err(error) => {
            tracing::error!("{error}; nothing has been uploaded");
            return Exit::Failed;
        }
    };
    let retry = retry(&args);
    let part_size =
        held.as_ref().map(|held| held.part_size).or(args.part_size).or(old_part_size).unwrap_or(PartSize::DEFAULT);
    let (hls, ending) = playlist(&args, part_size).map(|settings| Hls::start(store.clone(), settings)).unzip();
    let max_amplification = args.max_amplification;
    let tail = args.max_latency.map(|max_latency| TailSettings { max_latency, max_amplification });
    let key = args.key.unwrap_or_default();
    let plan = Plan {
        content_type: args.content_type.or_else(|| content_type_of(&key).map(str::to_owned)),
        key,
        part_size,
        concurrency: usize::from(args.concurrency),
        retry,
        spool: spool_settings(args.spool_dir.clone(), args.spool_limit, &source),
        at_once: stops.at_once.clone(),
        hls,
        tail,
    };
    if let Some(held) = held.as_ref().filter(|_| source.kept().is_none() && source.whole_file().is_none()) {
        warn_of_kept(&plan, &held.upload_id);
    }
    let status = progress::show(console.clone(), progress.clone(), args.common.quiet, status_line);
    let exit = if let Some(rollover) = args.rollover {
        let result = rollover::write(store, &plan, rollover, &mut source, progress).await;
        tell_rolled(store, &plan, result, &bill(store, &plan, progress), progress, words)
    } else {
        let result = Box::pin(upload::write(store, &plan, held, &mut source, progress)).await;
        if let Some(old) = old {
            old.clear_away(&result, args.resume);
        }
        let bill = bill(store, &plan, progress);
        tell(&store.object(&plan.key), result, &bill, words)
    };
    if let Some(ending) = ending {
        let mut at_once = stops.at_once;
        tokio::select! {
            () = ending.end() => {}
            Ok(_) = at_once.wait_for(|at_once| *at_once) => {}
        }
    }
    if let Some(status) = status {
        status.abort();
    }
    exit
}

/// What to do with kept bytes whose upload is gone, as the end of a message.
fn how_to_retrieve(error: &ResumeError, kept: Option<&Path>, words: &Words) -> String {
    match (error, kept) {
        (ResumeError::NotOpen { .. } | ResumeError::NotOfIt { .. }, Some(kept)) => format!(
            ". `writer ANOTHER-KEY --kept {}{} </dev/null` makes an object of the bytes that were kept",
            shell_word(&kept.to_string_lossy()),
            words.options
        ),
        _ => String::new(),
    }
}

/// Where input may wait and is kept; warns where that is memory.
fn spool_settings(given: Option<PathBuf>, limit: u64, source: &Source) -> SpoolSettings {
    let SpoolDir { path: dir, medium, own: make_dir } = spool_dir::choose(given);
    if medium == Medium::Memory && limit > 0 && source.cannot_wait() {
        tracing::warn!(
            "{} is in memory, and input waits there while the store is away: choose a directory on disk with --spool-dir, or \
             a lower --spool-limit (now {})",
            dir.display(),
            show_bytes(limit)
        );
    }
    SpoolSettings { dir, make_dir, limit }
}

/// Says when a stream goes on without what was taken before it.
fn warn_of_kept(plan: &Plan, upload_id: &str) {
    let Some(path) = kept::existing(&plan.spool.dir, &plan.key, upload_id) else { return };
    tracing::warn!(
        "{} holds what an earlier run took and could not store; this one goes on without it, behind what the store holds. With \
         --kept {} it would come first",
        path.display(),
        shell_word(&path.to_string_lossy())
    );
}

/// A kept file that was the beginning of the input.
#[derive(Debug)]
struct OldFile {
    path: PathBuf,
    whole: bool,
}

impl OldFile {
    fn of(kept: &KeptFile) -> Self {
        Self { path: kept.path.clone(), whole: kept.is_whole() }
    }

    /// Removes it once all of it is in the object, or in the file that was kept this time.
    fn clear_away(self, result: &Result<Ended, WriteError>, resumed: bool) {
        let path = self.path.display();
        let done = match result {
            Ok(ended) => matches!(ended, Ended::Completed { .. }),
            Err(error) => matches!(error.kept, Some(Kept::In(_))),
        };
        if !done {
            return tracing::info!("{path} is as it was");
        }
        if !resumed && !self.whole {
            return tracing::warn!(
                "{path} holds only the bytes of an object that had not been stored, and the object made of them has no others: \
                 it is left where it is; remove it when it is needed no more"
            );
        }
        match std::fs::remove_file(&self.path) {
            Ok(()) => tracing::info!("{path} is needed no more and has been removed"),
            Err(error) => tracing::warn!("{path} is needed no more, but cannot be removed: {error}"),
        }
    }
}

/// The time and the requests that it took, and how often each byte was uploaded, where that is more than once.
fn bill(store: &Store, plan: &Plan, progress: &Progress) -> String {
    let bill = format!("{:.1} s; requests: {}", progress.elapsed().as_secs_f64(), store.requests());
    let (sent, taken) = (progress.bytes_sent.load(Relaxed), progress.bytes_in.load(Relaxed));
    if plan.tail.is_none() || taken == 0 {
        return bill;
    }
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let times = sent as f64 / taken as f64;
    format!("{bill}; uploaded {}, {times:.1} times as much as came in", show_bytes(sent))
}

/// What a line of `--stats` tells.
fn facts(progress: &Progress) -> Value {
    json!({
        "bytes_taken": progress.bytes_in.load(Relaxed),
        "bytes_stored": progress.bytes_out.load(Relaxed),
        "bytes_uploaded": progress.bytes_sent.load(Relaxed),
        "parts_stored": progress.parts.load(Relaxed),
        "bytes_on_disk": progress.spooled.load(Relaxed),
        "newest_came": stats::round(progress.silence()),
    })
}

/// `--hls-rebuild`: writes the playlist of what is there.
async fn rebuild(store: &Store, key: &str, settings: &hls::Settings, retry: Retry) -> Exit {
    match rebuild::rebuild(store, key, settings, retry).await {
        Ok(rebuild::Rebuilt { segments, seconds, ended, requests }) => {
            let state = if ended { "" } else { "; the upload is open, so that it does not end there" };
            tracing::info!(
                "{} is written: {segments} segments, {seconds} s{state} ({requests} requests)",
                store.object(&settings.key)
            );
            Exit::Done
        }
        Err(error) => {
            let error = error.to_string();
            tracing::error!("{}. No playlist has been written", error.trim_end_matches('.'));
            Exit::Failed
        }
    }
}

/// What playlist is to be written, if any.
fn playlist(args: &WriterArgs, part_size: PartSize) -> Option<hls::Settings> {
    let key = args.key.as_deref().unwrap_or_default();
    args.playlist_key().map(|playlist| hls::Settings {
        key: playlist,
        time: args.hls_time,
        window: args.hls_window,
        part_size: part_size.get(),
        // Where sending early is limited, it may come as late as whole parts do.
        max_latency: args.max_latency.filter(|_| args.max_amplification.is_none()),
        membership: args
            .hls_master
            .clone()
            .zip(args.hls_name.clone())
            .map(|(master, name)| Membership { master, name }),
        remedy: format!("`writer {} --hls-rebuild`", shell_word(key)),
    })
}

fn retry(args: &WriterArgs) -> Retry {
    Retry { give_up_after: args.common.retry_timeout }
}

/// With `--resume`, the upload to go on with; none where none is open.
async fn take_up(args: &WriterArgs, store: &Store, source: &Source) -> Result<Option<Held>, ResumeError> {
    if !args.resume {
        return Ok(None);
    }
    let key = args.key.as_deref().unwrap_or_default();
    let (mut upload_id, mut part_size) = (args.upload_id.as_deref(), args.part_size);
    let input = match (source.kept(), source.whole_file()) {
        (Some(kept), _) => {
            kept.goes_with(key, upload_id).map_err(|why| ResumeError::NotOfIt {
                path: kept.path.clone(),
                object: store.object(key),
                id: upload_id.unwrap_or(&kept.label.upload_id).to_owned(),
                why,
            })?;
            (upload_id, part_size) = (Some(kept.label.upload_id.as_str()), part_size.or(Some(kept.label.part_size)));
            Input::Kept(kept)
        }
        (None, Some(file)) => Input::File(file, &args.file),
        (None, None) => Input::Stream,
    };
    let wanted = Wanted { key, upload_id, part_size, retry: retry(args) };
    let held = resume::take_up(store, &wanted, PartSize::DEFAULT, input).await?;
    if held.is_none() {
        tracing::warn!("no upload of {} is open: starting a new one", store.object(key));
    }
    Ok(held)
}

/// What the status line says beside the rate.
fn status_line(progress: &Progress, rate: &str) -> String {
    let parts = progress.parts.load(Relaxed);
    let spooled = match progress.spooled.load(Relaxed) {
        0 => String::new(),
        bytes => format!(", {} of it on disk", show_bytes(bytes)),
    };
    format!("{rate}, {parts} parts stored, {} not yet stored{spooled}", show_bytes(progress.held()))
}

/// Says how an upload ended.
fn tell(object: &str, result: Result<Ended, WriteError>, bill: &str, words: &Words) -> Exit {
    match result {
        Ok(Ended::Completed { bytes, parts }) => {
            let plural = if parts == 1 { "part" } else { "parts" };
            tracing::info!("{object} is complete: {bytes} bytes in {parts} {plural}, {bill}");
            Exit::Done
        }
        Ok(Ended::Empty) => {
            tracing::warn!("there was no input at all, and an S3 upload cannot be empty: {object} was not made");
            Exit::Done
        }
        Err(error) => {
            tracing::error!("{}", tell::failed(object, &error, words.left_open("")));
            Exit::Failed
        }
    }
}

/// Says how an input ended that may have gone into several objects.
fn tell_rolled(
    store: &Store,
    plan: &Plan,
    result: Result<Rolled, RollError>,
    bill: &str,
    progress: &Progress,
    words: &Words,
) -> Exit {
    match result {
        Ok(Rolled { objects }) => {
            let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
            match (objects.len(), objects.first(), objects.last()) {
                (0, ..) => tracing::warn!(
                    "there was no input at all, and an S3 upload cannot be empty: {} was not made",
                    store.object(&plan.key)
                ),
                (1, ..) => tracing::info!("all is in one object; {bill}"),
                (count, Some(first), Some(last)) => tracing::info!(
                    "all is in {count} objects, {} to {}: {bytes} bytes, {bill}",
                    store.object(&first.key),
                    last.key
                ),
                _ => {}
            }
            Exit::Done
        }
        Err(error) => {
            tracing::error!("{}", tell::rolled(&error, &progress.open(), words.left_open("")));
            Exit::Failed
        }
    }
}

/// `--abort`: shows what is open, asks, and cancels it.
async fn cancel(store: &Store, key: &str, upload_id: Option<&str>, yes: bool, retry: Retry) -> Exit {
    let object = store.object(key);
    let uploads = match abort::candidates(store, key, upload_id, retry).await {
        Ok(uploads) => uploads,
        Err(error) => {
            tracing::error!("{error} Nothing has been cancelled");
            return Exit::Failed;
        }
    };
    if uploads.is_empty() {
        let which = upload_id.map_or_else(String::new, |id| format!(" {id}"));
        tracing::info!("{object} has no open upload{which}: nothing to cancel");
        return Exit::Done;
    }
    for upload in &uploads {
        tracing::info!("open upload of {object}: {upload}");
    }
    let what = if uploads.len() == 1 { "this upload".to_owned() } else { format!("these {} uploads", uploads.len()) };
    let question = format!("Cancel {what}? What is stored of it is lost.");
    if let Some(exit) = refused(yes, &question, "nothing has been cancelled").await {
        return exit;
    }
    if abort::cancel(store, key, &uploads, retry).await { Exit::Done } else { Exit::Failed }
}

/// `--setup-cors`: shows the rules as they will be, asks, and sets them.
async fn set_cors(store: &Store, origins: &[String], yes: bool, retry: Retry) -> Exit {
    let bucket = store.bucket();
    let there = match retry.run(|_| store.cors()).await {
        Ok(there) => there,
        Err(error) => {
            tracing::error!("{error} Nothing has been changed");
            return Exit::Failed;
        }
    };
    let Some(wanted) = setup_cors::wanted(&there, origins) else {
        tracing::info!("the CORS rules of s3://{bucket} are so already: nothing to set");
        return Exit::Done;
    };
    for rule in there.iter().filter(|rule| !wanted.contains(rule)) {
        tracing::info!("no longer in s3://{bucket}: {}", setup_cors::show(rule));
    }
    for rule in &wanted {
        let word = if there.contains(rule) { "as before" } else { "new" };
        tracing::info!("{word} in s3://{bucket}: {}", setup_cors::show(rule));
    }
    if let Some(exit) = refused(yes, "Set these CORS rules?", "nothing has been changed").await {
        return exit;
    }
    match retry.run(|_| store.set_cors(&wanted)).await {
        Ok(()) => {
            tracing::info!(
                "the CORS rules of s3://{bucket} are set; browsers may keep the earlier ones in mind for an hour"
            );
            Exit::Done
        }
        Err(error) => {
            tracing::error!("{error}");
            Exit::Failed
        }
    }
}

/// Asks unless `yes`: how to end if the answer is no, or nobody can be asked.
async fn refused(yes: bool, question: &str, untouched: &str) -> Option<Exit> {
    if yes {
        return None;
    }
    if !io::stdin().is_terminal() {
        tracing::error!("nobody can be asked, because standard input is not a terminal: {untouched}; give --yes");
        return Some(Exit::Usage);
    }
    if asked(question).await {
        return None;
    }
    tracing::warn!("{untouched}");
    Some(Exit::Failed)
}

/// Asks on the terminal; anything but yes is no.
async fn asked(question: &str) -> bool {
    // What the question is about is said before it.
    outlet().settle(PATIENCE);
    eprint!("{question} [y/N] ");
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = line.await.ok().and_then(Result::ok).unwrap_or_default();
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
