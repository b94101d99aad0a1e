//! Whether an object is complete, and with how many bytes.

use crate::store::Head;

/// A finished upload that does not show its last bytes is asked for them this often.
const LAST_LOOKS: u32 = 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Completeness {
    /// Its size, where it was complete before a byte of it was read.
    finished: Option<u64>,
    /// Its size, once it is known to be complete.
    complete: Option<u64>,
    /// Looks in vain since then.
    last_looks: u32,
    /// The finished object of the key that was there before: an end that looks like it is not the end of this upload.
    before: Option<Head>,
}

impl Completeness {
    /// Of an object of size `finished`, or of an upload that may still grow.
    pub(super) fn new(finished: Option<u64>, before: Option<Head>) -> Self {
        Self { finished, complete: finished, last_looks: 0, before }
    }

    /// The size of what was complete before a byte of it was read.
    pub(super) fn finished(&self) -> Option<u64> {
        self.finished
    }

    /// The size of what is known to be complete.
    pub(super) fn size(&self) -> Option<u64> {
        self.complete
    }

    /// Whether it is known to be complete.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.is_some()
    }

    /// It is complete, with so many bytes.
    pub(super) fn learn(&mut self, size: u64) {
        self.complete = Some(size);
    }

    /// It goes over to an object that is complete, with so many bytes.
    pub(super) fn move_to(&mut self, size: u64) {
        (self.finished, self.complete) = (Some(size), Some(size));
    }

    /// What is complete with `size` bytes did not show those behind `cursor`. Whether it may be asked for them again.
    pub(super) fn may_look_again(&mut self, size: u64, cursor: u64) -> bool {
        self.last_looks += 1;
        size >= cursor && self.last_looks <= LAST_LOOKS
    }

    /// The finished object that was there before.
    pub(super) fn before(&self) -> Option<&Head> {
        self.before.as_ref()
    }

    /// Whether an answer of this version comes from that.
    pub(super) fn was_before(&self, version: Option<&String>) -> bool {
        version.is_some() && self.before.as_ref().and_then(|head| head.version.as_ref()) == version
    }

    /// This stands under the key while the upload is open, so it is not the end of it.
    pub(super) fn is_not(&mut self, current: Option<Head>) {
        self.before = current.or(self.before.take());
    }
}
