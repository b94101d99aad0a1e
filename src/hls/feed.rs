//! The writer's side of the playlist: takes the bytes on their way to the store, finds the fragments in them, and tells
//! the [`editor`](super::editor). Nothing here waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};

use super::Settings;
use super::editor::Editor;
use super::ending::Ending;
use super::news::{News, Origin};
use crate::media::fmp4::Scanner;
use crate::store::Store;

/// What the writer tells of its upload. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hls {
    tell: mpsc::UnboundedSender<News>,
    state: Arc<Mutex<State>>,
    part_size: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Looks at the object that is being written; `None` where that is done in the store.
    scanner: Option<Scanner>,
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
        let task = tokio::spawn(Editor::new(store, settings, news, tell.downgrade()).run());
        let ending = Ending { tell: tell.clone(), task };
        (Self { tell, state: Arc::default(), part_size }, ending)
    }

    /// An upload of `key` begins; `readable` tells how many bytes the store holds of it without a gap. What comes in from
    /// now on belongs to it, from its first byte on.
    pub fn begin(&self, key: &str, upload_id: &str, readable: watch::Receiver<u64>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).scanner = Some(Scanner::new());
        self.tell(News::Object {
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
            readable,
            origin: Origin::Input,
        });
    }

    /// An upload of `key` is gone on with: what it holds already can only be looked at in the store.
    pub fn resume(&self, key: &str, upload_id: &str, readable: watch::Receiver<u64>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).scanner = None;
        self.tell(News::Object {
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
            readable,
            origin: Origin::Store,
        });
    }

    /// Takes the next bytes of the upload that was begun last.
    pub fn took(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match &mut state.scanner {
            Some(scanner) => scanner.feed(bytes),
            None => return,
        };
        if state.bytes == 0 {
            state.began = Some(Instant::now());
        }
        state.bytes += bytes.len() as u64;
        if state.bytes >= self.part_size
            && let Some(began) = state.began.take()
        {
            self.tell(News::Filled(began.elapsed()));
        }
        if !found.is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
            let at = now.and_then(|now| i64::try_from(now.as_micros()).ok());
            for found in found {
                self.tell(News::Found { found, at });
            }
        }
    }

    /// An upload has been completed.
    pub fn completed(&self, upload_id: &str) {
        self.tell(News::Completed(upload_id.to_owned()));
    }

    fn tell(&self, news: News) {
        // Whoever would listen has ended: nothing is lost but a playlist, and that has been said.
        drop(self.tell.send(news));
    }
}
