//! When to look next for data that is not there yet.

use std::time::Duration;

/// The times between two looks at the live edge.
#[derive(Debug, Clone)]
pub struct Rhythm {
    longest: Duration,
}

impl Rhythm {
    /// Never waits longer than `longest` between two looks.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { longest }
    }

    /// How long to wait before the next look.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.longest
    }
}
