//! Takes away all that lies beside an upload for one recording, and looks at the answer for each piece of it.
//!
//! What there is, the head and the index pages tell, so that no right to list is needed. A list, where it is allowed, then
//! shows what is in no index: what landed late. Where the bucket keeps several versions, deleting by name would only hide
//! them, so that they are listed and deleted one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::sleep;

use super::shared::may_pass;
use crate::protocol::live_objects::{Head, MAX_DOCUMENT, Name, Names, Page, Pointer, RecordingId};
use crate::store::{Kind, MOST_DELETED, Patient, StoreError, Undeleted, Version};

/// How often what was not deleted is tried again.
const ROUNDS: u32 = 4;

/// The same, also where each of them deletes something.
const MOST_ROUNDS: u32 = 16;

/// After a round in which some were deleted.
const GOING_ON: Duration = Duration::from_millis(250);

/// How long one request may keep failing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Objects that are deleted one by one, at once.
const AT_ONCE: usize = 8;

/// More pages of a list than a recording has.
const MOST_PAGES: usize = 1_000;

/// What could not be deleted.
#[derive(Debug, Default)]
pub struct Left {
    /// How many objects.
    pub objects: usize,
    /// One of them, and why.
    pub example: Option<StoreError>,
    /// What all of their names begin with.
    pub folder: String,
}

impl Left {
    /// Whether all is gone.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.objects == 0
    }

    /// Says what is left, where something is.
    pub(super) fn warn(&self) {
        let Some(error) = self.example.as_ref().filter(|_| !self.is_nothing()) else { return };
        let some = match self.objects {
            1 => "1 live object is".to_owned(),
            many => format!("{many} live objects are"),
        };
        tracing::warn!(
            "{some} left below {}, for the store did not delete: {error} Nobody needs them any more; they can be deleted by hand, \
             and a lifecycle rule for the prefix of live objects removes what is left in general.",
            self.folder
        );
    }

    fn of(folder: String, undeleted: Vec<Undeleted>) -> Self {
        Self { objects: undeleted.len(), example: undeleted.into_iter().next().map(|one| one.error), folder }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Sweep {
    store: Patient,
    names: Names,
    recording: RecordingId,
}

impl Sweep {
    /// Of this recording.
    #[must_use]
    pub fn new(store: &Patient, names: Names, recording: RecordingId) -> Self {
        Self { store: store.at_most(PATIENCE), names, recording }
    }

    /// Deletes everything: what `head` tells of, the objects at `extra` offsets of any run, and what a list shows. The head
    /// goes last, and then the pointer, if it is to this recording; both stay while something else is left, so that it can be
    /// found again.
    pub async fn run(&self, head: Option<&Head>, extra: &[u64], versioned: bool) -> Left {
        let head_is_gone = head.is_none();
        let folder = self.store.object(&self.names.recording(&self.recording));
        let (mut left, mut versioned) = (None, versioned);
        if versioned {
            match self.delete_versions(|name| !matches!(name, Name::Head(_))).await {
                Ok(undeleted) => left = Some(undeleted),
                Err(error) => {
                    tracing::warn!(
                        "older versions of live objects stay below {folder}: {error} A lifecycle rule for noncurrent versions \
                         removes them."
                    );
                    // What cannot be seen can be hidden, at least.
                    versioned = false;
                }
            }
        }
        let left = match left {
            Some(left) => left,
            None => self.delete_by_name(head, extra).await,
        };
        if !left.is_empty() {
            return Left::of(folder, left);
        }
        let (head, pointer) = (self.names.head(&self.recording), self.names.pointer());
        let (ours, keeps) = self.pointer_is_ours().await;
        // Of a recording whose head is gone already, only the pointer tells what kind of bucket this is.
        versioned |= keeps && head_is_gone;
        let head = Version { key: head, version: None };
        let mut last = if versioned {
            let deleted = self.delete_versions(|_| true).await;
            deleted.unwrap_or_else(|error| vec![Undeleted { what: head, error }])
        } else {
            self.delete(vec![head]).await
        };
        if ours && last.is_empty() {
            let all = if versioned { self.versions_of(&pointer).await.ok() } else { None };
            last = self.delete(all.unwrap_or_else(|| vec![Version { key: pointer, version: None }])).await;
        }
        Left::of(folder, last)
    }

    /// By what is known of the names, and then by what a list shows.
    async fn delete_by_name(&self, head: Option<&Head>, extra: &[u64]) -> Vec<Undeleted> {
        let left = self.delete(self.known(head, extra).await).await;
        // What is seen to be there is what is left; where nothing can be seen, the answers have to do.
        match self.listed().await {
            Ok(found) if found.is_empty() => Vec::new(),
            Ok(found) => self.delete(found).await,
            Err(_) => left,
        }
    }

    /// What the head and the pages tell of.
    async fn known(&self, head: Option<&Head>, extra: &[u64]) -> Vec<Version> {
        let mut names = BTreeSet::new();
        let Some(head) = head else { return Vec::new() };
        for number in 0..head.pages {
            let name = self.names.page(&self.recording, number);
            let page = self.store.get_small(&name, MAX_DOCUMENT).await;
            if let Some(page) = page.ok().flatten().and_then(|page| Page::parse(&page.bytes).ok()) {
                names.extend(page.entries().map(|entry| self.names.object(&self.recording, entry.run, entry.offset)));
            }
            names.insert(name);
        }
        names.extend(head.page.entries().map(|entry| self.names.object(&self.recording, entry.run, entry.offset)));
        for run in &head.runs {
            names.extend(extra.iter().map(|offset| self.names.object(&self.recording, run.run, *offset)));
        }
        names.into_iter().map(|key| Version { key, version: None }).collect()
    }

    /// What a list shows of this recording, its head left out.
    async fn listed(&self) -> Result<Vec<Version>, StoreError> {
        let prefix = self.names.recording(&self.recording);
        let (mut found, mut next) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self.store.page_of_objects(&prefix, false, next.take());
            let (keys, more) = page.await?;
            let wanted = |key: &String| {
                let name = self.names.parse(key);
                name.is_some_and(|name| self.is_mine(&name) && !matches!(name, Name::Head(_)))
            };
            found.extend(keys.into_iter().filter(wanted).map(|key| Version { key, version: None }));
            next = more;
            if next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn is_mine(&self, name: &Name) -> bool {
        name.recording() == Some(&self.recording)
    }

    /// Deletes all versions of what is `wanted`, page by page.
    async fn delete_versions(&self, wanted: impl Fn(&Name) -> bool) -> Result<Vec<Undeleted>, StoreError> {
        let prefix = self.names.recording(&self.recording);
        for _ in 0..MOST_PAGES {
            let (mut found, more) = self.some_versions(&prefix).await?;
            let total = found.len();
            found.retain(|one| self.names.parse(&one.key).is_some_and(|name| self.is_mine(&name) && wanted(&name)));
            if found.is_empty() && (!more || total > 0) {
                return Ok(Vec::new());
            }
            let left = self.delete(found).await;
            if !left.is_empty() || !more {
                return Ok(left);
            }
        }
        Ok(Vec::new())
    }

    async fn some_versions(&self, prefix: &str) -> Result<(Vec<Version>, bool), StoreError> {
        self.store.some_versions(prefix).await
    }

    /// All versions of exactly this key.
    async fn versions_of(&self, key: &str) -> Result<Vec<Version>, StoreError> {
        let (mut found, _) = self.some_versions(key).await?;
        found.retain(|one| one.key == key);
        Ok(found)
    }

    /// Whether the pointer is to this recording, and whether it has a version.
    async fn pointer_is_ours(&self) -> (bool, bool) {
        for round in 0..ROUNDS {
            let there = self.store.get_small(&self.names.pointer(), MAX_DOCUMENT).await.ok().flatten();
            let Some(there) = there else { break };
            if let Ok(pointer) = Pointer::parse(&there.bytes) {
                return (pointer.recording == self.recording, there.version.is_some());
            }
            // Some stores show an object before it is whole.
            sleep(Duration::from_millis(100 << round)).await;
        }
        (false, false)
    }

    /// Deletes these; those that are left after some rounds in which none was deleted.
    async fn delete(&self, mut what: Vec<Version>) -> Vec<Undeleted> {
        let mut refused = Vec::new();
        let mut round = 0;
        for number in 1..=MOST_ROUNDS {
            let mut left = Vec::new();
            for some in what.chunks(MOST_DELETED) {
                left.extend(self.delete_some(some).await);
            }
            round = if left.len() < what.len() { 0 } else { round + 1 };
            let (again, never): (Vec<_>, Vec<_>) = left.into_iter().partition(|one| may_pass(&one.error));
            refused.extend(never);
            if again.is_empty() || round == ROUNDS || number == MOST_ROUNDS {
                refused.extend(again);
                break;
            }
            sleep(if round == 0 { GOING_ON } else { Duration::from_secs(1 << round) }).await;
            what = again.into_iter().map(|one| one.what).collect();
        }
        refused
    }

    /// In one request, and where a store has none for that, one by one.
    async fn delete_some(&self, what: &[Version]) -> Vec<Undeleted> {
        if let [one] = what {
            return self.delete_one(one).await.into_iter().collect();
        }
        let many = self.store.delete_many(what).await;
        let failed = |error: &StoreError, what: &[Version]| {
            what.iter().map(|one| Undeleted { what: one.clone(), error: error.clone() }).collect::<Vec<_>>()
        };
        let (first, rest) = match (many, what) {
            (Ok(left), _) => return left,
            (Err(error), _) if may_pass(&error) => return failed(&error, what),
            (Err(_), [first, rest @ ..]) => (first, rest),
            (Err(_), []) => return Vec::new(),
        };
        // Whoever may not delete one may not delete any: that need not be asked a thousand times.
        match self.delete_one(first).await {
            Some(one) if !may_pass(&one.error) => failed(&one.error, what),
            left => {
                let rest =
                    stream::iter(rest.to_vec()).map(async |one| self.delete_one(&one).await).buffer_unordered(AT_ONCE);
                left.into_iter().chain(rest.filter_map(std::future::ready).collect::<Vec<_>>().await).collect()
            }
        }
    }

    async fn delete_one(&self, what: &Version) -> Option<Undeleted> {
        let done = self.store.delete(what).await;
        let error = done.err().filter(|error| error.kind != Kind::NoKey)?;
        Some(Undeleted { what: what.clone(), error })
    }
}
