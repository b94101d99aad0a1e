//! Counters of a running tool, and the status line that shows them on a terminal.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::human::sizes::show_bytes;
use crate::message::logging::Console;
use crate::store::trial::Trials;

/// How often the status line is drawn.
const REDRAW: Duration = Duration::from_millis(500);

/// What a tool has done so far. Cheap to update from anywhere.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    /// Bytes taken in: from the input, or from the store.
    pub bytes_in: AtomicU64,
    /// Bytes handed on: to the store, or to the output.
    pub bytes_out: AtomicU64,
    /// Bytes sent to the store, those that were sent again as part of a longer tail included.
    pub bytes_sent: AtomicU64,
    /// Parts stored, or parts begun to be read.
    pub parts: AtomicU64,
    /// Bytes that there will be in all; 0 where that is not known.
    pub total: AtomicU64,
    /// Bytes that wait on disk.
    pub spooled: AtomicU64,
    /// Whether all that the store was seen to hold has been fetched.
    pub at_edge: AtomicBool,
    /// Milliseconds after the start at which something new last came.
    news_ms: AtomicU64,
    /// Whether input is being taken, so that an end has to see to it.
    pub taking: AtomicBool,
    /// The upload being written or read.
    pub upload: OnceLock<String>,
    /// Keys and ids of all uploads that are open, where an input goes into several objects.
    open: Mutex<Vec<(String, String)>>,
    /// Throw-away uploads, which are ended with the tool.
    pub trials: Trials,
}

impl Default for Progress {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started: Instant::now(),
            bytes_in: zero(),
            bytes_out: zero(),
            bytes_sent: zero(),
            parts: zero(),
            total: zero(),
            spooled: zero(),
            at_edge: AtomicBool::new(false),
            taking: AtomicBool::new(false),
            news_ms: zero(),
            upload: OnceLock::new(),
            open: Mutex::default(),
            trials: Trials::default(),
        }
    }
}

impl Progress {
    /// Notes that something new came just now.
    pub fn news(&self) {
        self.news_ms.store(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Notes that an upload was opened.
    pub fn opened(&self, key: &str, upload_id: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push((key.to_owned(), upload_id.to_owned()));
    }

    /// Notes that it is over.
    pub fn closed(&self, upload_id: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, id)| id != upload_id);
    }

    /// Keys and ids of the uploads that were [`opened`](Self::opened) and are not over.
    #[must_use]
    pub fn open(&self) -> Vec<(String, String)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long ago something new came.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.news_ms.load(Relaxed)))
    }

    /// Bytes taken in and not handed on yet.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.bytes_in.load(Relaxed).saturating_sub(self.bytes_out.load(Relaxed))
    }

    /// How long the tool has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// How far it is: `bytes` of `total`, where that is known, at a rate of so many bytes a second. Pure.
fn far(bytes: u64, total: u64, rate: f64) -> String {
    let megabits = rate * 8.0 / 1e6;
    let so_far = show_bytes(bytes);
    if total == 0 || bytes > total {
        return format!("{so_far} {megabits:.1} Mbit/s");
    }
    #[allow(clippy::cast_precision_loss, reason = "shown as a whole number")]
    let (part, rest) = (bytes as f64 / total as f64, (total - bytes) as f64);
    let left = match rest / rate {
        seconds if !seconds.is_finite() => String::new(),
        seconds if seconds < 60.0 => format!(", {seconds:.0} s left"),
        seconds if seconds < 5400.0 => format!(", {:.0} min left", seconds / 60.0),
        seconds => format!(", {:.1} h left", seconds / 3600.0),
    };
    format!("{so_far} of {} ({:.0} %) {megabits:.1} Mbit/s{left}", show_bytes(total), (part * 100.0).floor())
}

/// Draws the status line until the task is aborted. `line` makes the tool's own part out of the bytes a second.
pub fn show<F>(console: Console, progress: Arc<Progress>, quiet: bool, line: F) -> Option<tokio::task::JoinHandle<()>>
where
    F: Fn(&Progress, &str) -> String + Send + 'static,
{
    if quiet || !io::stderr().is_terminal() {
        return None;
    }
    Some(tokio::spawn(async move {
        // The rate of the last five seconds: short enough to show a stall, long enough not to flicker.
        let mut window = std::collections::VecDeque::from([(Instant::now(), 0)]);
        let mut tick = tokio::time::interval(REDRAW);
        loop {
            tick.tick().await;
            let now = Instant::now();
            let bytes = progress.bytes_out.load(Relaxed).max(progress.bytes_in.load(Relaxed));
            window.push_back((now, bytes));
            while window.len() > 11 {
                window.pop_front();
            }
            let (then, before) = window.front().copied().unwrap_or((now, bytes));
            let seconds = now.duration_since(then).as_secs_f64().max(0.001);
            #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
            let rate = bytes.saturating_sub(before) as f64 / seconds;
            console.status(&line(&progress, &far(bytes, progress.total.load(Relaxed), rate)));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_size_is_known_it_is_told_how_long_it_will_take() {
        for (bytes, total, rate, wanted) in [
            (0, 0, 0.0, "0 B 0.0 Mbit/s"),
            (3_000_000, 0, 1e6, "3.0 MB 8.0 Mbit/s"),
            (3_000_000, 12_000_000, 1e6, "3.0 MB of 12.0 MB (25 %) 8.0 Mbit/s, 9 s left"),
            (0, 12_000_000, 0.0, "0 B of 12.0 MB (0 %) 0.0 Mbit/s"),
            (11_999_999, 12_000_000, 1e6, "12.0 MB of 12.0 MB (99 %) 8.0 Mbit/s, 0 s left"),
            (0, 600_000_000, 1e6, "0 B of 600.0 MB (0 %) 8.0 Mbit/s, 10 min left"),
            (0, 36_000_000_000, 1e6, "0 B of 36.00 GB (0 %) 8.0 Mbit/s, 10.0 h left"),
            // It has become longer than was known.
            (13_000_000, 12_000_000, 1e6, "13.0 MB 8.0 Mbit/s"),
        ] {
            assert_eq!(far(bytes, total, rate), wanted);
        }
    }
}
