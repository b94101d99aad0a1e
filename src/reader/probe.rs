//! What is in a recording, told without downloading it (`reader --probe`).

use crate::tool::clock;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::human::sizes::show_bytes;
use crate::human::times::{show, show_of_day};
use crate::media::fmp4::{Base, Run, TrackKind};
use crate::object::seek::{Opened, SeekError, Seeker};
use crate::object::wanted::Wanted;
use crate::reader::error::ReadError;
use crate::reader::join::{self, Clock};
use crate::store::Patient;

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
pub async fn examine(store: &Patient, wanted: &Wanted) -> Result<Report, ReadError> {
    let (located, opened) = join::open(store, wanted).await?;
    let mut seeker = match opened? {
        Opened::Fragments(seeker) => *seeker,
        Opened::TransportStream { ranges, .. } => return Err(SeekError::TransportStream(ranges.object()).into()),
    };
    seeker.is_timed()?;
    see_the_end(&mut seeker).await?;
    Ok(report(store.object(&wanted.key), &seeker, located.version.as_deref(), located.is_open()))
}

/// Looks at the newest two groups of pictures: the last one may be there in part only, and the distance of key frames takes two.
async fn see_the_end(seeker: &mut Seeker<'_>) -> Result<(), SeekError> {
    let edge = seeker.edge;
    seeker.look_wide();
    let newest = seeker.key_before(edge, i64::MAX).await?;
    seeker.key_before(newest.moof, i64::MAX).await?;
    Ok(())
}

/// Whole seconds that the object plays which `wanted` names, if it is a fragmented MP4 that can be read: by a handful of requests.
pub(crate) async fn duration(store: &Patient, wanted: &Wanted) -> Option<u64> {
    let (_, opened) = join::open(store, wanted).await.ok()?;
    let Ok(Opened::Fragments(mut seeker)) = opened else { return None };
    seeker.is_timed().ok()?;
    see_the_end(&mut seeker).await.ok()?;
    let nanos = whole(&seeker).0.saturating_sub(seeker.zero());
    u64::try_from(nanos / 1_000_000_000).ok()
}

fn report(object: String, seeker: &Seeker<'_>, version: Option<&str>, growing: bool) -> Report {
    let lengths = lengths(seeker);
    let (reaches, bytes) = whole(seeker);
    let length = reaches.saturating_sub(seeker.zero());
    let duration = seconds(length);
    let bits = number(bytes) * 8.0 / duration.max(0.001);
    let Lengths { frame_rate, key_distance, mean, .. } = lengths;
    let ranges = &seeker.ranges;
    let parts = ranges.part_size.map(|size| seeker.edge.div_ceil(size.max(1)));
    let age = ranges.started.map(|started| clock::seconds().saturating_sub(started).max(0));
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
    line("duration", show(length));
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

/// How far the stream can be played, in nanoseconds of its own clock, and the bytes up to there: the newest fragment may be
/// there in part only.
fn whole(seeker: &Seeker<'_>) -> (i64, u64) {
    let whole = seeker.seen.values().rev().find_map(|fragment| {
        let end = fragment.end.or(fragment.data_end).filter(|end| *end <= seeker.edge)?;
        seeker.main_run(fragment).map(|run| (run.nanos(run.latest), end))
    });
    whole.unwrap_or_else(|| (seeker.reaches(), seeker.edge))
}

/// A fragment of the main track, and whether it is known to follow the one before without a gap.
#[derive(Debug, Clone, Copy)]
struct Seen {
    run: Run,
    follows: bool,
}

/// The main track's fragments that were seen, in order.
fn of_main(seeker: &Seeker<'_>) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    // Where all that was seen since the fragment before ends, if that has no gap.
    let mut reach = None;
    for fragment in seeker.seen.values() {
        let adjoins = reach == Some(fragment.first);
        reach = fragment.end.or(fragment.data_end).filter(|_| adjoins || seeker.main_run(fragment).is_some());
        if let Some(run) = seeker.main_run(fragment) {
            all.push(Seen { run: *run, follows: adjoins || all.last().is_some_and(|last| meet(&last.run, run)) });
        }
    }
    all
}

/// Whether one begins when the other ends, to half a frame.
fn meet(one: &Run, next: &Run) -> bool {
    let slack = one.duration / one.samples.max(1) / 2;
    one.samples > 1 && one.decode.saturating_add(one.duration).abs_diff(next.decode) <= slack
}

/// What the main track's fragments are like. Only decode times of fragments without a gap in between are compared: what a
/// fragment says of the duration of its last frame is often a guess.
fn lengths(seeker: &Seeker<'_>) -> Lengths {
    let seen = of_main(seeker);
    let mut all = Lengths::default();
    let (mut sum, mut longest) = (0.0, 0);
    for stretch in seen.chunk_by(|_, next| next.follows) {
        let Some((last, others)) = stretch.split_last() else { continue };
        let ticks = |from: &Seen, to: &Seen| to.run.decode.saturating_sub(from.run.decode);
        let seconds = |ticks: u64| number(ticks) / f64::from(last.run.timescale);
        let mut note = |length: f64| {
            all.least = if all.fragments == 0 { length } else { all.least.min(length) };
            all.most = all.most.max(length);
            sum += length;
            all.fragments = all.fragments.saturating_add(1);
        };
        for (one, next) in stretch.iter().zip(stretch.iter().skip(1)) {
            note(seconds(ticks(one, next)));
        }
        if others.is_empty() && last.run.samples > 1 {
            note(seconds(last.run.duration));
        }
        let whole = stretch.first().map_or(0, |first| ticks(first, last));
        if whole > longest {
            longest = whole;
            let from = |first: &Seen, last: &Seen, count: fn(&Run) -> u64| -> f64 {
                let until = others.iter().filter(|seen| seen.run.decode < last.run.decode);
                number(until.filter(|seen| seen.run.decode >= first.run.decode).map(|seen| count(&seen.run)).sum())
            };
            let keys: Vec<&Seen> = stretch.iter().filter(|seen| seen.run.sync).collect();
            // From key frame to key frame if there are two: between them decode times need not be even.
            let (begin, end) = match (keys.first(), keys.last(), stretch.first()) {
                (Some(first), Some(last), _) if first.run.decode < last.run.decode => (*first, *last),
                (_, _, Some(first)) => (first, last),
                _ => continue,
            };
            let length = seconds(ticks(begin, end));
            all.frame_rate = Some(from(begin, end, |run| run.samples) / length);
            all.key_distance = (keys.len() > 1).then(|| length / from(begin, end, |run| run.syncs).max(1.0));
        }
    }
    all.mean = if all.fragments == 0 { 0.0 } else { sum / number(all.fragments) };
    if longest == 0 {
        // No two of them in a row: what the one with the most frames says of itself.
        let most = seen.iter().map(|seen| &seen.run).filter(|run| run.samples > 1).max_by_key(|run| run.samples);
        if let Some(run) = most {
            let duration = number(run.duration) / f64::from(run.timescale);
            all.frame_rate = Some(number(run.samples) / duration).filter(|rate| rate.is_finite());
            let every = seen.iter().all(|seen| seen.run.sync);
            all.key_distance = (every && run.syncs > 0).then(|| duration / number(run.syncs));
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
