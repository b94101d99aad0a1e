//! Finds and takes away what writers that were killed have left of earlier recordings of a key.
//!
//! A recording is over when its upload is: completed or aborted. Which recordings there are, a list tells where that is
//! allowed, and the pointer tells of the last. One whose upload is open can be gone on with, and is left alone; so is one
//! whose writer may still be at it.

use super::survey::{PATIENCE, behind_edge, recordings};
use super::sweep::{Left, Sweep};
use crate::protocol::live_objects::{Head, MAX_DOCUMENT, Names, RecordingId, State};
use crate::store::{Kind, Patient, Small, StoreError};

/// A head that is not older than this has a writer: three beats.
const ALIVE: i64 = 15;

/// A writer that has completed needs so long at most before it has taken all away, counted from its last head.
const TIDYING: i64 = 120;

/// Where it cannot be asked whether an upload is open, a head of this age has none.
const SURELY_OVER: i64 = 24 * 3600;

/// A recording that lies there.
#[derive(Debug)]
pub struct Found {
    /// Which.
    pub recording: RecordingId,
    /// What is the matter with it.
    pub stale: Stale,
}

/// What is the matter with a recording that is none of ours.
#[derive(Debug)]
pub enum Stale {
    /// It was taken away, or this is left of it.
    Swept(Left),
    /// Its upload is open, and can be gone on with.
    Open(String),
    /// Its writer may still be at it, or it could not be found out.
    LeftAlone,
}

/// Takes away what is over of the recordings of `key`, but for `mine`. `before`: where the pointer led before it led to mine.
///
/// # Errors
/// [`StoreError`] when it cannot even be seen what there is.
pub async fn clean(
    store: &Patient,
    names: &Names,
    key: &str,
    mine: Option<&RecordingId>,
    before: Option<RecordingId>,
) -> Result<Vec<Found>, StoreError> {
    clean_those(store, names, key, Whose::Over(mine), before).await
}

/// The same whether a writer may be at it or not: for `--abort`, once the uploads of the key are gone, or `only` this one of
/// them.
///
/// # Errors
/// As for [`clean`].
pub async fn clean_all(
    store: &Patient,
    names: &Names,
    key: &str,
    only: Option<&str>,
) -> Result<Vec<Found>, StoreError> {
    clean_those(store, names, key, Whose::Aborted(only), None).await
}

/// Which recordings are to go.
#[derive(Clone, Copy)]
enum Whose<'a> {
    /// Those that are seen to be over, but for this one.
    Over(Option<&'a RecordingId>),
    /// Those of uploads that were aborted: of this one, or of all.
    Aborted(Option<&'a str>),
}

async fn clean_those(
    store: &Patient,
    names: &Names,
    key: &str,
    whose: Whose<'_>,
    before: Option<RecordingId>,
) -> Result<Vec<Found>, StoreError> {
    let store = store.at_most(PATIENCE);
    let mut all = recordings(&store, names).await?;
    all.extend(before);
    if let Whose::Over(Some(mine)) = whose {
        all.remove(mine);
    }
    let mut found = Vec::new();
    for recording in all {
        let stale = clean_one(&store, names, key, &recording, whose).await;
        found.push(Found { recording, stale });
    }
    Ok(found)
}

async fn clean_one(store: &Patient, names: &Names, key: &str, recording: &RecordingId, whose: Whose<'_>) -> Stale {
    let small = match store.get_small(&names.head(recording), MAX_DOCUMENT).await {
        Ok(small) => small,
        Err(error) => {
            tracing::debug!("the head of the recording {recording} cannot be read: {error}");
            return Stale::LeftAlone;
        }
    };
    let head = small.as_ref().and_then(|small| Head::parse(&small.bytes).ok());
    if let Whose::Aborted(Some(only)) = whose
        && head.as_ref().is_none_or(|head| head.upload_id != only)
    {
        return Stale::LeftAlone;
    }
    if let (Some(small), Whose::Over(_)) = (&small, whose) {
        // One that cannot be understood may be a newer program's.
        let Some(head) = &head else { return Stale::LeftAlone };
        match is_over(store, key, head, small).await {
            Over::Yes => {}
            Over::No => return Stale::Open(head.upload_id.clone()),
            Over::Unclear => return Stale::LeftAlone,
        }
    }
    let versioned = small.as_ref().is_some_and(|small| small.version.is_some());
    let extra = match &head {
        Some(head) => behind(store, names, head).await,
        None => Vec::new(),
    };
    let left = Sweep::new(store, names.clone(), recording.clone()).run(head.as_ref(), &extra, versioned).await;
    left.warn();
    Stale::Swept(left)
}

/// Where something may lie that the head does not tell of: it is some seconds old when its writer dies.
async fn behind(store: &Patient, names: &Names, head: &Head) -> Vec<u64> {
    let found = behind_edge(store, names, head).await.unwrap_or_default();
    let end = found.last().map_or(head.edge(), |(offset, length)| offset + length);
    // The end mark lies behind the last.
    found.iter().map(|(offset, _)| *offset).chain([end]).collect()
}

enum Over {
    Yes,
    No,
    Unclear,
}

/// Whether a recording is over, and its writer gone.
async fn is_over(store: &Patient, key: &str, head: &Head, small: &Small) -> Over {
    // By the store's clock alone.
    let age = small.date.zip(small.modified).map(|(now, modified)| now.saturating_sub(modified));
    let older = |limit: i64| age.is_some_and(|age| age > limit);
    match store.parts(key, &head.upload_id).await {
        Ok(_) => Over::No,
        // Some stores call an upload that is gone a key that is not there.
        Err(error) if matches!(error.kind, Kind::NoUpload | Kind::NoKey) => {
            let limit = if head.state == State::Complete { TIDYING } else { ALIVE };
            if older(limit) { Over::Yes } else { Over::Unclear }
        }
        Err(_) if older(SURELY_OVER) => Over::Yes,
        Err(_) => Over::Unclear,
    }
}
