//! Copies the input into the store, and says how it went.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::cli::tell;
use crate::cli::writer::copy_job::{CopyJob, Live};
use crate::cli::writer::encoders::{self, Stream};
use crate::cli::writer::figures;
use crate::cli::writer::place::Place;
use crate::cli::writer::replaced::warn_of_older;
use crate::cli::writer::signals::Stops;
use crate::hls::{self, Ending, Hls};
use crate::ingest::journal::Journal;
use crate::message::fields;
use crate::message::logging::Console;
use crate::object::tap::Tap;
use crate::protocol::limits;
use crate::protocol::part::PartSize;
use crate::store::{Connection, Patient};
use crate::tool::exit::Exit;
use crate::tool::progress::{self, Progress};
use crate::tool::stats::Stats;
use crate::writer::input::{InputError, Where};
use crate::writer::kept_before::{KeptBefore, warn_of_kept};
use crate::writer::live_objects::{Chosen, Recorder, Wanted, is_backblaze, readers_can};
use crate::writer::plan::Plan;
use crate::writer::resume::with_live_objects;
use crate::writer::rollover::{self, Held, Rolling, Rollover};
use crate::writer::source::{Source, SourceError, StopSignal};
use crate::writer::spool_dir;
use crate::writer::upload;

/// What is open before the first byte is taken.
struct Ready {
    source: Source,
    /// The upload to go on with.
    held: Option<Held>,
    /// What the next writer goes on by if this one is killed.
    journal: Option<Journal>,
}

/// Does the job; `stops` are the requests to end it.
pub async fn copy(
    job: &CopyJob,
    connection: &Connection,
    console: &Console,
    stops: Stops,
    progress: &Arc<Progress>,
) -> Exit {
    let Stops { stop, at_once } = stops;
    let opened = async {
        let place = Place::find(connection).await?;
        let mut stream = match &job.listen {
            Some(settings) => encoders::open(job, settings, &place, stop).await?,
            None => Stream::behind(open(job, stop, progress).await?, None, None),
        };
        let farewell = stream.farewell.take();
        let ready = prepare(job, &place, stream).await?;
        let figures = figures(job, &place, progress)?;
        Ok::<_, Exit>((place, ready, figures, farewell))
    };
    let (place, ready, _figures, farewell) = match opened.await {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let status = progress::show(console.clone(), progress.clone(), job.quiet, figures::status_line);
    let exit = Box::pin(write(job, &place, ready, at_once, progress)).await;
    if let Some(farewell) = farewell {
        farewell.said().await;
    }
    if let Some(status) = status {
        status.abort();
    }
    exit
}

/// Copies what somebody else has opened.
pub(crate) async fn copy_from(
    stream: Stream,
    job: &CopyJob,
    place: &Place,
    at_once: StopSignal,
    progress: &Arc<Progress>,
) -> Exit {
    match prepare(job, place, stream).await {
        Ok(ready) => Box::pin(write(job, place, ready, at_once, progress)).await,
        Err(exit) => exit,
    }
}

/// Writes what is ready into the store.
async fn write(job: &CopyJob, place: &Place, mut ready: Ready, at_once: StopSignal, progress: &Arc<Progress>) -> Exit {
    let Place { store, endpoint, .. } = place;
    let (chosen, wanted) = place.live(job);
    let (plan, ending) = plan(job, chosen, wanted, place, &ready, at_once.clone());
    let ends_at_once = at_once.clone();
    say_what_is_live(&job.live, chosen, &plan);
    if chosen != Chosen::Either && chosen != Chosen::LiveRead {
        warn_of_small_parts(plan.part_size, endpoint.as_deref());
    }
    if let (Some(live), Some(held)) = (&plan.live, &mut ready.held) {
        ready.source = with_live_objects(live, &mut held.ongoing, ready.source).await;
    }
    if let Some(held) = ready.held.as_ref().filter(|_| ready.is_stream()) {
        warn_of_kept(&plan.spool.dir, &plan.key, held.ongoing.upload.id());
    }
    let older = ready.held.is_none().then(|| tokio::spawn(warn_of_older(store.once().clone(), plan.key.clone())));
    let exit = Box::pin(upload(job, store, &plan, &mut ready, progress)).await;
    if let Some(older) = older {
        older.abort();
    }
    // What was left open by a second signal is gone on with by whoever comes next.
    let left = exit != Exit::Done && *ends_at_once.borrow();
    if let Some(journal) = ready.journal.as_ref().filter(|_| !left) {
        journal.remove();
    }
    if let Some(ending) = ending {
        end(ending, plan.live.as_ref(), at_once).await;
    }
    exit
}

impl Ready {
    /// Whether nothing of the input can be had twice.
    fn is_stream(&self) -> bool {
        self.source.kept().is_none() && self.source.whole_file().is_none()
    }
}

/// Opens the input, and says what it is where that may not be clear; says why that cannot be.
pub(crate) async fn open(job: &CopyJob, stop: StopSignal, progress: &Progress) -> Result<Source, Exit> {
    let source = job.input.open(stop).await.map_err(|error| {
        if let InputError::Source(error @ SourceError::Unopened(_)) = &error {
            tracing::warn!("{error}; nothing has been uploaded");
            return Exit::Done;
        }
        tracing::error!("{error}; nothing has been uploaded");
        Exit::Failed
    })?;
    tell_of_input(job, &source, progress);
    Ok(source)
}

/// Says what the input is, where that may not be clear, and how long it is, where that is known.
fn tell_of_input(job: &CopyJob, source: &Source, progress: &Progress) {
    if let Some(said) =
        job.input.from.said(job.listen.is_some(), source.whole_file().is_some(), io::stdin().is_terminal())
    {
        tracing::info!("{said}");
    }
    if let (Where::File { follow: None, .. }, Some(size)) = (&job.input.from, source.whole_file().and_then(size_of)) {
        progress.total.store(size, Relaxed);
    }
}

/// Sets the input beside the upload that it is to go on with; says why that cannot be.
async fn prepare(job: &CopyJob, place: &Place, stream: Stream) -> Result<Ready, Exit> {
    let Stream { source, held, journal, farewell: _ } = stream;
    if held.is_some() {
        return Ok(Ready { source, held, journal });
    }
    let prefix = place.prefix(job);
    let held = job.input.take_up(&place.store, &job.key, job.part_size, prefix, &source).await.map_err(|error| {
        tracing::error!("{}", tell::not_taken_up(&error, job.input.kept.as_deref(), &job.words));
        Exit::Failed
    })?;
    Ok(Ready { source, held: held.map(|ongoing| Held { ongoing, number: 1, recording: None }), journal })
}

/// Writes figures until it is dropped; says why that cannot be.
fn figures(job: &CopyJob, place: &Place, progress: &Arc<Progress>) -> Result<Option<Stats>, Exit> {
    let start = |path: &Path| Stats::start(path, place.store.once(), progress, figures::facts);
    job.stats.as_deref().map(start).transpose().map_err(|error| {
        tracing::error!("{error}; nothing has been uploaded");
        Exit::Failed
    })
}

fn size_of(file: &File) -> Option<u64> {
    file.metadata().ok().map(|meta| meta.len())
}

/// What the writer goes by, and the end of the playlists that it starts.
fn plan(
    job: &CopyJob,
    chosen: Chosen,
    wanted: Option<Wanted>,
    place: &Place,
    ready: &Ready,
    at_once: StopSignal,
) -> (Plan, Option<Ending>) {
    let Ready { source, held, journal } = ready;
    let number = held.as_ref().map_or(1, |held| held.number);
    let held = held.as_ref().map(|held| held.ongoing.upload.part_size());
    let kept = source.kept().map(|kept| kept.label.part_size);
    let part_size = part_size(held, job.part_size, kept);
    let playlist = job.playlist.clone().map(|settings| hls::Settings { part_size: part_size.get(), ..settings });
    let (hls, ending) = playlist.map(|settings| Hls::start(place.store.once().clone(), settings)).unzip();
    let live = wanted.map(|wanted| Recorder::new(job.live.objects.settings(wanted)));
    let live = live.map(|live| match &hls {
        Some(hls) => {
            let listeners = std::iter::once(Arc::new(hls.clone()) as Arc<dyn Tap>).collect();
            live.played(listeners, hls.released())
        }
        None => live,
    });
    let live_tap = live.iter().map(|live| Arc::new(live.clone()) as Arc<dyn Tap>);
    // The playlist hears first what is found, and then of the live object that it is in.
    let hls_tap = hls.into_iter().map(|hls| Arc::new(hls) as Arc<dyn Tap>);
    let journal_tap = journal.iter().map(|journal| Arc::new(journal.listener(number)) as Arc<dyn Tap>);
    let plan = Plan {
        key: job.key.clone(),
        part_size,
        concurrency: job.concurrency,
        idle: place.idle.clone(),
        content_type: job.content_type.clone(),
        spool: spool_dir::settings(job.spool_dir.clone(), job.spool_limit, source),
        at_once,
        taps: hls_tap.chain(live_tap).chain(journal_tap).collect(),
        tail: job.tail,
        live_read: matches!(chosen, Chosen::LiveRead | Chosen::Either),
        live,
    };
    (plan, ending)
}

/// Says that most stores refuse small parts, which they do only when the upload is to be completed.
fn warn_of_small_parts(part_size: PartSize, endpoint: Option<&str>) {
    if let Some(warning) = limits::too_small_elsewhere(part_size)
        && !endpoint.is_some_and(is_backblaze)
    {
        tracing::warn!("{warning}");
    }
}

/// Says which way the input can be read live and what that costs, where that need not be found out.
fn say_what_is_live(live: &Live, chosen: Chosen, plan: &Plan) {
    match chosen {
        Chosen::LiveRead | Chosen::Either | Chosen::Nothing => {}
        Chosen::Objects => {
            let below = format!("{}/", live.objects.prefix.as_str());
            tracing::info!("{}", readers_can(&below, live.objects.when, plan.part_size));
        }
        Chosen::Refrained(why) => tracing::warn!(
            "there are no live objects on this store: {why}. Readers will see nothing before the upload is complete. --live off \
             is content with that"
        ),
    }
}

/// The part size of the upload that is `held`, which cannot change; else the one that was asked for; else the one of the
/// upload that the bytes were `kept` of.
fn part_size(held: Option<PartSize>, asked: Option<PartSize>, kept: Option<PartSize>) -> PartSize {
    held.or(asked).or(kept).unwrap_or(PartSize::DEFAULT)
}

/// Uploads all of the input, and says how that ended.
async fn upload(job: &CopyJob, store: &Patient, plan: &Plan, ready: &mut Ready, progress: &Arc<Progress>) -> Exit {
    let bill = || {
        let requests = store.requests();
        // With live objects a byte may be sent twice.
        let twice = plan.tail.is_some() || (plan.live.is_some() && requests.sent > progress.bytes_in.load(Relaxed));
        figures::bill(progress, &requests, twice)
    };
    let source = &mut ready.source;
    // An encoder may come back with other settings, which want another object.
    let (span, said) = if job.rollover.is_some() || source.is_fed() {
        let rollover = job.rollover.or(Some(Rollover::Auto));
        let rolling = Rolling { rollover, held: ready.held.take() };
        let result = rollover::write(store, plan, rolling, source, progress).await;
        let said = tell::recording(|key| store.object(key), &plan.key, &result, &bill(), &progress.open(), &job.words);
        (fields::recording(&plan.key, None), said)
    } else {
        let (held, before) = (ready.held.take().map(|held| held.ongoing), source.kept().map(KeptBefore::of));
        let result = Box::pin(upload::write(store, plan, held, source, progress)).await;
        if let Some(before) = before {
            before.clear_away(&result, job.input.resume.is_some());
        }
        let said = tell::upload(&store.object(&plan.key), &result, &bill(), &job.words);
        (fields::upload(&plan.key, progress.upload.get().map(String::as_str)), said)
    };
    span.in_scope(|| said.say());
    said.exit()
}

/// Waits for the last version of each playlist, and until players have heard of it and nothing lies there any more that
/// they needed, but not when all is to end at once.
async fn end(ending: Ending, live: Option<&Recorder>, mut at_once: StopSignal) {
    let all = async {
        ending.end().await;
        if let Some(live) = live {
            live.played_to_the_end().await;
        }
    };
    tokio::select! {
        () = all => {}
        Ok(_) = at_once.wait_for(|at_once| *at_once) => {
            if live.is_some_and(Recorder::is_played) {
                tracing::warn!("live objects stay, since players may still need them: the next writer of this key takes them away");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_is_gone_on_with_keeps_its_part_size() {
        let size = |mebibytes: u64| PartSize::new(mebibytes << 20).ok();
        let mebibytes = |held, asked, kept| part_size(held, asked, kept).get() >> 20;
        assert_eq!(mebibytes(size(6), size(7), size(8)), 6);
        assert_eq!(mebibytes(None, size(7), size(8)), 7);
        assert_eq!(mebibytes(None, None, size(8)), 8);
        assert_eq!(part_size(None, None, None), PartSize::DEFAULT);
    }
}
