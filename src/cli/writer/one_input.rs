//! Standard input, or a file as it grows, into an object as it is, and beside it a ladder that is made of it.
//!
//! The copy of the source is that of an input without a ladder: it reads for itself, and the ladder listens. What befalls that,
//! and what the input is made of, is nothing to it.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument;

use crate::cli::writer::copies::Copies;
use crate::cli::writer::copy::open;
use crate::cli::writer::encoders::Stream;
use crate::cli::writer::figures;
use crate::cli::writer::ladder_job::LadderJob;
use crate::cli::writer::place::Place;
use crate::cli::writer::renditions::ladders;
use crate::cli::writer::signals::Stops;
use crate::ingest::ladder::supervise::Behind;
use crate::message::fields;
use crate::message::logging::Console;
use crate::mux::split::SOURCE;
use crate::store::Connection;
use crate::tool::exit::Exit;
use crate::tool::progress::{self, Progress};
use crate::tool::stats::StatsFile;
use crate::writer::source::Source;

/// Does the job; `progress` is that of the source.
pub async fn record(
    job: LadderJob,
    connection: &Connection,
    usual_bucket: Option<&str>,
    console: &Console,
    stops: Stops,
    progress: &Arc<Progress>,
) -> Exit {
    let Stops { stop, at_once } = stops;
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!("{error}; nothing has been uploaded");
        Exit::Failed
    };
    let opened = async {
        let ladders = ladders(Some(&job.ladder))?;
        let source = job.copy_of(SOURCE, connection, usual_bucket).map_err(|error| failed(&error))?;
        let place = Place::find(connection).await?.of_several(source.concurrency);
        let stats = job.stats.as_deref().map(StatsFile::create).transpose().map_err(|error| failed(&error))?;
        let input = open(&source, stop, progress).await?;
        Ok::<_, Exit>((place, stats, input, ladders, source.quiet))
    };
    let (place, stats, input, ladders, quiet) = match opened.await {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let mut ladder = ladders.and_then(|ladders| ladders.begin(None, at_once.clone(), Behind::default()));
    let input = match &ladder {
        Some(ladder) => {
            let mut listener = ladder.listener();
            input.heard_by(Box::new(move |bytes| listener.hear(bytes)))
        }
        None => input,
    };
    let (connection, usual_bucket) = (connection.clone(), usual_bucket.map(str::to_owned));
    let shared = Arc::new((job, Copies { connection, usual_bucket, place, stats, at_once }));
    let shown = progress::show(console.clone(), progress.clone(), quiet, figures::status_line);
    let mut copies = JoinSet::new();
    copies.spawn(Box::pin(copy(SOURCE.to_owned(), input, progress.clone(), shared.clone())));
    let mut exit = Exit::Done;
    loop {
        tokio::select! {
            begun = async { ladder.as_mut()?.begun().await }, if ladder.is_some() => match begun {
                Some((name, source, _)) => drop(copies.spawn(Box::pin(copy(name, source, Arc::default(), shared.clone())))),
                None => ladder = None,
            },
            // A panic has been told of.
            Some(ended) = copies.join_next() => exit = if matches!(ended, Ok(Exit::Done)) { exit } else { Exit::Failed },
            else => break,
        }
    }
    if let Some(shown) = shown {
        shown.abort();
    }
    exit
}

/// Copies one rendition.
async fn copy(rendition: String, source: Source, progress: Arc<Progress>, shared: Arc<(LadderJob, Copies)>) -> Exit {
    let span = fields::rendition(None, &rendition);
    let copied = async move {
        let (job, copies) = &*shared;
        let stream = Stream::behind(source, None, None);
        match copies.job(&stream, |connection, bucket| job.copy_of(&rendition, connection, bucket)) {
            Ok(job) => copies.make(&job, stream, &rendition, &progress).await,
            Err(exit) => exit,
        }
    };
    copied.instrument(span).await
}
