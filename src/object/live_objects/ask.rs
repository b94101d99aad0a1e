//! The few questions that a reader of live objects asks beside reading them: the pointer, the head, pages, and KEY.
//!
//! Without the right to list, AWS answers 403 for what is missing. So a refusal counts as an answer here, and whoever asks
//! decides what it means.

use std::time::Duration;

use crate::object::stretch::{Door, Target};
use crate::protocol::live_objects::{DocumentError, Head, MAX_DOCUMENT, Names, Page, Pointer, RecordingId};
use crate::store::retry::Retry;
use crate::store::{self, Fetched, Kind, Patient, Piece, StoreError};

/// What lies under a name.
#[derive(Debug)]
pub(crate) enum Seen<T> {
    /// This; and how old it is by the store's own clock, where that tells.
    There(T, Option<Duration>),
    /// 404.
    Missing,
    /// 403, which may mean the same.
    Hidden(StoreError),
}

impl<T> Seen<T> {
    /// What is there.
    pub(crate) fn there(self) -> Option<T> {
        match self {
            Self::There(found, _) => Some(found),
            Self::Missing | Self::Hidden(_) => None,
        }
    }
}

/// Which recording of the key was started last.
///
/// # Errors
/// [`StoreError`] for anything but the document, 404 and 403.
pub(crate) async fn pointer(store: &Patient, names: &Names) -> Result<Seen<Pointer>, StoreError> {
    document(store, &names.pointer(), Pointer::parse).await
}

/// How a recording goes.
///
/// # Errors
/// As for [`pointer`].
pub(crate) async fn head(store: &Patient, names: &Names, id: &RecordingId) -> Result<Seen<Head>, StoreError> {
    let seen = document(store, &names.head(id), Head::parse).await?;
    match seen {
        Seen::There(head, _) if head.recording != *id => {
            let cause = format!("it tells of the recording {}, and lies where {id} has its own", head.recording);
            Err(StoreError::local(READING, store.object(&names.head(id)), Kind::Refused, cause))
        }
        seen => Ok(seen),
    }
}

/// An index page.
///
/// # Errors
/// As for [`pointer`].
pub(crate) async fn page(
    store: &Patient,
    names: &Names,
    id: &RecordingId,
    number: u32,
) -> Result<Option<Page>, StoreError> {
    Ok(document(store, &names.page(id, number), Page::parse).await?.there())
}

const READING: &str = "reading what is known of the recording";

async fn document<T>(
    store: &Patient,
    key: &str,
    parse: fn(&[u8]) -> Result<T, DocumentError>,
) -> Result<Seen<T>, StoreError> {
    let once = || async {
        let small = match store.once().get_small(key, MAX_DOCUMENT).await {
            Ok(Some(small)) => small,
            Ok(None) => return Ok(Seen::Missing),
            Err(error) if error.may_not_list() => return Ok(Seen::Hidden(error)),
            Err(error) => return Err(error),
        };
        let age = age(small.date, small.modified);
        parse(&small.bytes).map(|document| Seen::There(document, age)).map_err(|error| {
            // Some stores show an object before it is whole.
            let kind = if matches!(error, DocumentError::Malformed(_)) { Kind::Passing } else { Kind::Refused };
            StoreError::local(READING, store.object(key), kind, error.to_string())
        })
    };
    store.retry().run(|_| once()).await
}

/// How old something is by the store's clock.
fn age(now: Option<i64>, modified: Option<i64>) -> Option<Duration> {
    now.zip(modified).map(|(now, at)| Duration::from_secs(now.saturating_sub(at).max(0).unsigned_abs()))
}

/// What stands under the key itself.
///
/// # Errors
/// [`StoreError`] for anything but an object, 404 and 403.
pub(crate) async fn key(store: &Patient, key: &str) -> Result<Seen<store::Head>, StoreError> {
    let once = || async {
        match store.once().dated_head(key).await {
            Ok((Some(head), now)) => {
                let age = age(now, head.modified);
                Ok(Seen::There(head, age))
            }
            Ok((None, _)) => Ok(Seen::Missing),
            Err(error) if error.may_not_list() => Ok(Seen::Hidden(error)),
            Err(error) => Err(error),
        }
    };
    store.retry().run(|_| once()).await
}

/// The store, to which live objects that cannot be seen are missing.
#[derive(Debug, Clone)]
pub(crate) struct Objects(pub(crate) Patient);

impl Door for Objects {
    async fn fetch(&self, target: &Target, piece: Piece) -> Result<Fetched, StoreError> {
        match Door::fetch(&self.0, target, piece).await {
            Err(error) if error.may_not_list() => Ok(Fetched::Absent),
            other => other,
        }
    }

    fn object(&self, key: &str) -> String {
        self.0.object(key)
    }

    fn retry(&self) -> Retry {
        self.0.retry()
    }

    fn stall(&self) -> Duration {
        self.0.patience().body
    }
}
