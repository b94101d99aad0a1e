//! How far the beginning of live objects is. Pure.

/// How far the beginning of live objects is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Whether there is Live Read is being asked.
    Asking,
    /// There are to be live objects: their head and pointer are being written.
    Beginning,
    /// There are live objects.
    Made,
    /// There are none.
    Without,
}

impl Stage {
    /// Whether it stays so.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Made | Self::Without)
    }
}
