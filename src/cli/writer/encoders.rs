//! Streams from encoders: begun, or gone on with in the object that a writer was killed in.

use std::path::PathBuf;

use crate::cli::tell;
use crate::cli::writer::copy_job::CopyJob;
use crate::cli::writer::place::Place;
use crate::ingest::journal::{Journal, place};
use crate::ingest::journals::Journals;
use crate::ingest::notes::Notes;
use crate::ingest::taking_up::{self, Beginning, Left};
use crate::ingest::{self, Behind, Farewell, IngestError};
use crate::mux::State;
use crate::protocol::part::PartSize;
use crate::tool::exit::Exit;
use crate::writer::kept::KeptFile;
use crate::writer::resume::{self, Input, ResumeError, Sought};
use crate::writer::rollover::Held;
use crate::writer::source::{Source, StopSignal, feed};
use crate::writer::spool::SpoolSettings;
use crate::writer::spool_dir::{self, SpoolDir};

/// A stream that can be taken.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) source: Source,
    /// The object that it goes on with.
    pub(crate) held: Option<Held>,
    /// What another writer goes on by if this one is killed.
    pub(crate) journal: Option<Journal>,
    /// Of its encoders, where the program ends with it.
    pub(crate) farewell: Option<Farewell>,
}

/// What a killed writer had taken of a recording, and the object that it goes on with.
#[derive(Debug)]
pub(crate) struct Taken {
    kept: KeptFile,
    /// None where no upload had begun: then all of the object is kept.
    held: Option<Held>,
}

/// What is left of a recording, ready to be gone on with.
pub(super) struct TakenUp {
    pub(super) taken: Taken,
    pub(super) state: State,
    /// Nothing more comes of it.
    pub(super) over: bool,
    pub(super) journal: Journal,
}

/// Why a recording is not gone on with.
pub(super) enum NotTakenUp<T> {
    /// Its upload is over by now.
    Gone(T),
    /// In words.
    Failed(String),
}

impl Taken {
    /// Says what is gone on with.
    pub(super) fn say(&self, at: &Place) {
        let object = at.store.object(&self.kept.label.key);
        if self.held.is_some() {
            tracing::warn!(
                event = "taken_up",
                "a writer of {object} was killed: going on behind the {} bytes that it had taken",
                self.kept.taken
            );
        } else {
            tracing::warn!(
                event = "taken_up",
                "a writer was killed before it had begun an upload: going on behind the {} bytes that it had taken",
                self.kept.taken
            );
        }
    }
}

impl Stream {
    /// Of an encoder, behind what was taken before.
    pub(crate) fn behind(source: Source, taken: Option<Taken>, journal: Option<Journal>) -> Self {
        let (source, held) = match taken {
            Some(Taken { kept, held }) => (source.behind(kept, held.is_none()), held),
            None => (source, None),
        };
        Self { source, held, journal, farewell: None }
    }
}

/// Listens, and looks before whether a writer of this object was killed.
pub(super) async fn open(
    job: &CopyJob,
    settings: &ingest::Settings,
    at: &Place,
    stop: StopSignal,
) -> Result<Stream, Exit> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!("{error}");
        Exit::Failed
    };
    let deaf = |error: IngestError| failed(&format!("{error}; nothing has been uploaded"));
    let spool = spool(job);
    let beginning = if keeps(job) { look(job, at, &spool) } else { Beginning::Fresh(None) };
    let journal = match beginning {
        Beginning::Fresh(journal) => journal,
        Beginning::Left(left) => match take_up(left, job, at, &spool).await {
            Ok(TakenUp { taken, state, over, journal }) => {
                let (source, farewell) = if over {
                    // Nobody feeds it.
                    (Source::Feed(feed(1).1), None)
                } else {
                    let journal = Some(Notes::One(journal.clone()));
                    let behind = Behind { journal, state: Some(state), begun: true };
                    let (source, farewell) = ingest::open(settings, stop, behind).await.map_err(deaf)?;
                    (source, Some(farewell))
                };
                return Ok(Stream { farewell, ..Stream::behind(source, Some(taken), Some(journal)) });
            }
            Err(NotTakenUp::Gone(left)) => {
                let object = at.store.object(left.key());
                tracing::warn!("a writer of {object} was killed, and its upload is over by now: beginning anew");
                left.give_up(part_size(job)).ok()
            }
            Err(NotTakenUp::Failed(why)) => return Err(failed(&why)),
        },
    };
    let behind = Behind { journal: journal.clone().map(Notes::One), state: None, begun: job.input.resume.is_some() };
    let (source, farewell) = ingest::open(settings, stop, behind).await.map_err(deaf)?;
    Ok(Stream { source, held: None, journal, farewell: Some(farewell) })
}

/// The journals of many streams whose copies are like `job`, where there are to be any: those of everybody who records them
/// into the same place by the same `template`.
pub(crate) fn journals(job: &CopyJob, at: &Place, template: &str) -> Option<Journals> {
    let dir = place(&spool(job).dir, &endpoint(at), at.store.bucket(), template);
    keeps(job).then(|| Journals::at(dir, part_size(job)))
}

/// Where objects end by themselves, places in them are not those in the stream; and whoever wants nothing on disk gets nothing.
pub(super) fn keeps(job: &CopyJob) -> bool {
    job.spool_limit > 0 && job.rollover.is_none()
}

pub(super) fn spool(job: &CopyJob) -> SpoolSettings {
    let SpoolDir { path: dir, own: make_dir, .. } = spool_dir::choose(job.spool_dir.clone());
    SpoolSettings { dir, make_dir, limit: job.spool_limit }
}

pub(super) fn part_size(job: &CopyJob) -> PartSize {
    job.part_size.unwrap_or(PartSize::DEFAULT)
}

pub(super) fn endpoint(at: &Place) -> String {
    at.endpoint.clone().unwrap_or_default()
}

/// What is in the journal of this object.
fn look(job: &CopyJob, at: &Place, spool: &SpoolSettings) -> Beginning {
    let dir: PathBuf = place(&spool.dir, &endpoint(at), at.store.bucket(), &job.key);
    taking_up::look(&dir, part_size(job), job.input.resume.is_some()).unwrap_or_else(|error| {
        let dir = dir.display();
        tracing::warn!(
            "cannot write to {dir} ({error}): if this writer is killed, the next one cannot go on in the middle of a fragment"
        );
        Beginning::Fresh(None)
    })
}

/// Sets what a killed writer has left beside its upload, and goes on with it.
pub(super) async fn take_up(
    left: Box<Left>,
    job: &CopyJob,
    at: &Place,
    spool: &SpoolSettings,
) -> Result<TakenUp, NotTakenUp<Box<Left>>> {
    let taken = match beside(&left, job, at, spool).await {
        Ok(taken) => taken,
        Err(NotTakenUp::Gone(())) => return Err(NotTakenUp::Gone(left)),
        Err(NotTakenUp::Failed(why)) => return Err(NotTakenUp::Failed(why)),
    };
    taken.say(at);
    let (state, over) = (left.state(), left.is_over());
    let journal = left.go_on().map_err(|error| NotTakenUp::Failed(unread(spool, &error)))?;
    Ok(TakenUp { taken, state, over, journal })
}

/// Sets what a killed writer has left beside its upload; nothing is changed.
pub(super) async fn beside(
    left: &Left,
    job: &CopyJob,
    at: &Place,
    spool: &SpoolSettings,
) -> Result<Taken, NotTakenUp<()>> {
    let part_size = left.part_size();
    let kept = left.kept(at.store.bucket(), spool).map_err(|error| NotTakenUp::Failed(unread(spool, &error)))?;
    if !left.has_upload() {
        return Ok(Taken { kept, held: None });
    }
    let (key, upload_id) = (left.key(), Some(left.upload_id()));
    let wanted = Sought { key, upload_id, part_size: Some(part_size), live: at.prefix(job) };
    let ongoing = match resume::take_up(&at.store, &wanted, part_size, Input::Kept(&kept)).await {
        Ok(Some(ongoing)) => ongoing,
        Ok(None) | Err(ResumeError::NotOpen { .. }) => return Err(NotTakenUp::Gone(())),
        Err(error) => return Err(NotTakenUp::Failed(tell::not_taken_up(&error, None, &job.words))),
    };
    let held = Held { ongoing, number: left.number(), recording: None };
    Ok(Taken { kept, held: Some(held) })
}

/// Why what was left cannot be gone on with.
pub(super) fn unread(spool: &SpoolSettings, error: &std::io::Error) -> String {
    let dir = spool.dir.display();
    format!("cannot go on with what a killed writer has left in {dir}: {error}. Nothing has been changed")
}
