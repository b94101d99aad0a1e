//! Signals as the tools' two requests: first to stop waiting for more and finish, then to end at once.

use std::io;

use futures_util::StreamExt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::watch;

/// A stream of the signals that end a tool. They are caught from the moment it is made.
pub struct EndSignals(Signals);

impl std::fmt::Debug for EndSignals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndSignals")
    }
}

impl EndSignals {
    /// Starts to catch SIGINT and SIGTERM.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn catch() -> io::Result<Self> {
        Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    /// Waits for the next signal and returns its number.
    pub async fn next(&mut self) -> i32 {
        match self.0.next().await {
            Some(signal) => signal,
            // The stream ends only when its handle is closed, which nobody does.
            None => std::future::pending().await,
        }
    }
}

/// A request to stop that can be made once and seen by many.
#[must_use]
pub fn stop_switch() -> (watch::Sender<bool>, watch::Receiver<bool>) {
    watch::channel(false)
}

/// The name of a signal, for messages.
#[must_use]
pub fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        _ => "a signal",
    }
}
