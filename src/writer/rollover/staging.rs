//! Input that has been read, while the cutter cannot tell yet whether there is a place for a cut in it.

use crate::media::fmp4::cut::UNDECIDED_MAX;

/// Bytes read at once.
pub(super) const READ: usize = 256 << 10;

/// See the [module](self).
pub(super) struct Staging {
    pub(super) bytes: Vec<u8>,
    /// How much of `bytes` is in use.
    pub(super) held: usize,
    /// Offset of its first byte in the stream.
    pub(super) base: u64,
}

impl Default for Staging {
    fn default() -> Self {
        Self { bytes: vec![0; READ + UNDECIDED_MAX + READ], held: 0, base: 0 }
    }
}

impl Staging {
    /// What is in here of the stream from `offset` on.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.bytes.get(start..self.held).unwrap_or_default()
    }
}
