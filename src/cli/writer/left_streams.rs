//! What killed writers have left of many streams, each of one object or of several.

use futures_util::{StreamExt, stream};
use tracing::Instrument;

use crate::cli::writer::copy_job::CopyJob;
use crate::cli::writer::encoders::{NotTakenUp, Taken, TakenUp, spool, take_up};
use crate::cli::writer::left_renditions::{self, Before};
use crate::cli::writer::place::Place;
use crate::ingest::journals::{Journals, LeftOf};
use crate::ingest::notes::Notes;
use crate::ingest::title::Title;
use crate::ingest::{Behind, GoesOn};
use crate::keys::template::Names;
use crate::message::fields;
use crate::mux::split::SOURCE;

/// So many recordings are taken up at a time.
const AT_ONCE: usize = 8;

/// What a killed writer had taken of a recording, and the objects that it goes on with.
pub(crate) enum TakenOf {
    /// Of one object.
    One(Box<Taken>),
    /// Of several.
    Several(Box<Before>),
}

/// What killed writers have left, and their recordings as far as they can be gone on with. `job_of` names the copy of a
/// rendition.
pub(crate) async fn left(
    journals: &Journals,
    at: &Place,
    job_of: impl Fn(&Title, &str) -> Result<CopyJob, String>,
) -> Vec<(GoesOn, TakenOf)> {
    let left = journals.left().unwrap_or_else(|error| {
        tracing::warn!("cannot look for what killed writers have left in {}: {error}", journals.dir().display());
        Vec::new()
    });
    let job_of = &job_of;
    let one = |(title, left): (Title, LeftOf)| {
        let span = fields::stream(&title.permit.stream);
        let taken_up = async move {
            let (behind, over, taken) = match left {
                LeftOf::One(left) => {
                    let job = job_of(&title, SOURCE);
                    let job = job.map_err(|why| tracing::error!("{why}: what a killed writer left stays")).ok()?;
                    match take_up(left, &job, at, &spool(&job)).await {
                        Ok(TakenUp { taken, state, over, journal }) => {
                            let journal = Some(Notes::One(journal));
                            (Behind { journal, state: Some(state), begun: true }, over, TakenOf::One(Box::new(taken)))
                        }
                        Err(NotTakenUp::Gone(left)) => {
                            let object = at.store.object(left.key());
                            tracing::warn!("a writer of {object} was killed, and its upload is over by now");
                            left.remove();
                            return None;
                        }
                        Err(NotTakenUp::Failed(why)) => return failed(&why),
                    }
                }
                LeftOf::Several(left) => {
                    match left_renditions::take_up(*left, |rendition| job_of(&title, rendition), at).await {
                        Ok((before, behind)) => (behind, before.over, TakenOf::Several(Box::new(before))),
                        Err(NotTakenUp::Gone(rest)) => {
                            rest.remove();
                            return None;
                        }
                        Err(NotTakenUp::Failed(why)) => return failed(&why),
                    }
                }
            };
            Some((GoesOn { title, behind, over }, taken))
        };
        taken_up.instrument(span)
    };
    stream::iter(left).map(one).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

fn failed<T>(why: &str) -> Option<T> {
    tracing::error!("{why}. The next writer tries again");
    None
}

/// The names of a recording's objects of this rendition.
pub(crate) fn names<'a>(title: &'a Title, rendition: &'a str) -> Names<'a> {
    Names { rendition, ..title.names() }
}
