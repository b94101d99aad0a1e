//! Figures, as Prometheus reads them. Pure.

use std::sync::atomic::Ordering::Relaxed;

use super::register::{Recording, Register};
use crate::tool::prometheus::{head, line};

/// A figure of a recording: its name, what kind it is, what it means, and where it is.
type Figure = (&'static str, &'static str, &'static str, fn(&Recording) -> f64);

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
const FIGURES: [Figure; 6] = [
    ("live_read_bytes_taken_total", "counter", "Bytes taken from the encoder.", |of| {
        of.progress.bytes_in.load(Relaxed) as f64
    }),
    ("live_read_bytes_stored_total", "counter", "Bytes that the store has.", |of| {
        of.progress.bytes_out.load(Relaxed) as f64
    }),
    ("live_read_parts_stored_total", "counter", "Parts that the store has.", |of| {
        of.progress.parts.load(Relaxed) as f64
    }),
    ("live_read_bytes_on_disk", "gauge", "Bytes that wait on disk while the store is away.", |of| {
        of.progress.spooled.load(Relaxed) as f64
    }),
    ("live_read_newest_seconds", "gauge", "How long ago something came from the encoder.", |of| {
        of.progress.silence().as_secs_f64()
    }),
    ("live_read_start_time_seconds", "gauge", "When the recording began, in seconds since 1970.", |of| {
        of.started as f64
    }),
];

/// All of them.
pub(super) fn text(register: &Register) -> String {
    let (all, (complete, failed)) = (register.all(), register.counts());
    let mut out = String::new();
    head(&mut out, "live_read_recordings", "gauge", "Recordings that are being written.");
    line(&mut out, "live_read_recordings", "", all.len());
    head(&mut out, "live_read_recordings_total", "counter", "Recordings that are over.");
    line(&mut out, "live_read_recordings_total", r#"{result="complete"}"#, complete);
    line(&mut out, "live_read_recordings_total", r#"{result="failed"}"#, failed);
    for (name, kind, help, value) in FIGURES {
        head(&mut out, name, kind, help);
        for (session, recording) in &all {
            // Names of streams have nothing in them that would have to be escaped.
            let labels = format!(r#"{{stream="{}",session="{session}"}}"#, recording.stream);
            line(&mut out, name, &labels, value(recording));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_recording_has_its_lines_as_long_as_it_is_there() {
        let register = Arc::<Register>::default();
        let progress = Arc::<crate::tool::progress::Progress>::default();
        progress.bytes_in.store(70_000_000_000, Relaxed);
        let recording = Recording { stream: "cam".into(), object: "k".into(), started: 5, progress };
        let entry = register.enter("5e55", recording);
        register.ended(true);
        let told = text(&register);
        for wanted in [
            "\nlive_read_recordings 1\n",
            "\nlive_read_recordings_total{result=\"complete\"} 1\n",
            "\nlive_read_bytes_taken_total{stream=\"cam\",session=\"5e55\"} 70000000000\n",
            "\n# TYPE live_read_bytes_on_disk gauge\n",
        ] {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
        let plain = |line: &str| {
            line.starts_with('#') || line.split_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())
        };
        assert!(told.lines().all(plain), "{told}");
        drop(entry);
        assert!(!text(&register).contains("5e55"));
    }
}
