//! A place in a recording, as a person names it. Pure.

use std::time::Duration;

/// A time in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nanoseconds after the first frame.
    After(i64),
    /// Nanoseconds after 1970-01-01T00:00:00Z.
    OfDay(i64),
}

/// A place in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The newest key frame, or so much before the live edge.
    Live {
        /// How much.
        back: Duration,
    },
    /// A time.
    At(When),
}
