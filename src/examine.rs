//! What is in a recording, told without downloading it (`reader --probe`).

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cli::times::{show, show_of_day};
use crate::cli::units::show_bytes;
use crate::fmp4::{Base, Run, TrackKind};
use crate::follow::ReadError;
use crate::join::{self, Clock};
use crate::locate::Wanted;
use crate::seek::{Opened, SeekError, Seeker};
use crate::store::Store;

/// What the main track's fragments that were looked at are like.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    fragments: u64,
    least: f64,
    most: f64,
    mean: f64,
    frame_rate: Option<f64>,
    key_distance: Option<f64>,
}

/// What was found out.
#[derive(Debug, Clone)]
pub struct Report {
    /// For programs.
    pub json: Value,
    /// For people, in lines.
    pub text: String,
}

/// Looks at the object that `wanted` names.
///
/// # Errors
/// [`ReadError`], above all where there is nothing, or no fragmented MP4.
pub async fn examine(store: &Store, wanted: &Wanted) -> Result<Report, ReadError> {
    let (located, opened) = join::open(store, wanted).await?;
    let mut seeker = match opened? {
        Opened::Fragments(seeker) => *seeker,
        Opened::TransportStream { ranges, .. } => return Err(SeekError::TransportStream(ranges.object()).into()),
    };
    seeker.is_timed()?;
    let edge = seeker.edge;
    let newest = seeker.key_before(edge, i64::MAX).await?;
    if !seeker.lead_is_whole_group() {
        // The distance of key frames takes two of them.
        seeker.key_before(newest.moof, i64::MAX).await?;
    }
    Ok(report(store.object(&wanted.key), &seeker, located.version.as_deref(), located.is_open()))
}

fn report(object: String, seeker: &Seeker<'_>, version: Option<&str>, growing: bool) -> Report {
    let lengths = lengths(seeker);
    let duration = seconds(seeker.reaches().saturating_sub(seeker.zero()));
    let bits = number(seeker.edge) * 8.0 / duration.max(0.001);
    let Lengths { frame_rate, key_distance, mean, .. } = lengths;
    let ranges = &seeker.ranges;
    let parts = ranges.part_size.map(|size| seeker.edge.div_ceil(size.max(1)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    let age = now.zip(ranges.started).map(|(now, started)| now.saturating_sub(started).max(0));
    let clock = Clock::of(seeker);
    let began = clock.origin.map(|origin| origin.saturating_add(seeker.zero()).div_euclid(1_000_000_000));
    let video = seeker.main.kind == TrackKind::Video;
    let tracks: Vec<Value> = seeker
        .header
        .movie
        .tracks
        .iter()
        .map(|track| match track.kind {
            TrackKind::Video => json!({
                "id": track.id, "kind": "video", "codec": track.codec, "width": track.width, "height": track.height,
                "frame_rate": frame_rate.filter(|_| track.id == seeker.main.id).map(round),
            }),
            TrackKind::Audio => json!({
                "id": track.id, "kind": "audio", "codec": track.codec, "sample_rate": track.sample_rate,
                "channels": track.channels,
            }),
            TrackKind::Other => json!({ "id": track.id, "kind": "other", "codec": track.codec }),
        })
        .collect();
    let json = json!({
        "object": object,
        "version": version,
        "growing": growing,
        "format": "fragmented MP4",
        "codecs": seeker.header.movie.codecs(),
        "tracks": tracks,
        "bytes": seeker.edge,
        "duration": round(duration),
        "bit_rate": (bits.round()),
        "fragment_seconds": { "least": round(lengths.least), "mean": round(mean), "most": round(lengths.most) },
        "fragments_seen": lengths.fragments,
        "key_frame_seconds": key_distance.filter(|_| video).map(round),
        "default_base_is_moof": seeker.lead.base == Base::Moof,
        "part_size": ranges.part_size,
        "parts": parts,
        "upload_started": ranges.started.map(show_of_day),
        "upload_age_seconds": age,
        "first_frame_at": began.map(show_of_day),
        "first_frame_at_is_exact": clock.exact,
        "requests": ranges.requests,
    });
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<16}{value}");
    };
    let state = if growing { "open: its upload is not complete, so that it may grow" } else { "complete" };
    line("object", object);
    line("state", state.to_owned());
    if let Some(version) = version {
        line(if growing { "upload id" } else { "version" }, version.to_owned());
    }
    if let (Some(started), Some(age)) = (ranges.started, age) {
        line("upload began", format!("{}, {} ago", show_of_day(started), show(age.saturating_mul(1_000_000_000))));
    }
    if let (Some(size), Some(parts)) = (ranges.part_size, parts) {
        line("parts", format!("{parts} so far, of {size} bytes"));
    }
    line("bytes", format!("{} ({})", seeker.edge, show_bytes(seeker.edge)));
    line("duration", show(seeker.reaches().saturating_sub(seeker.zero())));
    line("bit rate", format!("{:.2} Mbit/s", bits / 1e6));
    for track in &seeker.header.movie.tracks {
        let what = match track.kind {
            TrackKind::Video => {
                let rate = frame_rate.filter(|_| track.id == seeker.main.id);
                let rate = rate.map(|rate| format!(", {rate:.2} frames/s")).unwrap_or_default();
                format!("video, {}, {}x{}{rate}", track.codec, track.width, track.height)
            }
            TrackKind::Audio => {
                format!("audio, {}, {} Hz, {} channels", track.codec, track.sample_rate, track.channels)
            }
            TrackKind::Other => format!("other, {}", track.codec),
        };
        line(&format!("track {}", track.id), what);
    }
    line("fragments", format!("{mean:.3} s ({:.3} to {:.3} s)", lengths.least, lengths.most));
    if let Some(distance) = key_distance.filter(|_| video) {
        line("key frames", format!("every {distance:.3} s"));
    }
    if seeker.lead.base != Base::Moof {
        line("note", "no default-base-is-moof, so browsers may refuse it while it grows".to_owned());
    }
    if let Some(began) = began.filter(|_| clock.exact) {
        line("first frame at", show_of_day(began));
    }
    Report { json, text }
}

/// What the main track's fragments that were seen are like. Those of one stretch without a gap in time go together.
fn lengths(seeker: &Seeker<'_>) -> Lengths {
    let mut all = Lengths::default();
    let runs: Vec<&Run> = seeker.seen.values().filter_map(|fragment| seeker.main_run(fragment)).collect();
    let follows = |one: &&Run, next: &&Run| {
        let slack = one.duration.max(next.duration);
        one.decode.saturating_add(one.duration).abs_diff(next.decode) <= slack
    };
    let length = |run: &Run, ticks: u64| number(ticks) / f64::from(run.timescale);
    let mut longest = 0.0;
    for stretch in runs.chunk_by(follows) {
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { continue };
        for run in stretch {
            let length = length(run, run.duration);
            all.least = if all.fragments == 0 { length } else { all.least.min(length) };
            all.most = all.most.max(length);
            all.fragments = all.fragments.saturating_add(1);
        }
        let whole = length(first, last.decode.saturating_add(last.duration).saturating_sub(first.decode));
        if whole <= longest {
            continue;
        }
        longest = whole;
        all.mean = whole / number(stretch.len() as u64);
        all.frame_rate = Some(stretch.iter().map(|run| number(run.samples)).sum::<f64>() / whole);
        // From a key frame to the last one; to the end where every fragment is a group of pictures.
        let every = stretch.iter().all(|run| run.sync && run.samples > 1);
        let from = stretch.iter().position(|run| run.sync);
        let to = if every { Some(stretch.len()) } else { stretch.iter().rposition(|run| run.sync) };
        let group = from.zip(to).and_then(|(from, to)| stretch.get(from..to)).unwrap_or_default();
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            let groups = length(first, last.decode.saturating_add(last.duration).saturating_sub(first.decode));
            let keys: u64 = group.iter().map(|run| run.syncs).sum();
            all.key_distance = (keys > 0).then(|| groups / number(keys));
        }
    }
    all
}

#[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
fn number(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "shown with three decimals")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// To a thousandth.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
