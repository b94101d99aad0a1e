//! A page of what is in a bucket: what grows is told from what is only being uploaded, by a look at it.
//!
//! However many ask for the same page, the store is asked once, and its answer counts for a second.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http::StatusCode;

use crate::object::listing::{self, Entry, State};
use crate::serve::name::Names;
use crate::serve::once::Once;
use crate::serve::recordings::{Recordings, of_store};
use crate::serve::refusal::Refusal;
use crate::store::{Kind, Page, Patient, StoreError};

/// How long the store may keep failing before whoever asks is told.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// So many open uploads of a page are looked at, the newest of them, and so many at a time: each look costs two requests.
const LOOKS: usize = 64;
const AT_A_TIME: usize = 8;

/// So many pages in which there is nothing to be shown are passed over at once.
const EMPTY_PAGES: usize = 8;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) bucket: String,
    /// What keys begin with.
    pub(crate) prefix: String,
    /// Keys after this one.
    pub(crate) after: String,
    /// So many at most.
    pub(crate) most: u16,
    /// Nothing but what is being uploaded.
    pub(crate) only_open: bool,
}

/// A bucket that may be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// Whether there is one of this name that answers to these credentials.
    pub(crate) exists: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Listings {
    store: Patient,
    names: Names,
    pages: Once<Wanted, Arc<Page<Entry>>>,
    buckets: Once<(), Arc<Vec<Bucket>>>,
}

impl Listings {
    pub(super) fn new(store: &Patient, names: &Names) -> Self {
        Self { store: store.clone(), names: names.clone(), pages: Once::default(), buckets: Once::default() }
    }

    /// Forgets, from time to time, what counts no more.
    pub(crate) async fn tidy(&self) {
        loop {
            tokio::time::sleep(PATIENCE).await;
            self.pages.tidy();
            self.buckets.tidy();
        }
    }

    /// The buckets that may be asked for.
    pub(crate) async fn buckets(&self) -> Result<Arc<Vec<Bucket>>, Refusal> {
        let ask = |_| async {
            let looks: Vec<_> = self.names.buckets.iter().map(|name| exists(&self.store, name).boxed()).collect();
            let looked: Vec<_> = stream::iter(looks).buffered(AT_A_TIME).collect().await;
            Ok(Arc::new(looked.into_iter().collect::<Result<Vec<_>, _>>()?))
        };
        self.buckets.get((), |_| true, ask).await
    }

    /// A page of a list.
    pub(crate) async fn page(&self, wanted: Wanted, recordings: &Recordings) -> Result<Arc<Page<Entry>>, Refusal> {
        let ask = |_| {
            let wanted = wanted.clone();
            Box::pin(async move { Ok(Arc::new(self.look(wanted, recordings).await?)) })
        };
        self.pages.get(wanted.clone(), |_| true, ask).await
    }

    async fn look(&self, wanted: Wanted, recordings: &Recordings) -> Result<Page<Entry>, Refusal> {
        let Wanted { bucket, prefix, mut after, most, only_open } = wanted;
        let store = self.store.bucket_named(&bucket).at_most(PATIENCE);
        for round in 1.. {
            let page = listing::page(&store, &prefix, &after, most, only_open).await;
            let Page { mut entries, next } = page.map_err(|error| refused(&error))?;
            entries.retain(|entry| self.names.check(&entry.key).is_ok());
            match next {
                Some(next) if entries.is_empty() && round < EMPTY_PAGES => after = self.names.after_reserved(next),
                next => {
                    self.tell_live(&bucket, &mut entries, recordings).await;
                    return Ok(Page { entries, next });
                }
            }
        }
        Ok(Page { entries: Vec::new(), next: None })
    }

    /// Tells what grows from what is only being uploaded.
    async fn tell_live(&self, bucket: &str, entries: &mut [Entry], recordings: &Recordings) {
        let mut open: Vec<_> = entries.iter_mut().filter(|entry| entry.state == State::Uploading).collect();
        open.sort_by_key(|entry| std::cmp::Reverse(entry.since));
        let newest = open.into_iter().take(LOOKS);
        let looks: Vec<BoxFuture<'_, ()>> = newest.map(|entry| look_at(bucket, entry, recordings).boxed()).collect();
        stream::iter(looks).buffer_unordered(AT_A_TIME).collect::<()>().await;
    }
}

/// Whether a bucket answers.
async fn exists(store: &Patient, name: &str) -> Result<Bucket, Refusal> {
    let bucket = |exists| Bucket { name: name.to_owned(), exists };
    match store.bucket_named(name).once().head_bucket().await.0 {
        Ok(()) => Ok(bucket(true)),
        // Refused is also what somebody else's is.
        Err(error) if matches!(error.kind, Kind::NoBucket | Kind::Denied) => Ok(bucket(false)),
        Err(error) => Err(of_store(&error)),
    }
}

/// What an open upload is.
async fn look_at(bucket: &str, entry: &mut Entry, recordings: &Recordings) {
    let Ok(viewing) = recordings.find(bucket, &entry.key, None).await else { return };
    if viewing.edge().size.is_some() {
        // It was completed meanwhile, or it cannot be read yet and hides what was there before.
        entry.state = if entry.size.is_some() { State::Recorded } else { entry.state };
        return;
    }
    // What cannot be asked now is told the next time.
    let edge = viewing.look_at_edge(false).await.unwrap_or_else(|_| viewing.edge());
    entry.state = if edge.size.is_some() { State::Recorded } else { State::Live };
    entry.size = Some(edge.size.unwrap_or(edge.known));
}

fn refused(error: &StoreError) -> Refusal {
    match error.kind {
        Kind::Denied => {
            tracing::warn!("{error}");
            Refusal::new(StatusCode::BAD_GATEWAY, "the gateway's credentials may not list this bucket")
        }
        _ => of_store(error),
    }
}
