//! The writer's side of the playlist: a [tap](Tap) that tells the [`editor`](super::editor) of the fragments on their way
//! to the store. Nothing here waits.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::Settings;
use super::editor::Editor;
use super::ending::Ending;
use super::news::{News, Origin};
use crate::media::fmp4::Found;
use crate::object::tap::{End, Opening, Tap};
use crate::store::Store;
use crate::tool::clock;

/// What the writer tells of its upload. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hls {
    tell: mpsc::UnboundedSender<News>,
    first: Arc<Mutex<First>>,
    part_size: u64,
    released: watch::Receiver<HashSet<String>>,
}

/// The first part, as it fills.
#[derive(Debug, Default)]
struct First {
    /// Whether the object is looked at on its way to the store. Otherwise that is done in the store.
    input: bool,
    /// Bytes taken so far.
    bytes: u64,
    /// When the first byte came; `None` once the first part is full.
    began: Option<Instant>,
}

impl Hls {
    /// Starts to write playlists as the [`Settings`] have it. [`Ending`] ends that.
    #[must_use]
    pub fn start(store: Store, settings: Settings) -> (Self, Ending) {
        let (tell, news) = mpsc::unbounded_channel();
        let part_size = settings.part_size;
        let editor = Editor::new(store, settings, news, tell.downgrade());
        let released = editor.release.released();
        let ending = Ending { tell: tell.clone(), task: tokio::spawn(editor.run()) };
        (Self { tell, first: Arc::default(), part_size, released }, ending)
    }

    /// The uploads whose live objects no player needs any more. Closed, it names no more.
    #[must_use]
    pub fn released(&self) -> watch::Receiver<HashSet<String>> {
        self.released.clone()
    }

    fn tell(&self, news: News) {
        // Whoever would listen has ended: nothing is lost but a playlist, and that has been said.
        drop(self.tell.send(news));
    }

    fn first(&self) -> MutexGuard<'_, First> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for Hls {
    fn begin(&self, opening: &Opening<'_>) {
        self.first().input = opening.fresh;
        self.tell(News::Object {
            key: opening.key.to_owned(),
            upload_id: opening.upload_id.to_owned(),
            readable: opening.readable.clone(),
            origin: if opening.fresh { Origin::Input } else { Origin::Store },
            beside: opening.beside.clone(),
        });
    }

    fn took(&self, _offset: u64, bytes: &[u8]) {
        let mut first = self.first();
        if !first.input {
            return;
        }
        if first.bytes == 0 {
            first.began = Some(Instant::now());
        }
        first.bytes += bytes.len() as u64;
        if first.bytes >= self.part_size
            && let Some(began) = first.began.take()
        {
            self.tell(News::Filled(began.elapsed()));
        }
    }

    fn looks(&self) -> bool {
        true
    }

    fn saw(&self, found: &Found) {
        self.tell(News::Found { found: found.clone(), at: Some(clock::micros()) });
    }

    fn live_object(&self, upload_id: &str, bytes: &Range<u64>) {
        self.tell(News::LiveObject(upload_id.to_owned(), bytes.clone()));
    }

    fn no_more_live_objects(&self, upload_id: &str) {
        self.tell(News::NoMoreLiveObjects(upload_id.to_owned()));
    }

    fn ended(&self, upload_id: &str, end: End) {
        if matches!(end, End::Completed { .. }) {
            self.tell(News::Completed(upload_id.to_owned()));
        }
    }
}
