//! Signals as the tools' two requests: first to stop waiting for more and finish, then to end at once.

use std::io;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
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
    /// Starts to catch SIGINT, SIGTERM, and SIGHUP (a closed terminal) unless it is ignored, as `nohup` has it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn catch() -> io::Result<Self> {
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup)).map(Self)
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

/// Whether a signal was ignored when the program started, where the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

/// Whether a signal asks to end at once when work is being finished already. A terminal that closes may send more than
/// one SIGHUP, so that never means impatience.
#[must_use]
pub fn is_impatient(signal: i32) -> bool {
    signal != SIGHUP
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
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        _ => "a signal",
    }
}
