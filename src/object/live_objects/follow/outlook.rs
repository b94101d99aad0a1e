//! What a follower of live objects knows of the end of its recording, and since when.

use std::time::Duration;

use tokio::time::Instant;

use super::KEY_LOOKS;

/// How long what is over may not be under KEY, or not whole there: some stores show a completion late.
const DOUBT: Duration = Duration::from_secs(8);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// All bytes there are, as the end mark said.
    mark: Option<u64>,
    /// No live object is looked for any more; how long until the next look at KEY.
    key_only: Option<Duration>,
    /// Since when it looks over, and KEY is not it, or not whole.
    doubted: Option<Instant>,
    /// Whether it was said that nothing is heard of the writer.
    warned: bool,
}

impl Outlook {
    /// Bytes came: it is not over, and its writer is there.
    pub(super) fn bytes_came(&mut self) {
        (self.mark, self.doubted, self.warned) = (None, None, false);
    }

    /// The end mark was met at this byte.
    pub(super) fn mark_met(&mut self, at: u64) {
        self.mark = Some(at);
    }

    /// The writer goes on behind the end mark, in another run.
    pub(super) fn no_mark(&mut self) {
        self.mark = None;
    }

    /// All bytes there are, as the end mark said.
    pub(super) fn mark(&self) -> Option<u64> {
        self.mark
    }

    /// Whether no live object is looked for any more.
    pub(super) fn is_key_only(&self) -> bool {
        self.key_only.is_some()
    }

    /// Only KEY is looked at from now on, this long after the last look unless that was settled before.
    pub(super) fn key_only(&mut self, wait: Duration) {
        self.key_only.get_or_insert(wait);
    }

    /// Live objects are looked for again. Whether they were not.
    pub(super) fn not_key_only(&mut self) -> bool {
        self.key_only.take().is_some()
    }

    /// KEY is looked at: how long until it is again, which is longer each time.
    pub(super) fn next_key_look(&mut self) -> Duration {
        let wait = self.key_only.unwrap_or(KEY_LOOKS.0);
        self.key_only = Some((wait * 2).min(KEY_LOOKS.1));
        wait
    }

    /// Whether it looks over, and KEY is not it.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// It is not over, or KEY may come.
    pub(super) fn no_doubt(&mut self) {
        self.doubted = None;
    }

    /// It is in doubt, from now on at the latest. Whether it has been for long.
    pub(super) fn has_doubted_long(&mut self) -> bool {
        self.doubted.get_or_insert_with(Instant::now).elapsed() >= DOUBT
    }

    /// Nothing is heard of the writer. Whether that is to be said.
    pub(super) fn warn(&mut self) -> bool {
        !std::mem::replace(&mut self.warned, true)
    }

    /// Why nothing new may have come.
    pub(super) fn silence(&self) -> &'static str {
        match (self.mark, self.warned) {
            (Some(_), _) => "its input has ended, but it is not complete",
            (None, true) => "it is still open, but its writer has not been heard of for long",
            (None, false) => "it is still open, and nothing comes from its writer",
        }
    }
}
