//! The manifest (MPD) of several renditions of one program as text: pictures among which a player may choose, and sound. Pure.
//!
//! A Period lasts as long as the same renditions have all of its segments, with the same times. So one that begins later, has a gap or
//! ends earlier is there where it can be played, and what does not agree with the others is nowhere.

use super::manifest::{Head, Representation, begin_period, begin_set, family, put_representation};
use super::names::{NOW, UPDATE};
use crate::media::fmp4::{Track, TrackKind};
use crate::serve::glimpse::Glimpse;
use crate::serve::hls::tracks::{Line, Span};
use crate::serve::in_step::{BEHIND, Row, Spot, Spots, rows, shapes, track_of};

/// Sounds have numbers from here on, so that no picture has the same.
const SOUNDS: u32 = 100;

/// A rendition, and where its segments are, as seen from the manifest.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) glimpse: &'a Glimpse,
    pub(crate) folder: String,
}

/// What all of them are, and where.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// How the renditions are named in a path.
    pub(crate) set: &'a str,
    /// Ends each URL.
    pub(crate) suffix: &'a str,
}

/// A stretch in which the same renditions have all.
struct Period {
    from: usize,
    to: usize,
    /// What is shown when it begins and when it ends, in microseconds.
    begins: u64,
    ends: u64,
}

/// The manifest; none where there is nothing in it that is played.
#[must_use]
pub(crate) fn text(all: &[Told<'_>], place: &Place<'_>) -> Option<String> {
    let spots = |told: &Told<'_>, kind| Spots::of(&told.glimpse.tracks, kind, told.glimpse.over);
    let mut pictures: Vec<Spots> = all.iter().map(|told| spots(told, TrackKind::Video)).collect();
    let has_pictures = pictures.iter().any(|spots| !spots.all.is_empty());
    let audible: Vec<_> = all.iter().map(|told| (told, spots(told, TrackKind::Audio))).collect();
    let sounds = sounds(&audible, &pictures, has_pictures);
    if !has_pictures {
        // What there is to be heard is all there is.
        pictures = sounds.iter().flatten().take(1).map(|(_, spots)| spots.clone()).collect();
    }
    let rows = rows(&pictures);
    let shapes = shapes(&rows, &pictures);
    let begins = rows.first()?.at;
    let first = sounds.iter().filter_map(|group| group.first()?.1.all.first());
    let begins = first.map(|spot| spot.at).fold(begins, u64::min);
    let last = sounds.iter().flatten().filter_map(|(_, spots)| spots.all.last()).map(|spot| spot.end);
    let ends = last.chain(rows.last().map(|row| row.end)).max()?;
    let periods = periods(&rows, &shapes, begins, ends);
    let over = all.iter().all(|told| told.glimpse.over);
    let growing = all.iter().find(|told| !told.glimpse.over);
    let clock = growing.or(all.first()).map(|told| format!("{}/{NOW}{}", told.folder, place.suffix))?;
    let update = format!("{}{UPDATE}{}", place.set, place.suffix);
    let target = all.iter().map(|told| told.glimpse.target).max().unwrap_or(1);
    let begun = growing.map_or(0, |told| begun(told.glimpse, begins));
    let head = Head { target, over, lasts: ends.saturating_sub(begins), begun, update: &update, clock: &clock };
    let mut text = String::with_capacity(4_096 + rows.len() * 24 * (all.len() + 1));
    let out = &mut text;
    head.begin(out);
    for period in &periods {
        let start = period.begins.saturating_sub(begins);
        begin_period(out, &start.to_string(), start);
        if has_pictures {
            put_pictures(out, all, rows.get(period.from..period.to).unwrap_or_default(), period.begins, place.suffix);
        }
        for (number, group) in (SOUNDS..).zip(&sounds) {
            put_sound(out, number, group, period, place.suffix);
        }
        out.push_str("</Period>\n");
    }
    head.end(out);
    Some(text)
}

/// A rendition with its sound.
type Heard<'a, 'b> = (&'b Told<'a>, Spots);

/// Who is heard: each that is nothing but sound, or else one of those that have any.
fn sounds<'a, 'b, 'c>(
    heard: &'c [Heard<'a, 'b>],
    pictures: &[Spots],
    has_pictures: bool,
) -> Vec<Vec<&'c Heard<'a, 'b>>> {
    let heard = || heard.iter().zip(pictures).filter(|((_, sound), _)| !sound.all.is_empty());
    let alone = heard().filter(|(_, pictures)| has_pictures && pictures.all.is_empty());
    let alone: Vec<_> = alone.map(|(heard, _)| vec![heard]).collect();
    if alone.is_empty() { vec![heard().map(|(heard, _)| heard).collect()] } else { alone }
}

/// When what is shown at `begins` was there, by what has come of this one.
fn begun(glimpse: &Glimpse, begins: u64) -> i64 {
    let first = |kind| Spots::of(&glimpse.tracks, kind, true).all.first().map(|spot| spot.at);
    let first = first(TrackKind::Video).or_else(|| first(TrackKind::Audio)).unwrap_or(begins);
    let before = i64::try_from(first.saturating_sub(begins)).unwrap_or(0);
    glimpse.begun.saturating_sub(before)
}

fn periods(rows: &[Row], shapes: &[Vec<Option<usize>>], begins: u64, ends: u64) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    let mut from = 0;
    for run in shapes.chunk_by(|a, b| a == b) {
        let to = from + run.len();
        let Some(first) = rows.get(from) else { continue };
        let at = if periods.is_empty() { begins } else { first.at };
        if let Some(before) = periods.last_mut() {
            before.ends = at;
        }
        periods.push(Period { from, to, begins: at, ends });
        from = to;
    }
    periods
}

fn offset(period_begins: u64, track: &Track) -> u128 {
    u128::from(period_begins) * u128::from(track.timescale) / 1_000_000
}

/// Pictures that one decoder can show are a set of their own.
fn put_pictures(out: &mut String, all: &[Told<'_>], rows: &[Row], begins: u64, suffix: &str) {
    let of = |(number, told): (usize, &'_ Told<'_>)| {
        let spots: Vec<Spot> = rows.iter().filter_map(|row| row.has.get(number).copied().flatten()).collect();
        let era = spots.first()?.era;
        Some((number, era, spots, track_of(&told.glimpse.tracks, era, TrackKind::Video)?.0.codec.clone()))
    };
    let mut told: Vec<_> = all.iter().enumerate().filter_map(of).collect();
    for id in 1u32.. {
        let Some(codec) = told.first().map(|(.., codec)| family(codec).to_owned()) else { return };
        let (set, rest): (Vec<_>, Vec<_>) = told.into_iter().partition(|(.., other)| family(other) == codec);
        told = rest;
        let led = |number: usize| all.get(number).is_some_and(|told| told.glimpse.key_led);
        begin_set(out, id, TrackKind::Video, set.iter().all(|(number, ..)| led(*number)));
        for (number, era, spots, _) in &set {
            let Some(told) = all.get(*number) else { continue };
            put(out, told, (*era, TrackKind::Video), spots, begins, suffix);
        }
        out.push_str("</AdaptationSet>\n");
    }
}

/// What is heard while a period lasts, by the middle of each segment: of the first that has about as much as any.
fn put_sound(out: &mut String, id: u32, group: &[&Heard<'_, '_>], period: &Period, suffix: &str) {
    let within = |spots: &Spots| {
        let is_in = |spot: &&Spot| (period.begins..period.ends).contains(&spot.at.midpoint(spot.end));
        let mut spots: Vec<Spot> = spots.all.iter().filter(is_in).copied().collect();
        let era = spots.first().map(|spot| spot.era);
        spots.retain(|spot| Some(spot.era) == era);
        spots
    };
    let lasts = |spots: &[Spot]| spots.iter().map(|spot| spot.end.saturating_sub(spot.at)).fold(0, u64::saturating_add);
    let all: Vec<_> = group.iter().map(|(told, spots)| (told, within(spots), spots.over)).collect();
    let most = all.iter().map(|(_, spots, _)| lasts(spots)).max().unwrap_or(0);
    let has_enough = |(_, spots, over): &&(&&Told<'_>, Vec<Spot>, bool)| {
        let lasts = lasts(spots);
        let may_come = !over && lasts > 0 && lasts.saturating_add(BEHIND) >= most;
        lasts > 0 && (may_come || lasts >= most / 10 * 9)
    };
    let Some((told, spots, _)) = all.iter().find(has_enough) else { return };
    let Some(era) = spots.first().map(|spot| spot.era) else { return };
    begin_set(out, id, TrackKind::Audio, true);
    put(out, told, (era, TrackKind::Audio), spots, period.begins, suffix);
    out.push_str("</AdaptationSet>\n");
}

fn put(out: &mut String, told: &Told<'_>, (era, kind): (usize, TrackKind), spots: &[Spot], begins: u64, suffix: &str) {
    let Some((track, line)): Option<(&Track, &Line)> = track_of(&told.glimpse.tracks, era, kind) else { return };
    let spans: Vec<Span> = spots.iter().filter_map(|spot| line.spans.get(spot.place).copied()).collect();
    let (id, rate) = (format!("{}-{}", told.glimpse.position, track.id), line.rate(track.timescale));
    let told_of = Representation { id: &id, track, rate, offset: offset(begins, track) };
    put_representation(out, &told_of, &format!("{}/{era}-{}", told.folder, track.id), suffix, &spans);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::hls::index::tests::{index, stream};

    fn glimpse(position: usize, count: u32, over: bool) -> Glimpse {
        let mut index = index([&stream(count, 9)[..]]);
        if over {
            index.finish();
        }
        Glimpse { position, tracks: index.tracks, over, target: 3, begun: 1_000_000, key_led: true }
    }

    fn made(all: &[Glimpse]) -> String {
        let told = |glimpse| Told { glimpse, folder: format!("../{}.mp4/v", glimpse.position) };
        let told: Vec<_> = all.iter().map(told).collect();
        text(&told, &Place { set: "0.mp4@v,1.mp4@v", suffix: "?bucket=b" }).expect("a manifest")
    }

    #[test]
    fn pictures_are_one_set_with_all_renditions_and_sound_is_there_once() {
        let live = made(&[glimpse(0, 80, false), glimpse(1, 80, false)]);
        for part in [
            " type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:01.000Z\" ",
            "<Location>0.mp4@v,1.mp4@v.mpd?bucket=b</Location>\n",
            " value=\"../0.mp4/v/now?bucket=b\"/>\n",
            "<AdaptationSet id=\"1\" contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">\n\
             <Representation id=\"0-1\" ",
            "initialization=\"../1.mp4/v/0-1/init.mp4?bucket=b\" media=\"../1.mp4/v/0-1/$Time$.m4s?bucket=b\">",
            "<AdaptationSet id=\"100\" contentType=\"audio\" ",
        ] {
            assert!(live.contains(part), "{part}\n{live}");
        }
        let count = |text: &str, part: &str| text.matches(part).count();
        let counts = |text: &str| ["<Period ", "<AdaptationSet ", "<Representation "].map(|part| count(text, part));
        assert_eq!(counts(&live), [1, 2, 3], "{live}");
        let over = made(&[glimpse(0, 80, true), glimpse(1, 80, true)]);
        assert!(
            over.contains(" type=\"static\" mediaPresentationDuration=\"PT9.6") && !over.contains("Location"),
            "{over}"
        );
        assert_eq!(counts(&over), [1, 2, 3], "{over}");
        // One that ends earlier is left out from there on (its sound, too), and one that is still recorded keeps it live.
        let short = made(&[glimpse(0, 80, false), glimpse(1, 54, true)]);
        assert_eq!(counts(&short), [2, 4, 5], "{short}");
        assert!(
            short.contains("dynamic") && short.contains("<Period id=\"6480000\" start=\"PT6.480000S\">"),
            "{short}"
        );
    }
}
