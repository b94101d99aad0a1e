//! One stream from an encoder into several objects: KEY has `{rendition}`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tracing::Instrument;

use crate::cli::writer::copies::Copies;
use crate::cli::writer::encoders::{NotTakenUp, Stream, keeps};
use crate::cli::writer::left_renditions::{self, Before};
use crate::cli::writer::place::Place;
use crate::cli::writer::renditions::{self, ladders};
use crate::cli::writer::renditions_job::RenditionsJob;
use crate::cli::writer::signals::Stops;
use crate::ingest::notes::Notes;
use crate::ingest::taking_up_several::Beginning;
use crate::ingest::{self, Behind};
use crate::message::fields;
use crate::mux::split::SOURCE;
use crate::store::Connection;
use crate::tool::exit::Exit;
use crate::tool::progress::Progress;
use crate::tool::stats::StatsFile;
use crate::writer::source::{Source, feed};

/// Does the job; `all` tells whether input is being taken.
pub async fn record(
    job: RenditionsJob,
    connection: &Connection,
    usual_bucket: Option<&str>,
    stops: Stops,
    all: &Arc<Progress>,
) -> Exit {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!("{error}; nothing has been uploaded");
        Exit::Failed
    };
    let Stops { stop, at_once } = stops;
    let opened = async {
        let ladders = ladders(job.ladder.as_ref())?;
        let sample = job.copy_of(SOURCE, connection, usual_bucket).map_err(|why| failed(&why))?;
        let place = Place::find(connection).await?.of_several(sample.concurrency);
        let stats = job.stats.as_deref().map(StatsFile::create).transpose().map_err(|error| failed(&error))?;
        let (before, behind) = before(&job, connection, usual_bucket, &place).await?;
        let (source, farewell) = if before.over {
            // Nobody feeds it.
            (Source::Feed(feed(1).1), None)
        } else {
            let opened = ingest::open(&job.listen, stop, behind).await.map_err(|error| failed(&error))?;
            (opened.0, Some(opened.1))
        };
        Ok::<_, Exit>((place, stats, (source, farewell), ladders.filter(|_| !before.over), before))
    };
    let (place, stats, (source, farewell), ladders, mut before) = match opened.await {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let Source::Feed(feed) = source else { return Exit::Failed };
    let (connection, usual_bucket) = (connection.clone(), usual_bucket.map(str::to_owned));
    all.taking.store(true, Relaxed);
    let behind = std::mem::take(&mut before.ladder);
    let ladder = ladders.and_then(|ladders| ladders.begin(None, at_once.clone(), behind));
    let ends = at_once.clone();
    let shared = Arc::new((job, Copies { connection, usual_bucket, place, stats, at_once }));
    let copy = |rendition: String, stream: Stream| {
        let (shared, progress) = (shared.clone(), Arc::<Progress>::default());
        let span = fields::rendition(None, &rendition);
        let copied = async move {
            let (job, copies) = &*shared;
            match copies.job(&stream, |connection, bucket| job.copy_of(&rendition, connection, bucket)) {
                Ok(job) => copies.make(&job, stream, &rendition, &progress).await,
                Err(exit) => exit,
            }
        };
        Box::pin(copied.instrument(span))
    };
    let exit = Box::pin(renditions::record(feed, ladder, before, (copy, ends))).await;
    if let Some(farewell) = farewell {
        farewell.said().await;
    }
    all.taking.store(false, Relaxed);
    exit
}

/// What the stream goes on behind.
async fn before(
    job: &RenditionsJob,
    connection: &Connection,
    usual_bucket: Option<&str>,
    place: &Place,
) -> Result<(Before, Behind), Exit> {
    let failed = |why: String| {
        tracing::error!("{why}");
        Exit::Failed
    };
    let job_of = |rendition: &str| job.copy_of(rendition, connection, usual_bucket);
    let sample = job_of(SOURCE).map_err(failed)?;
    let beginning =
        if keeps(&sample) { left_renditions::look(&sample, job.template(), place) } else { Beginning::Fresh(None) };
    let journal = match beginning {
        Beginning::Fresh(journal) => journal,
        Beginning::Left(left) => match left_renditions::take_up(*left, job_of, place).await {
            Ok(taken_up) => return Ok(taken_up),
            Err(NotTakenUp::Gone(rest)) => rest.give_up().ok(),
            Err(NotTakenUp::Failed(why)) => return Err(failed(why)),
        },
    };
    let behind = Behind { journal: journal.clone().map(Notes::Several), ..Behind::default() };
    Ok((Before::new(journal), behind))
}
