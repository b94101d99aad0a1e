//! The writer of a recording with live objects, played by a test.

use std::time::Duration;

use crate::object::reading::Reading;
use crate::object::wanted::{Live, Wanted};
use crate::protocol::live_objects::{
    CACHE_IMMUTABLE, CACHE_NONE, DOCUMENT_TYPE, END_METADATA, EndMark, Head, LENGTH_METADATA, Names, OBJECTS_METADATA,
    Pointer, Prefix, RecordingId, State,
};
use crate::protocol::part::PartSize;
use crate::store::scripted::{Op, Shelf};
use crate::store::{Labels, Store, Version};

pub(crate) const KEY: &str = "show.mp4";

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Bytes of the input from one offset to another.
pub(crate) fn input(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 7 & 255).expect("a byte")).collect()
}

pub(crate) fn labels(metadata: Option<(&'static str, String)>, cache_control: &'static str) -> Labels {
    Labels { content_type: DOCUMENT_TYPE.to_owned(), cache_control, metadata }
}

/// The writer's side.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) store: Store,
    pub(crate) shelf: Shelf,
    pub(crate) names: Names,
    pub(crate) id: RecordingId,
    pub(crate) head: Head,
}

impl Maker {
    /// Points to a recording, and writes its first head.
    pub(crate) async fn begin(store: &Store, shelf: &Shelf, number: u32) -> Self {
        let names = Names::new(&Prefix::default(), KEY).expect("names");
        let id = RecordingId::new(1_795_271_629, number);
        let mut head = Head::new(id.clone(), format!("upload-{number}"), PartSize::DEFAULT);
        head.max_latency = Some(1_000);
        let maker = Self { store: store.clone(), shelf: shelf.clone(), names, id, head };
        maker.beat().await;
        let pointer = Pointer::new(maker.id.clone()).to_bytes();
        maker.put(&maker.names.pointer(), pointer, labels(None, CACHE_NONE)).await;
        maker
    }

    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>, labels: Labels) {
        self.store.put_labelled(key, bytes.into(), &labels, Duration::MAX).await.expect("it is written");
    }

    pub(crate) async fn beat(&self) {
        self.put(&self.names.head(&self.id), self.head.to_bytes(), labels(None, CACHE_NONE)).await;
    }

    /// Puts a live object with `length` bytes of the input.
    pub(crate) async fn lay(&self, run: u32, offset: u64, length: u64) {
        let labels = labels(Some((LENGTH_METADATA, length.to_string())), CACHE_IMMUTABLE);
        self.put(&self.names.object(&self.id, run, offset), input(offset, offset + length), labels).await;
    }

    /// The next live object, of which the next head will tell.
    pub(crate) async fn object(&mut self, length: u64) {
        self.lay(self.head.run().run, self.head.edge(), length).await;
        if let Some((number, page)) = self.head.push(length) {
            self.put(&self.names.page(&self.id, number), page.to_bytes(), labels(None, CACHE_IMMUTABLE)).await;
        }
    }

    pub(crate) async fn mark(&self) {
        let (run, mark) = (self.head.run().run, EndMark(self.head.edge()));
        let labels = labels(Some((END_METADATA, mark.metadata())), CACHE_NONE);
        self.put(&self.names.object(&self.id, run, mark.0), mark.body().into(), labels).await;
    }

    /// KEY is complete.
    pub(crate) async fn complete(&self) {
        self.complete_with(input(0, self.head.edge())).await;
    }

    pub(crate) async fn complete_with(&self, bytes: Vec<u8>) {
        self.put(KEY, bytes, labels(Some((OBJECTS_METADATA, self.id.to_string())), CACHE_IMMUTABLE)).await;
    }

    pub(crate) async fn state(&mut self, state: State) {
        self.head.state = state;
        self.beat().await;
    }

    /// Deletes all but KEY, in the order in which a writer does.
    pub(crate) async fn clean(&self) {
        let folder = self.names.recording(&self.id);
        let mut keys: Vec<_> = self.shelf.keys().into_iter().filter(|key| key.starts_with(&folder)).collect();
        keys.sort_by_key(|key| key.ends_with("/head"));
        keys.push(self.names.pointer());
        for key in keys {
            self.store.delete(&Version { key, version: None }).await.expect("it is deleted");
        }
    }

    /// The end as a writer makes it.
    pub(crate) async fn end(mut self) {
        self.mark().await;
        self.complete().await;
        self.state(State::Complete).await;
        self.clean().await;
    }
}

pub(crate) fn reading(timeout: Option<Duration>) -> Reading {
    Reading::within(timeout, Wanted { live: Live::Objects, ..Wanted::new(KEY) })
}

/// Reads by live objects: GETs and HEADs; nothing is listed.
pub(crate) fn requests(shelf: &Shelf) -> (usize, usize) {
    assert_eq!((shelf.count(Op::Uploads), shelf.count(Op::Objects), shelf.count(Op::Parts)), (0, 0, 0));
    (shelf.count(Op::Get), shelf.count(Op::Head))
}
