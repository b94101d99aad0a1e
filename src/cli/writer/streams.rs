//! Many streams at once: a copy for each recording that begins. What befalls one of them is nothing to the others.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::admin::register::{Recording, Register};
use crate::admin::{self, Admin};
use crate::cli::writer::copies::Copies;
use crate::cli::writer::encoders::{self, Stream};
use crate::cli::writer::left_renditions::Before;
use crate::cli::writer::left_streams::{self, TakenOf, names};
use crate::cli::writer::place::Place;
use crate::cli::writer::renditions::{self, ladders};
use crate::cli::writer::signals::Stops;
use crate::cli::writer::streams_job::StreamsJob;
use crate::ingest::figures::Figures;
use crate::ingest::ladder::supervise::{self as ladder, Ladders};
use crate::ingest::notes::Notes;
use crate::ingest::notices::Herald;
use crate::ingest::title::Title;
use crate::ingest::{self, Begun, Opening};
use crate::keys::book::Book;
use crate::message::fields;
use crate::mux::split::SOURCE;
use crate::store::Connection;
use crate::tool::crash;
use crate::tool::exit::Exit;
use crate::tool::progress::Progress;
use crate::tool::stats::{self, StatsFile};
use crate::writer::source::Source;

/// What recordings share.
struct Shared {
    job: StreamsJob,
    copies: Copies,
    register: Arc<Register>,
    ladders: Option<Ladders>,
    /// What a killed writer had taken, by the names of recordings.
    taken: Mutex<HashMap<String, TakenOf>>,
}

/// What is told of a recording, and what counted.
struct Told {
    herald: Herald,
    /// Of what encoders send: none of what is made here.
    figures: Option<Arc<Figures>>,
}

/// Does the job, until it is to end and all recordings are complete; `all` tells whether input is being taken.
pub async fn record(
    job: StreamsJob,
    connection: &Connection,
    usual_bucket: Option<&str>,
    stops: Stops,
    all: &Arc<Progress>,
) -> Exit {
    // A mistake in what is made of one stream is not to end the others.
    crash::go_on();
    let Stops { stop, at_once } = stops;
    let prepared = async {
        let ladders = ladders(job.ladder.as_ref())?;
        let place = Place::find(connection).await?;
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!("{error}");
            Exit::Failed
        };
        let kept = job.keys.as_deref().map(Book::at).transpose().map_err(|error| failed(&error))?;
        let book = kept.unwrap_or_else(Book::of_others);
        if book.is_kept() && book.open().await.map_err(|error| failed(&error))? == 0 {
            let keys = book.place();
            tracing::warn!("there is no stream key in {keys} yet: writer --keys {keys} --add-key NAME makes one");
        }
        let usage = |error: String| {
            tracing::error!("{error}");
            Exit::Usage
        };
        let (admin, hook) = (job.admin.admin().map_err(usage)?, job.admin.hook().map_err(usage)?);
        let stats = job.stats.as_deref().map(StatsFile::create).transpose().map_err(|error| failed(&error))?;
        let sample = job.sample(connection, usual_bucket).map_err(usage)?;
        let place = place.of_several(sample.concurrency);
        let journals = encoders::journals(&sample, &place, &job.family());
        let left = match &journals {
            Some(journals) => {
                let job_of = |title: &Title, rendition: &str| {
                    job.copy_of(&names(title, rendition), title.object(), connection, usual_bucket)
                };
                left_streams::left(journals, &place, job_of).await
            }
            None => Vec::new(),
        };
        let (go_on, taken): (Vec<_>, HashMap<_, _>) = left
            .into_iter()
            .map(|(left, taken)| (left.title.session.clone(), left, taken))
            .map(|(session, left, taken)| (left, (session, taken)))
            .unzip();
        let opening = Opening { most: job.most, journals, go_on };
        let streams = ingest::open_many(&job.listen, (book.clone(), hook), opening, stop).await;
        let streams = streams.map_err(|error| failed(&error))?;
        let register = Arc::<Register>::default();
        if let Some((address, gate)) = admin {
            let listener = admin::bind(address).await.map_err(|error| failed(&error))?;
            let (sessions, register) = (streams.sessions.clone(), register.clone());
            // It answers as long as there is anything to be asked about.
            tokio::spawn(Admin { gate, book, sessions, register }.run(listener));
        }
        Ok::<_, Exit>((place, stats, streams, register, ladders, taken))
    };
    let (place, stats, mut streams, register, ladders, taken) = match prepared.await {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    let (connection, usual_bucket) = (connection.clone(), usual_bucket.map(str::to_owned));
    let copies = Copies { connection, usual_bucket, place, stats, at_once };
    let sessions = streams.sessions.clone();
    let shared = Arc::new(Shared { job, copies, register, ladders, taken: taken.into() });
    let mut copies = JoinSet::new();
    loop {
        all.taking.store(!copies.is_empty(), Relaxed);
        let ended = tokio::select! {
            next = streams.begun.recv() => match next {
                Some(begun) => {
                    let span = fields::stream(&begun.title.permit.stream);
                    copies.spawn(Box::pin(one(begun, shared.clone())).instrument(span));
                    continue;
                }
                None => match copies.join_next().await {
                    Some(ended) => ended,
                    None => break,
                },
            },
            Some(ended) = copies.join_next() => ended,
        };
        // A panic has been told of.
        shared.register.ended(matches!(ended, Ok(Exit::Done)));
    }
    sessions.are_told().await;
    let (complete, failed) = shared.register.counts();
    let count = |count: u64| format!("{count} recording{}", if count == 1 { "" } else { "s" });
    if failed > 0 {
        tracing::error!(
            event = "gave_up",
            "{} of this run could not be completed, as told above; {} could",
            count(failed),
            count(complete)
        );
        return Exit::Failed;
    }
    tracing::info!(event = "done", "all is stored: {} of this run", count(complete));
    Exit::Done
}

/// Writes one recording, into an object for each of its pictures where that is asked for.
async fn one(begun: Begun, shared: Arc<Shared>) -> Exit {
    let Begun { source, title, journal, place: _place, herald, figures } = begun;
    say_no_ladder(&title, &shared);
    let taken = shared.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&title.session);
    let source = match source {
        Source::Feed(feed) if shared.job.has_renditions(title.object()) => {
            let mut before = match taken {
                Some(TakenOf::Several(before)) => *before,
                _ => Before::new(journal.and_then(Notes::several)),
            };
            let copy = |rendition: String, stream: Stream| {
                let (title, shared) = (title.clone(), shared.clone());
                let told = Told { herald: herald.clone(), figures: (rendition == SOURCE).then(|| figures.clone()) };
                let span = if rendition == SOURCE {
                    tracing::Span::current()
                } else {
                    fields::rendition(Some(&title.permit.stream), &rendition)
                };
                let copied = async move { object(stream, (title, told), &rendition, &shared).await };
                Box::pin(copied.instrument(span))
            };
            let restarts = figures.ladder_restarts.clone();
            let behind = ladder::Behind { restarts, ..std::mem::take(&mut before.ladder) };
            let own = title.permit.terms.ladder.as_ref();
            let ladders = shared.ladders.as_ref().filter(|_| !before.over);
            let ladder = ladders.and_then(|ladders| ladders.begin(own, shared.copies.at_once.clone(), behind));
            return renditions::record(feed, ladder, before, (copy, shared.copies.at_once.clone())).await;
        }
        source => source,
    };
    let taken = match taken {
        Some(TakenOf::One(taken)) => Some(*taken),
        _ => None,
    };
    let told = Told { herald, figures: Some(figures) };
    object(Stream::behind(source, taken, journal.and_then(Notes::one)), (title, told), SOURCE, &shared).await
}

/// Says where a stream is to have a ladder, and nothing here makes one.
fn say_no_ladder(title: &Title, shared: &Shared) {
    let Some(ladder) = title.permit.terms.ladder.as_ref().filter(|ladder| !ladder.is_empty()) else { return };
    if shared.ladders.is_none() {
        tracing::warn!(
            "this stream is to have a ladder, {ladder}, and there is only its source: this writer runs without --ladder (`--ladder none` \
             makes those that streams have of their own)"
        );
    } else if !shared.job.has_renditions(title.object()) {
        tracing::warn!(
            "this stream is to have a ladder, {ladder}, and there is only its source: the template of its objects has no {{rendition}}"
        );
    }
}

/// Writes one object of a recording, or those that follow on it.
async fn object(stream: Stream, (title, told): (Title, Told), rendition: &str, shared: &Shared) -> Exit {
    let Shared { job, copies, register, .. } = shared;
    let names = names(&title, rendition);
    let resolved = copies.job(&stream, |connection, bucket| job.copy_of(&names, title.object(), connection, bucket));
    let job = match resolved {
        Ok(job) => job,
        Err(exit) => return exit,
    };
    let Title { permit, session, start, .. } = title;
    // Whoever ends a recording names all of it.
    let (name, session) = if rendition == SOURCE {
        (permit.stream, session)
    } else {
        (format!("{}/{rendition}", permit.stream), format!("{session}/{rendition}"))
    };
    let progress = Arc::<Progress>::default();
    let recording = Recording {
        stream: name.clone(),
        object: job.key.clone(),
        started: start,
        progress: progress.clone(),
        figures: told.figures,
    };
    let _entry = register.enter(&session, recording);
    let exit = copies.make(&job, stream, &name, &progress).await;
    let bytes = progress.bytes_out.load(Relaxed);
    let event = match exit {
        // Of nothing there is no object.
        Exit::Done if bytes == 0 => return exit,
        Exit::Done => "complete",
        _ => "failed",
    };
    let seconds = stats::round(progress.elapsed());
    told.herald.say(event, json!({ "object": job.key, "rendition": rendition, "bytes": bytes, "seconds": seconds }));
    exit
}
