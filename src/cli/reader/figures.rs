//! Figures of a running reader, in words and for programs. Pure: made out of counters.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use crate::human::sizes::show_bytes;
use crate::store::Totals;
use crate::tool::progress::Progress;
use crate::tool::stats;

/// What the status line says: the rate, and how far behind live, as far as the store's answers tell without its clock.
pub(crate) fn status_line(progress: &Progress, rate: &str) -> String {
    let newest = progress.silence().as_secs_f64();
    match (progress.at_edge.load(Relaxed), progress.held()) {
        (true, 0) => format!("{rate}, live; the newest came {newest:.0} s ago"),
        (true, held) => format!("{rate}, {} behind live; the newest came {newest:.0} s ago", show_bytes(held)),
        (false, held) => format!("{rate}, catching up, {} queued", show_bytes(held)),
    }
}

/// The time and the requests that it took.
pub(crate) fn bill(progress: &Progress, requests: &Totals) -> String {
    format!("{:.1} s; requests: {requests} ({})", progress.elapsed().as_secs_f64(), requests.by_class())
}

/// What a line of `--stats` tells.
pub(crate) fn facts(progress: &Progress) -> Value {
    json!({
        "bytes_read": progress.bytes_in.load(Relaxed),
        "bytes_written": progress.bytes_out.load(Relaxed),
        "at_live_edge": progress.at_edge.load(Relaxed),
        "bytes_behind": progress.held(),
        "newest_came": stats::round(progress.silence()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_tells_how_far_behind_live() {
        let progress = Progress::default();
        progress.bytes_in.store(2 << 20, Relaxed);
        let held = show_bytes(2 << 20);
        assert_eq!(status_line(&progress, "R"), format!("R, catching up, {held} queued"));
        progress.at_edge.store(true, Relaxed);
        assert!(status_line(&progress, "R").starts_with(&format!("R, {held} behind live; the newest came ")));
        progress.bytes_out.store(2 << 20, Relaxed);
        assert!(status_line(&progress, "R").starts_with("R, live; the newest came "));
    }
}
