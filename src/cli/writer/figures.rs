//! Figures of a running writer, in words and for programs. Pure: made out of counters.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use crate::human::sizes::show_bytes;
use crate::store::Totals;
use crate::tool::progress::Progress;
use crate::tool::stats;

/// What the status line says beside the rate.
pub(crate) fn status_line(progress: &Progress, rate: &str) -> String {
    let parts = progress.parts.load(Relaxed);
    let spooled = match progress.spooled.load(Relaxed) {
        0 => String::new(),
        bytes => format!(", {} of it on disk", show_bytes(bytes)),
    };
    format!("{rate}, {parts} parts stored, {} not yet stored{spooled}", show_bytes(progress.held()))
}

/// The time and the requests that it took, and, where bytes may be sent `twice` or more often, how often that was.
pub(crate) fn bill(progress: &Progress, requests: &Totals, twice: bool) -> String {
    let bill = format!("{:.1} s; requests: {requests} ({})", progress.elapsed().as_secs_f64(), requests.by_class());
    let (sent, taken) = (requests.sent, progress.bytes_in.load(Relaxed));
    if !twice || taken == 0 {
        return bill;
    }
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let times = sent as f64 / taken as f64;
    format!("{bill}; uploaded {}, {times:.1} times as much as came in", show_bytes(sent))
}

/// What a line of `--stats` tells.
pub(crate) fn facts(progress: &Progress) -> Value {
    json!({
        "bytes_taken": progress.bytes_in.load(Relaxed),
        "bytes_stored": progress.bytes_out.load(Relaxed),
        "bytes_uploaded": progress.bytes_sent.load(Relaxed),
        "parts_stored": progress.parts.load(Relaxed),
        "bytes_on_disk": progress.spooled.load(Relaxed),
        "newest_came": stats::round(progress.silence()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_tells_of_the_disk_only_when_something_waits_there() {
        let progress = Progress::default();
        progress.bytes_in.store(3 << 20, Relaxed);
        progress.bytes_out.store(1 << 20, Relaxed);
        progress.parts.store(2, Relaxed);
        assert_eq!(status_line(&progress, "R"), format!("R, 2 parts stored, {} not yet stored", show_bytes(2 << 20)));
        progress.spooled.store(1 << 20, Relaxed);
        assert!(status_line(&progress, "R").ends_with(&format!("{} of it on disk", show_bytes(1 << 20))));
    }

    #[test]
    fn the_bill_tells_how_often_a_byte_was_sent_where_that_may_be_more_than_once() {
        let (progress, mut requests) = (Progress::default(), Totals::default());
        assert!(!bill(&progress, &requests, true).contains("times"), "nothing came in");
        progress.bytes_in.store(10, Relaxed);
        requests.sent = 25;
        assert!(bill(&progress, &requests, true).ends_with("2.5 times as much as came in"));
        assert!(!bill(&progress, &requests, false).contains("times"));
    }
}
