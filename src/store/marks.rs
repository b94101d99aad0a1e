//! What the metadata of an object say about live objects.

use std::collections::HashMap;

use crate::protocol::live_objects::{END_METADATA, LENGTH_METADATA, Met, OBJECTS_METADATA, RecordingId, met};

/// What an object says of itself as a live object or an end mark, or, once complete, of its live objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// How many bytes it has to have.
    pub length: Option<String>,
    /// How many bytes the input has had.
    pub end: Option<String>,
    /// The recording whose live objects have the same bytes.
    pub objects: Option<RecordingId>,
}

impl Marks {
    pub(super) fn of(metadata: &HashMap<String, String>) -> Self {
        let objects = metadata.get(OBJECTS_METADATA).and_then(|text| RecordingId::parse(text));
        Self { length: metadata.get(LENGTH_METADATA).cloned(), end: metadata.get(END_METADATA).cloned(), objects }
    }

    /// What it is under the name of `offset`, with a body of so many bytes.
    #[must_use]
    pub fn met(&self, offset: u64, body: u64) -> Met {
        met(offset, self.length.as_deref(), self.end.as_deref(), body)
    }
}
