//! Reads blocks of an object, and how far it can be read, from the store: in whichever way it can be read while it grows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::yield_now;

use super::block::{BLOCK, Block};
use super::blocks::{Blocks, Place};
use crate::object::live_objects::Recording;
use crate::object::ranges::{Answer, Ranges};
use crate::object::stretch::{End, Event, Reading, Stretch, Target};
use crate::store::{Patient, StoreError};

/// How long the store may keep failing while somebody waits for the bytes of a block.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the bytes of an object come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A Live Read upload, or an object that is complete.
    Object(Target),
    /// A recording that is read by its live objects.
    Objects(String, Box<Recording>),
}

impl Source {
    /// Up to where it is known which bytes lie where: a head tells of live objects only so far.
    pub(crate) fn index(&self) -> u64 {
        match self {
            Self::Object(_) => u64::MAX,
            Self::Objects(_, recording) => recording.head.edge(),
        }
    }

    /// To look into it.
    pub(crate) fn ranges<'a>(&self, store: &'a Patient) -> Ranges<'a> {
        match self {
            Self::Object(target) => Ranges::new(store, target.clone()),
            Self::Objects(key, recording) => Ranges::of_objects(store, key, (**recording).clone()),
        }
    }
}

/// Fills a new block with the bytes from `first` on, in the background.
pub(crate) fn fill(store: &Patient, source: Source, blocks: &Arc<Blocks>, place: Place, block: Arc<Block>, size: u64) {
    let (store, blocks) = (store.at_most(PATIENCE), Arc::clone(blocks));
    // Also where the task is lost: nobody waits for ever.
    let filling = Filling { blocks: Arc::clone(&blocks), place, block };
    tokio::spawn(async move {
        let Some(_permit) = blocks.room_for(place, size).await else { return };
        let first = place.number.saturating_mul(BLOCK);
        if let Err(error) = read(&store, source, first, size, &filling.block).await {
            tracing::warn!("{error}");
        }
    });
}

struct Filling {
    blocks: Arc<Blocks>,
    place: Place,
    block: Arc<Block>,
}

impl Drop for Filling {
    fn drop(&mut self) {
        if self.block.is_filling() {
            self.blocks.forget(self.place);
            self.block.fail();
        }
    }
}

async fn read(store: &Patient, source: Source, first: u64, size: u64, block: &Block) -> Result<(), StoreError> {
    let mut target = match source {
        Source::Object(target) => target,
        Source::Objects(key, recording) => {
            let mut ranges = Ranges::of_objects(store, &key, *recording);
            if let Answer::Data(bytes) = ranges.read(first, first + size).await? {
                block.append(&mut Bytes::from(bytes));
            }
            return Ok(());
        }
    };
    loop {
        let stretch = Stretch::Range { first, last: (first + size).saturating_sub(1) };
        let mut reading = Reading::new(store, &target, stretch);
        loop {
            match reading.next().await {
                Event::Facts(_) => {}
                Event::Bytes(mut bytes) => {
                    let is_first = block.length() == 0;
                    block.append(&mut bytes);
                    if is_first {
                        // Those that wait for them go first: the rest may all be here by now, and be read at one go.
                        yield_now().await;
                    }
                }
                Event::End(End::Failed(error)) => return Err(error),
                // Complete by now, and not to be read with the Live Read header.
                Event::End(End::Absent) if target.live && block.length() == 0 => break,
                Event::End(_) => return Ok(()),
            }
        }
        target.live = false;
    }
}
