//! The streams of several renditions of one program: pictures at several rates, of which the first rendition says when fragments begin,
//! and sound. Pure.
//!
//! A rate names its rendition: what is left of it by [`RATES`] is which one it is. So it is the same whatever becomes of the others.

use super::boxes::Time;
use super::streams::{Stream, Streams, TIMESCALE, There, name_of};
use crate::media::fmp4::TrackKind;
use crate::serve::glimpse::Glimpse;
use crate::serve::in_step::{NEAR, Spot, Spots, rows, shapes};
use crate::serve::renditions::MOST;

/// See the module.
const RATES: u64 = MOST as u64;

/// The rate by which a player names a rendition.
fn rate(stream: &Stream<'_>, position: usize) -> u64 {
    (stream.rate - stream.rate % RATES).max(RATES) + position as u64
}

/// Which rendition a rate names.
pub(crate) fn position(rate: u64) -> usize {
    usize::try_from(rate % RATES).unwrap_or(0)
}

/// Those that can be played, in the order that they have, but for this: the first is one with pictures that still grows, or else one that
/// goes on to the end, because it says when all is over.
pub(crate) fn ordered(all: Vec<Glimpse>) -> Vec<Glimpse> {
    let of = |glimpse: &Glimpse, kind| {
        let streams = Streams::of(&glimpse.tracks, glimpse.over);
        streams.of_kind(kind).map(|stream| stream.ends(stream.line.spans.len()))
    };
    let ends = |glimpse: &Glimpse| of(glimpse, TrackKind::Video).or_else(|| of(glimpse, TrackKind::Audio));
    let last = all.iter().filter_map(|glimpse| of(glimpse, TrackKind::Video)).max().unwrap_or(0);
    let mut all: Vec<_> = all.into_iter().filter(|glimpse| ends(glimpse).is_some()).collect();
    all.sort_by_key(|glimpse| {
        let pictures = of(glimpse, TrackKind::Video);
        let is_short = pictures.is_some_and(|ends| ends.saturating_add(TIMESCALE) < last);
        (pictures.is_none(), glimpse.over, glimpse.over && is_short)
    });
    all
}

/// What players are told of, by the newest `window` seconds: see [`Streams`]. A rendition is left out that has not all the pictures that
/// the first one has there.
pub(crate) fn streams(all: &[Glimpse], window: u64) -> Option<Streams<'_>> {
    let (first, others) = all.split_first()?;
    let mut streams = Streams::of(&first.tracks, first.over);
    let since = streams.since(window);
    streams.all = streams.all.into_iter().fold(Vec::new(), |mut own: Vec<Stream<'_>>, stream| {
        // One of each kind: others of the same object are not among the renditions.
        if !own.iter().any(|known| known.track.kind == stream.track.kind) {
            own.push(stream.called(name_of(stream.track.kind), rate(&stream, 0)));
        }
        own
    });
    for (position, other) in (1..).zip(others) {
        let its = Streams::of(&other.tracks, other.over);
        let lead = streams.of_kind(TrackKind::Video).map(|lead| (lead, lead.told(since, streams.over)));
        if let (Some((lead, told)), Some(stream)) = (lead, its.of_kind(TrackKind::Video)) {
            let pair = [of_line(lead, streams.over), of_line(stream, its.over)];
            if lead.level.four_cc == stream.level.four_cc && has_all(&pair, &told) {
                streams.all.push(stream.called(name_of(TrackKind::Video), rate(stream, position)));
            }
        }
        if streams.of_kind(TrackKind::Audio).is_none()
            && let Some(stream) = its.of_kind(TrackKind::Audio)
        {
            let named = stream.called(name_of(TrackKind::Audio), rate(stream, position));
            streams.all.push(named.beginning_at(streams.zero));
        }
    }
    Some(streams)
}

fn of_line(stream: &Stream<'_>, over: bool) -> Spots {
    Spots::of_line(stream.track, stream.line, over)
}

/// Whether the second has what the first has at these places.
fn has_all(pair: &[Spots; 2], told: &std::ops::Range<usize>) -> bool {
    let rows = rows(pair);
    let shapes = shapes(&rows, pair);
    let is_told = |has: Option<Spot>| has.is_some_and(|spot| told.contains(&spot.place));
    let mut told = rows.iter().zip(&shapes).filter(|(row, _)| is_told(row.has.first().copied().flatten()));
    told.all(|(_, shape)| shape.get(1).copied().flatten().is_some())
}

/// A fragment as the first rendition tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Lead {
    pub(crate) time: Time,
    pub(crate) next: Vec<Time>,
    pub(crate) timescale: u32,
    /// In microseconds.
    at: u64,
    end: u64,
    is_last: bool,
}

impl Lead {
    /// Of the pictures; whether there is something then, where there is none.
    ///
    /// # Errors
    /// [`There`].
    pub(crate) fn of(streams: &Streams<'_>, time: u64) -> Result<Self, There> {
        let stream = streams.of_kind(TrackKind::Video).ok_or(There::Nowhere)?;
        let place = match stream.at(time, streams.over) {
            There::Here(place) => place,
            other => return Err(other),
        };
        let spots = of_line(stream, streams.over);
        let spot = spots.all.get(place).ok_or(There::Nowhere)?;
        Ok(Self {
            time: stream.time(place),
            next: stream.next(place),
            timescale: stream.track.timescale,
            at: spot.at,
            end: spot.end,
            is_last: streams.over && place + 1 == spots.all.len(),
        })
    }

    /// Where the pictures of another rendition are that are the same.
    pub(crate) fn beside(&self, stream: &Stream<'_>, over: bool) -> There {
        let spots = of_line(stream, over);
        let Some(spot) = spots.at(self.at) else {
            let comes = spots.all.last().is_none_or(|last| last.end <= self.at.saturating_add(NEAR));
            return if comes && !over { There::NotYet } else { There::Nowhere };
        };
        let own = Spots { all: vec![Spot { at: self.at, end: self.end, era: 0, place: 0 }], over: self.is_last };
        let is_same = rows(&[own, spots.alone(spot)]).first().is_some_and(|row| row.has.iter().all(Option::is_some));
        if is_same { There::Here(spot.place) } else { There::Nowhere }
    }
}

/// The sound of a rendition that is not the first, by a beginning that is that of the first.
pub(crate) fn sound<'a>(streams: &Streams<'a>, zero: i128) -> Option<Stream<'a>> {
    Some(streams.of_kind(TrackKind::Audio)?.clone().beginning_at(zero))
}

/// Whether a stream is the one that a rate names.
pub(crate) fn is_named(stream: &Stream<'_>, wanted: u64) -> bool {
    rate(stream, position(wanted)) == wanted
}

#[cfg(test)]
mod tests {
    use super::super::streams::tests::of_known_codecs;
    use super::*;
    use crate::serve::hls::index::tests::stream;

    fn glimpse(position: usize, count: u32, over: bool) -> Glimpse {
        let mut index = of_known_codecs(&stream(count, 9));
        if over {
            index.finish();
        }
        Glimpse { position, tracks: index.tracks, over, target: 3, begun: 0, key_led: true }
    }

    fn told(all: &[Glimpse], window: u64) -> Vec<(String, usize)> {
        let streams = streams(all, window).expect("streams");
        streams.all.iter().map(|stream| (stream.name.clone(), position(stream.rate))).collect()
    }

    #[test]
    fn a_rate_names_its_rendition_and_never_changes() {
        let all = [glimpse(0, 80, false), glimpse(1, 80, false), glimpse(2, 80, false)];
        let want = [("video", 0), ("audio", 0), ("video", 1), ("video", 2)];
        assert_eq!(told(&all, 0), want.map(|(name, position)| (name.to_owned(), position)));
        let rates = |all: &[Glimpse]| streams(all, 0).expect("streams").all.iter().map(|s| s.rate).collect::<Vec<_>>();
        let over = [glimpse(0, 90, true), glimpse(1, 90, true), glimpse(2, 90, true)];
        assert_eq!(rates(&all), rates(&over));
        let streams = streams(&all, 0).expect("streams");
        for stream in &streams.all {
            assert!(!is_named(stream, stream.rate + RATES) && stream.rate >= RATES);
        }
    }

    #[test]
    fn one_that_ended_early_is_left_out_where_it_lacks_something() {
        let names = |all: &[Glimpse]| told(all, 0).len();
        assert_eq!(names(&[glimpse(0, 90, true), glimpse(1, 90, true)]), 3);
        assert_eq!(names(&[glimpse(0, 90, true), glimpse(1, 60, true)]), 2);
        // It grows, and is a little behind.
        assert_eq!(names(&[glimpse(0, 90, false), glimpse(1, 60, false)]), 3);
    }

    #[test]
    fn the_first_goes_on_to_the_end() {
        let positions = |all: Vec<Glimpse>| ordered(all).iter().map(|glimpse| glimpse.position).collect::<Vec<_>>();
        assert_eq!(positions(vec![glimpse(0, 60, true), glimpse(1, 90, true), glimpse(2, 88, true)]), [1, 2, 0]);
        assert_eq!(positions(vec![glimpse(0, 90, true), glimpse(1, 60, false)]), [1, 0]);
        assert_eq!(positions(vec![glimpse(0, 60, false), glimpse(1, 90, false)]), [0, 1]);
        assert_eq!(positions(vec![glimpse(0, 0, true), glimpse(1, 30, true)]), [1]);
    }

    #[test]
    fn a_fragment_of_another_rendition_is_the_one_with_the_same_times() {
        let (first, other) = (glimpse(0, 120, false), glimpse(1, 60, false));
        let (lead, its) = (Streams::of(&first.tracks, false), Streams::of(&other.tracks, false));
        let pictures = its.of_kind(TrackKind::Video).expect("pictures");
        for place in 0..3 {
            let time = pictures.time(place).0;
            let lead = Lead::of(&lead, time).expect("a fragment");
            assert_eq!((lead.time.0, lead.beside(pictures, false)), (time, There::Here(place)));
        }
        let late = Lead::of(&lead, pictures.time(0).1 * 3).expect("a fragment");
        assert_eq!((late.beside(pictures, false), late.beside(pictures, true)), (There::NotYet, There::Nowhere));
        assert_eq!(Lead::of(&lead, 1).err(), Some(There::Nowhere));
    }
}
