//! Asks the store what is needed to tell whether an upload is over; [`crate::object::ending`] says what that is.

use std::pin::Pin;

use crate::object::ending::{Ask, Case, List, Look, Verdict};
use crate::object::locate::may_not_list;
use crate::object::prefetch::Target;
use crate::store::{Patient, StoreError};

/// A question whether the upload is over: comes back with all answers, and what they mean.
pub(crate) type Question = Pin<Box<dyn Future<Output = Result<(Case, Verdict), StoreError>> + Send>>;

/// Begins to ask about a case.
pub(crate) fn begin(store: &Patient, target: &Target, case: Case) -> Question {
    Box::pin(ask(store.clone(), target.clone(), case))
}

/// Sends the requests that the case asks for, until its answers mean something.
async fn ask(store: Patient, target: Target, mut case: Case) -> Result<(Case, Verdict), StoreError> {
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
                    Err(error) if may_not_list(&error) => List::Unknown,
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
