//! The live objects of an upload, as its writer makes them: on a store without Live Read they are what readers see.
//!
//! What they are called and what is told of them is in [`crate::protocol::live_objects`]. Here they are made:
//!
//! ```text
//! input -- took --> cutter -- next --> up to 4 PUTs at once --.
//!   |                  | left to the parts                     v
//!   '-> part buffers --+--> put_part: live object, then part   stored --> head, pages, pointer (every 5 s)
//!                             (by copy where it is the whole part)
//! ```
//!
//! Nothing here stops the upload. A live object that cannot be stored is tried again for as long as the store is away for
//! parts, too; where parts are stored and live objects are not, live reading is given up for this recording after
//! [`GIVE_UP`], the head says so, and readers get all when the upload is complete.
//!
//! Memory: no more than two part sizes are copied ([`Cutter::MOST_PARTS`]), and what is left to the parts is sent from their
//! buffers. Of what is stored nothing is remembered but the newest index page, and where live objects lie behind a gap.

mod beat;
mod cuts;
mod cutter;
mod ending;
mod going_on;
mod mode;
mod parts;
mod recorder;
mod shared;
mod stale;
mod stored;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::object::live::Upload;
use crate::protocol::live_objects::{Head, Names, Pointer, RecordingId};
use crate::store::StoreError;

pub use cutter::{Cut, Cutter, When};
pub use going_on::{find, go_on};
pub use mode::{Chosen, Hourly, LiveMode, costs, hourly};
pub use recorder::{Recorder, Settings};
pub use stale::{Found, Stale, clean, clean_all};
pub use sweep::{Left, Sweep};

use shared::Shared;
use stored::Stored;

/// How long live objects may fail while parts are stored.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// Between two writes of the head.
pub const BEAT: Duration = Duration::from_secs(5);

/// The live objects of one upload. Cheap to clone.
#[derive(Clone)]
pub struct LiveObjects {
    shared: Arc<Shared>,
    /// Turns true when nothing more is to be written.
    over: Arc<watch::Sender<bool>>,
    tasks: Arc<tokio::sync::Mutex<Vec<JoinHandle<()>>>>,
}

impl fmt::Debug for LiveObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveObjects({})", self.shared.recording)
    }
}

impl LiveObjects {
    /// Begins with the live objects of `upload`: writes the head that tells of none yet, or of those that there are, and then
    /// the pointer to it. In this order, and before any live object, so that what lies there without a head was left behind.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not take those two: the upload has to go on without live objects.
    pub async fn begin(upload: &Upload, names: Names, head: Head, when: When) -> Result<Self, StoreError> {
        Self::begin_with(upload, names, Stored::new(head), when).await
    }

    async fn begin_with(upload: &Upload, names: Names, stored: Stored, when: When) -> Result<Self, StoreError> {
        let cutter = Cutter::new(upload.part_size().get(), when, stored.edge());
        let shared = Arc::new(Shared::new(upload, names, stored, cutter));
        shared.write_head().await?;
        shared.write_pointer().await?;
        let (over, ends) = watch::channel(false);
        let tasks =
            vec![tokio::spawn(cuts::run(shared.clone(), ends.clone())), tokio::spawn(beat::run(shared.clone(), ends))];
        Ok(Self { shared, over: Arc::new(over), tasks: Arc::new(tokio::sync::Mutex::new(tasks)) })
    }

    /// The recording that they are of.
    #[must_use]
    pub fn recording(&self) -> &RecordingId {
        &self.shared.recording
    }

    /// The next bytes of the input. They have to be told of before their part is stored by [`Self::put_part`].
    pub fn took(&self, offset: u64, bytes: &[u8]) {
        self.shared.state().cutter.take(offset, bytes, Instant::now());
        self.shared.tell();
    }

    /// A fragment ends here in the input, and the next can begin a live object.
    pub fn fragment_ends(&self, offset: u64) {
        self.shared.state().cutter.fragment_ends(offset, Instant::now());
        self.shared.tell();
    }

    /// No more bytes come: what waits need not become old.
    pub fn input_ended(&self) {
        self.shared.state().cutter.close();
        self.shared.tell();
    }

    /// Whether live reading was given up, and why.
    #[must_use]
    pub fn given_up(&self) -> Option<String> {
        self.shared.state().trouble.given_up().map(str::to_owned)
    }

    /// Up to where readers can read without a gap.
    #[must_use]
    pub fn edge(&self) -> u64 {
        self.shared.state().stored.edge()
    }
}

/// The pointer to a recording, as it is stored.
fn pointer(recording: &RecordingId) -> Vec<u8> {
    Pointer::new(recording.clone()).to_bytes()
}

#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod tests;
