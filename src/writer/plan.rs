//! What is to be written and how: settings that plain, resumed and rolled-over uploads share.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::object::live::Upload;
use crate::object::tap::Taps;
use crate::protocol::part::PartSize;
use crate::store::{Beginning, Patient, StoreError};
use crate::tool::progress::Progress;
use crate::writer::at_once::unless_at_once;
use crate::writer::kept::{self, Kept, Label, Rest};
use crate::writer::live_objects::Recorder;
use crate::writer::look::warn_without_live_read;
use crate::writer::outbox::Outbox;
use crate::writer::pool::{Idle, PartPool};
use crate::writer::source::{Source, StopSignal};
use crate::writer::spool::{Spool, SpoolSettings};
use crate::writer::tail::{TailSender, TailSettings};

/// Why there are no live objects where nobody is to make some.
const NOT_ASKED_FOR: &str = "--live b2 asks for nothing else. On Backblaze B2, Live Read has to be enabled for the account; on every store, the next \
     upload can be read live without that option";

/// What to write, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The object's key.
    pub key: String,
    /// The size of every part but the last.
    pub part_size: PartSize,
    /// Parts in flight at once, at least one.
    pub concurrency: usize,
    /// Where buffers are kept that are not in use; those of other uploads, too.
    pub idle: Idle,
    /// Stored with the object.
    pub content_type: Option<String>,
    /// Where input waits while the store is away.
    pub spool: SpoolSettings,
    /// Turns true when all is to end at once.
    pub at_once: StopSignal,
    /// Those who listen to what is written.
    pub taps: Taps,
    /// When to send the tail part before it is full.
    pub tail: Option<TailSettings>,
    /// Whether uploads are marked for Live Read, where there are no live objects; else nothing of them can be read before
    /// they are complete.
    pub live_read: bool,
    /// Who makes live objects, where the store may have no Live Read. It is one of the taps, too.
    pub live: Option<Recorder>,
}

impl Plan {
    /// Starts an upload of `key`. `recording` names the recording that goes into several objects.
    pub(crate) async fn begin(
        &self,
        store: &Patient,
        key: &str,
        recording: Option<&str>,
    ) -> Result<Upload, StoreError> {
        let live_read = self.live_read.then_some(self.part_size);
        let content_type = self.content_type.as_deref();
        let beginning = Beginning { live_read, content_type, recording, objects: None };
        match &self.live {
            Some(live) => live.begin(store, key, self.part_size, beginning).await,
            None => Upload::begin(store, key, self.part_size, beginning).await,
        }
    }

    /// The sender of early tail parts; `None` if they are not asked for.
    pub(crate) fn tail_sender(&self, store: &Patient, progress: &Progress) -> Option<TailSender> {
        let trials = &progress.trials;
        self.tail.map(|settings| TailSender::start(settings, store, &self.key, self.part_size, trials))
    }

    /// Where input of `source` may wait on disk. A file can wait for the store by itself: only what comes through a pipe
    /// is put there.
    pub(crate) fn spool_for(&self, source: &Source) -> Option<Spool> {
        let spools = self.spool.limit > 0 && source.cannot_wait();
        spools.then(|| self.new_spool(self.part_size))
    }

    fn new_spool(&self, part_size: PartSize) -> Spool {
        // Room for all buffers of the pool (two more than parts in flight), a part that is held back, and the index.
        Spool::new(&self.spool, part_size.get(), self.concurrency + 4)
    }

    /// Writes what `outbox` could not store, and what was read after it, into a file. `None` if there is nothing. Where all ends
    /// at once, and whoever brought it has noted it, nothing need be written.
    pub(crate) async fn keep(&self, outbox: &Outbox, rest: Rest, part_size: PartSize) -> Option<Kept> {
        if *self.at_once.borrow() && self.taps.have_the_rest() {
            return Some(Kept::Noted);
        }
        let upload = outbox.upload();
        let label = Label {
            bucket: upload.store().bucket().to_owned(),
            key: upload.key().to_owned(),
            upload_id: upload.id().to_owned(),
            part_size,
        };
        let remainder = rest.behind(outbox.remainder(), &outbox.ledger, part_size);
        let spool = outbox.spool().cloned().unwrap_or_else(|| self.new_spool(part_size));
        kept::keep(label, remainder, spool).instrument(upload.span().clone()).await
    }

    /// Finds out whether Live Read is on, and says what follows. Where it is not wanted, or those who make live objects see to
    /// it, nothing does.
    pub(crate) fn look(&self, upload: &Upload) -> JoinHandle<()> {
        let why = match &self.live {
            None => self.live_read.then(|| NOT_ASKED_FOR.to_owned()),
            Some(live) => live.none_because(upload.key()),
        };
        let (upload, span) = (upload.clone(), upload.span().clone());
        let look = async move {
            if let Some(why) = why {
                warn_without_live_read(upload, &why).await;
            }
        };
        tokio::spawn(look.instrument(span))
    }

    /// Waits until no live object lies there any more that nobody needs.
    pub(crate) async fn tidied(&self) {
        if let Some(live) = &self.live {
            unless_at_once(live.tidied(), &self.at_once).await;
        }
    }

    /// An outbox for an upload.
    pub(crate) fn outbox(&self, upload: Upload, spool: Option<Spool>, progress: &Arc<Progress>) -> Outbox {
        let live = self.live.as_ref().and_then(|live| live.of(upload.id()));
        // One that is filled, and one that waits for its turn.
        let pool = PartPool::with(self.idle.clone(), self.concurrency + 2, upload.part_size().as_len());
        Outbox::new(upload, pool, self.concurrency, spool, progress.clone()).with_live(live)
    }
}
