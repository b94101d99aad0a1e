//! Asks the store what is needed to tell whether an upload is over; [`crate::object::ending`] says what that is. One question
//! at a time, beside the looks, so that a store that does not answer it keeps no data back.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::object::ending::{Ask, Case, List, Look, Verdict};
use crate::object::prefetch::Target;
use crate::object::presence::Presence;
use crate::store::{Patient, StoreError};

/// Silence after which a list of the open uploads is worth its price.
const LONG_SILENCE: Duration = Duration::from_secs(30);

/// The same for an upload that has not shown a byte: it may have been left behind at its very start.
const EMPTY_SILENCE: Duration = Duration::from_secs(5);

/// All answers to a question, and what they mean.
pub(crate) type Told = Result<(Case, Verdict), StoreError>;

/// See the module.
pub(crate) struct Inquiry {
    /// The question that has not been answered.
    question: Option<Pin<Box<dyn Future<Output = Told> + Send>>>,
    /// When the newest was asked.
    asked: Instant,
    /// When open uploads were last listed.
    listed: Instant,
    /// Whether a list has been asked for a newer upload in place of one without a byte.
    looked_for_newer: bool,
    /// Whether these credentials may list.
    may_list: bool,
}

impl Inquiry {
    /// Nothing was asked yet.
    pub(crate) fn new(may_list: bool) -> Self {
        let now = Instant::now();
        Self { question: None, asked: now, listed: now, looked_for_newer: false, may_list }
    }

    /// Whether a question has not been answered.
    pub(crate) fn is_under_way(&self) -> bool {
        self.question.is_some()
    }

    /// When the newest question was asked.
    pub(crate) fn asked(&self) -> Instant {
        self.asked
    }

    /// Whether these credentials may list, as far as that is known.
    pub(crate) fn may_list(&self) -> bool {
        self.may_list
    }

    /// Whether an upload that has been silent for so long is worth a list, which then counts as made. While it is `free` to give
    /// way to a newer one, the first is due early.
    pub(crate) fn lists_in_silence(&mut self, silence: Duration, usual_gap: Option<Duration>, free: bool) -> bool {
        let long = usual_gap.map_or(LONG_SILENCE, |gap| LONG_SILENCE.max(gap * 3));
        let long = if free && !self.looked_for_newer { EMPTY_SILENCE } else { long };
        let due = silence >= long && self.listed.elapsed() >= long;
        self.looked_for_newer |= due;
        self.note_list(due)
    }

    /// Whether an upload that is answered 404 is worth a list, which then counts as made.
    pub(crate) fn lists_in_absence(&mut self, presence: &Presence) -> bool {
        let due = !presence.is_unreadable() || presence.confirmed || self.listed.elapsed() >= LONG_SILENCE;
        self.note_list(due)
    }

    fn note_list(&mut self, due: bool) -> bool {
        if due {
            self.listed = Instant::now();
        }
        due
    }

    /// Begins to ask about a case.
    pub(crate) fn begin(&mut self, store: &Patient, target: &Target, case: Case) {
        self.asked = Instant::now();
        self.question = Some(Box::pin(ask(store.clone(), target.clone(), case)));
    }

    /// Waits for the answer, if there is a question; for ever else.
    pub(crate) async fn answer(&mut self) -> Told {
        let Some(question) = &mut self.question else { return pending().await };
        let told = question.await;
        self.question = None;
        if let Ok((case, _)) = &told {
            self.may_list &= case.pinned.is_none() || case.list != Some(List::Unknown);
        }
        told
    }
}

/// Sends the requests that the case asks for, until its answers mean something.
async fn ask(store: Patient, target: Target, mut case: Case) -> Told {
    let key = &target.key;
    loop {
        match case.verdict() {
            Verdict::Ask(Ask::Head) => {
                case.head = Some(store.head(key, case.pinned.as_deref()).await?);
            }
            Verdict::Ask(Ask::Current) => case.current = Some(store.head(key, None).await?),
            Verdict::Ask(Ask::List) => {
                case.list = Some(match store.open_uploads(key).await {
                    Ok(uploads) => List::Open(uploads),
                    Err(error) if error.may_not_list() => List::Unknown,
                    Err(error) => return Err(error),
                });
            }
            verdict @ Verdict::Growing(_) if case.look == Look::Absent => {
                let found = match &mut case.finder {
                    Some(finder) => finder.look(&store).await?,
                    None => None,
                };
                return Ok((case, found.map_or(verdict, Verdict::Recording)));
            }
            verdict => return Ok((case, verdict)),
        }
    }
}
