//! Figures, as Prometheus reads them. Pure.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::register::{Recording, Register};
use crate::ingest::figures::Figures;
use crate::tool::prometheus::{head, line};

/// A figure of a recording: its name, what kind it is, what it means, and where it is, under further labels where it has several
/// values. Of what is made here some have none.
type Figure = (&'static str, &'static str, &'static str, &'static [(&'static str, Value)]);
type Value = fn(&Recording) -> Option<f64>;

const FIGURES: [Figure; 16] = [
    (
        "live_read_bytes_taken_total",
        "counter",
        "Bytes taken from the encoder.",
        &[("", |of| Some(number(of.progress.bytes_in.load(Relaxed))))],
    ),
    (
        "live_read_bytes_stored_total",
        "counter",
        "Bytes that the store has.",
        &[("", |of| Some(number(of.progress.bytes_out.load(Relaxed))))],
    ),
    (
        "live_read_bytes_not_stored",
        "gauge",
        "Bytes that were taken and that the store has not yet.",
        &[("", |of| Some(number(of.progress.held())))],
    ),
    (
        "live_read_parts_stored_total",
        "counter",
        "Parts that the store has.",
        &[("", |of| Some(number(of.progress.parts.load(Relaxed))))],
    ),
    (
        "live_read_bytes_on_disk",
        "gauge",
        "Bytes that wait on disk while the store is away.",
        &[("", |of| Some(number(of.progress.spooled.load(Relaxed))))],
    ),
    (
        "live_read_newest_seconds",
        "gauge",
        "How long ago something came from the encoder.",
        &[("", |of| Some(of.progress.silence().as_secs_f64()))],
    ),
    (
        "live_read_start_time_seconds",
        "gauge",
        "When the recording began, in seconds since 1970.",
        &[("", |of| Some(signed(of.started)))],
    ),
    (
        "live_read_frames_total",
        "counter",
        "Frames that came one by one (RTMP).",
        &[
            (r#",kind="video""#, |of| counted(of, |figures| &figures.video)),
            (r#",kind="audio""#, |of| counted(of, |figures| &figures.audio)),
        ],
    ),
    (
        "live_read_frames_dropped_total",
        "counter",
        "Frames that are not in the recording.",
        &[
            (r#",reason="unusable""#, |of| counted(of, |figures| &figures.unusable)),
            (r#",reason="broken""#, |of| counted(of, |figures| &figures.broken)),
        ],
    ),
    (
        "live_read_fragments_total",
        "counter",
        "Fragments that came whole (HTTP).",
        &[("", |of| counted(of, |figures| &figures.fragments))],
    ),
    (
        "live_read_key_frame_interval_seconds",
        "gauge",
        "How far the last two key frames were apart.",
        &[("", |of| counted(of, |figures| &figures.key_interval).map(|millis| millis / 1000.0))],
    ),
    (
        "live_read_drift_seconds",
        "gauge",
        "How far the encoder's time is ahead of when it came.",
        &[("", |of| of.figures.as_ref().map(|figures| signed(figures.drift.load(Relaxed)) / 1000.0))],
    ),
    (
        "live_read_time_jumps_total",
        "counter",
        "How often the encoder's time jumped.",
        &[("", |of| counted(of, |figures| &figures.jumps))],
    ),
    (
        "live_read_reconnects_total",
        "counter",
        "How often an encoder came back.",
        &[("", |of| counted(of, |figures| &figures.reconnects))],
    ),
    (
        "live_read_takeovers_total",
        "counter",
        "How often an encoder took over from another.",
        &[("", |of| counted(of, |figures| &figures.takeovers))],
    ),
    (
        "live_read_ladder_restarts_total",
        "counter",
        "How often the ladder's ffmpeg was started again.",
        &[("", |of| counted(of, |figures| &figures.ladder_restarts))],
    ),
];

fn counted(of: &Recording, which: fn(&Figures) -> &AtomicU64) -> Option<f64> {
    of.figures.as_ref().map(|figures| number(which(figures).load(Relaxed)))
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn number(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn signed(count: i64) -> f64 {
    count as f64
}

/// All of them.
pub(super) fn text(register: &Register) -> String {
    let (all, (complete, failed)) = (register.all(), register.counts());
    let mut out = String::new();
    head(&mut out, "live_read_recordings", "gauge", "Recordings that are being written.");
    line(&mut out, "live_read_recordings", "", all.len());
    head(&mut out, "live_read_recordings_total", "counter", "Recordings that are over.");
    line(&mut out, "live_read_recordings_total", r#"{result="complete"}"#, complete);
    line(&mut out, "live_read_recordings_total", r#"{result="failed"}"#, failed);
    for (name, kind, help, values) in FIGURES {
        head(&mut out, name, kind, help);
        for (session, recording) in &all {
            for (more, value) in values {
                let Some(value) = value(recording) else { continue };
                // Names of streams have nothing in them that would have to be escaped.
                let labels = format!(r#"{{stream="{}",session="{session}"{more}}}"#, recording.stream);
                line(&mut out, name, &labels, value);
            }
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
        let figures = Arc::<Figures>::default();
        figures.audio.store(47, Relaxed);
        figures.key_interval.store(2500, Relaxed);
        figures.drift.store(-80, Relaxed);
        let recording =
            Recording { stream: "cam".into(), object: "k".into(), started: 5, progress, figures: Some(figures) };
        let made = Recording { stream: "cam/720p".into(), figures: None, ..recording.clone() };
        let _made = register.enter("5e55/720p", made);
        let entry = register.enter("5e55", recording);
        register.ended(true);
        let told = text(&register);
        for wanted in [
            "\nlive_read_recordings 2\n",
            "\nlive_read_frames_total{stream=\"cam\",session=\"5e55\",kind=\"audio\"} 47\n",
            "\nlive_read_key_frame_interval_seconds{stream=\"cam\",session=\"5e55\"} 2.5\n",
            "\nlive_read_drift_seconds{stream=\"cam\",session=\"5e55\"} -0.08\n",
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
        assert!(!told.contains("live_read_frames_total{stream=\"cam/720p\""), "{told}");
        drop(entry);
        assert!(!text(&register).contains("\"5e55\""));
    }
}
