//! What a killed writer has left of one stream in several objects: gone on with in all of them that can be, together.

use std::collections::BTreeMap;

use crate::cli::writer::copy_job::CopyJob;
use crate::cli::writer::encoders::{NotTakenUp, Stream, Taken, beside, endpoint, part_size, spool, unread};
use crate::cli::writer::place::Place;
use crate::ingest::Behind;
use crate::ingest::journal::{Journal, place};
use crate::ingest::ladder::supervise::{self as ladder, GoesOn};
use crate::ingest::notes::Notes;
use crate::ingest::several::Several;
use crate::ingest::taking_up::Left;
use crate::ingest::taking_up_several::{self as taking_up, Apart, Beginning, LeftSeveral, Rest};
use crate::mux::split::Split;
use crate::writer::source::{Feeder, Source, feed};
use crate::writer::spool::SpoolSettings;

/// The most bytes between what is split and the part buffers of a copy.
pub(super) const QUEUE: usize = 16 << 20;

/// What a stream goes on behind.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Whoever splits it.
    pub(super) split: Split,
    /// By what the splitter calls renditions: what goes on, and none of those that do not.
    pub(super) feeders: BTreeMap<String, Option<Feeder>>,
    /// What goes on, by the names of renditions.
    pub(super) streams: Vec<(String, Stream)>,
    /// What the ladder goes on behind.
    pub(super) ladder: ladder::Behind,
    /// Where it is noted.
    pub(super) journal: Option<Several>,
    /// Nothing more comes of it.
    pub(super) over: bool,
}

impl Before {
    /// Of a stream that begins.
    pub(super) fn new(journal: Option<Several>) -> Self {
        let ladder = ladder::Behind { journals: journal.clone(), ..ladder::Behind::default() };
        Self { ladder, journal, ..Self::default() }
    }
}

/// What is in the journal of the stream of this copy, which is called `template`.
pub(super) fn look(job: &CopyJob, template: &str, at: &Place) -> Beginning {
    let dir = place(&spool(job).dir, &endpoint(at), at.store.bucket(), template);
    taking_up::look(&dir, part_size(job)).unwrap_or_else(|error| {
        let dir = dir.display();
        tracing::warn!(
            "cannot write to {dir} ({error}): if this writer is killed, the next one cannot go on with this recording"
        );
        Beginning::Fresh(None)
    })
}

/// A rendition that was left, and that can be gone on with.
struct Found {
    name: String,
    left: Left,
    taken: Taken,
    spool: SpoolSettings,
}

/// Sets all that was left beside its uploads. Where one of them cannot be looked at, nothing is
/// changed; where none can be gone on with, all of it is gone.
pub(super) async fn take_up(
    left: LeftSeveral,
    job_of: impl Fn(&str) -> Result<CopyJob, String>,
    at: &Place,
) -> Result<(Before, Behind), NotTakenUp<Box<Rest>>> {
    let Apart { renditions, rungs, behind, rest } = left.apart();
    let taking_up::Behind { state, split, header, over } = behind;
    let (mut sent, mut made) = (BTreeMap::new(), Vec::new());
    for (id, left) in renditions {
        let found = match left {
            Some(left) => look_at(&id, left, &job_of, at).await?,
            None => None,
        };
        sent.insert(id, found);
    }
    for (id, (left, rung)) in rungs {
        made.push((look_at(&id, left, &job_of, at).await?, rung, id));
    }
    if sent.values().chain(made.iter().map(|(found, ..)| found)).all(Option::is_none) {
        return Err(NotTakenUp::Gone(Box::new(rest)));
    }
    // Where nothing of what is sent goes on, nothing is to be made of it either.
    let over = over || !split.names().any(|name| sent.get(name).is_some_and(Option::is_some));
    let mut before = Before { split, over, ..Before::default() };
    let mut journals = BTreeMap::new();
    for (id, found) in sent {
        let (feeder, journal) = before.go_on(found, at).map_err(NotTakenUp::Failed)?;
        journals.extend(journal.map(|journal| (id.clone(), journal)));
        before.feeders.insert(id, feeder);
    }
    for (found, made, id) in made {
        let (feeder, journal) = before.go_on(found, at).map_err(NotTakenUp::Failed)?;
        before.ladder.rungs.push((id, GoesOn { made, feeder, journal }));
    }
    let journal = rest.go_on(&before.split, journals);
    before.ladder.header = Some(header);
    before.ladder.journals = Some(journal.clone());
    before.journal = Some(journal.clone());
    Ok((before, Behind { journal: Some(Notes::Several(journal)), state: Some(state), begun: true }))
}

impl Before {
    /// Goes on with one of them.
    fn go_on(&mut self, found: Option<Found>, at: &Place) -> Result<(Option<Feeder>, Option<Journal>), String> {
        let Some(Found { name, left, taken, spool }) = found else { return Ok((None, None)) };
        taken.say(at);
        let journal = left.go_on().map_err(|error| unread(&spool, &error))?;
        journal.called(&name);
        let (feeder, feed) = feed(QUEUE);
        let stream = Stream::behind(Source::Feed(feed), Some(taken), Some(journal.clone()));
        self.streams.push((name, stream));
        Ok((Some(feeder), Some(journal)))
    }
}

/// Sets one of them beside its upload; none where it cannot be gone on with, which is told.
async fn look_at(
    id: &str,
    left: Left,
    job_of: impl Fn(&str) -> Result<CopyJob, String>,
    at: &Place,
) -> Result<Option<Found>, NotTakenUp<Box<Rest>>> {
    let name = left.called().unwrap_or(id).to_owned();
    if !left.has_upload() && !left.is_whole() {
        tracing::warn!(
            "a writer was killed when it had just begun another object of {name}, which is not gone on with"
        );
        return Ok(None);
    }
    let job = job_of(&name).map_err(NotTakenUp::Failed)?;
    let spool = spool(&job);
    match beside(&left, &job, at, &spool).await {
        Ok(taken) => Ok(Some(Found { name, left, taken, spool })),
        Err(NotTakenUp::Gone(())) => {
            let object = at.store.object(left.key());
            tracing::warn!("a writer of {object} was killed, and its upload is over by now: it is not gone on with");
            Ok(None)
        }
        Err(NotTakenUp::Failed(why)) => Err(NotTakenUp::Failed(why)),
    }
}
