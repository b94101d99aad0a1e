//! Brings fragments to another place and time: what is sent of a stream that is joined, or cut out of it.
//!
//! The stream goes through in slices cut anywhere, from a fragment on. What tells places in the whole stream
//! (base-data-offset) is put right, times are moved back if asked to (`tfdt`, `prft`, `emsg`), and indexes of the whole
//! (`sidx`, `mfra`), which would be wrong, are left out. Only the boxes before a fragment's media data are held back.
//!
//! It also sees where a clip may end: before the first fragment with a key frame, once nothing that was asked for is
//! still to come.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::boxes::{BoxHead, BoxWalker, Event, FourCc, WHOLE_MAX, Wish};
use super::fields::{Boxes, byte, find, long, word};
use super::moof::{Moof, ticks};
use super::movie::{Movie, TrackKind};
use super::traf::BASE_DATA_OFFSET;

/// What is done with a box of the top level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// It goes through as it comes.
    Pass,
    /// It is left out.
    Drop,
    /// It is held until it is whole, or until the fragment that it describes is.
    Hold,
}

fn action(head: &BoxHead) -> Action {
    match &head.kind.0 {
        b"sidx" | b"ssix" | b"mfra" => Action::Drop,
        b"moof" | b"styp" | b"prft" | b"emsg" if head.content_len().is_some_and(|len| len <= WHOLE_MAX as u64) => {
            Action::Hold
        }
        _ => Action::Pass,
    }
}

fn wish(head: &BoxHead) -> Wish {
    match action(head) {
        Action::Hold => Wish::Whole,
        Action::Pass | Action::Drop => Wish::Skip,
    }
}

/// Moves fragments as they come; see the [module](self).
#[derive(Debug)]
pub struct Mover {
    movie: Arc<Movie>,
    walker: BoxWalker,
    /// Bytes of the output so far.
    given: u64,
    /// How far times are moved back, in nanoseconds.
    back: i64,
    /// The presentation time in nanoseconds before which everything is wanted.
    until: Option<i64>,
    /// What the stream is up to now: where the contents that go through begin and end.
    passing: Option<(u64, u64)>,
    /// Boxes that wait for the fragment that they describe.
    held: BytesMut,
    /// How far each track was seen to reach, with the sample that would come next: its id and a presentation time in
    /// nanoseconds.
    reached: Vec<(u32, i64)>,
    /// Whether a key frame at or after `until` has been seen.
    beyond: bool,
    done: bool,
    broken: bool,
}

impl Mover {
    /// For a stream with this header of which what follows begins at byte `at`, to come after `given` bytes of output.
    #[must_use]
    pub fn new(movie: Arc<Movie>, at: u64, given: u64) -> Self {
        Self {
            movie,
            walker: BoxWalker::starting_at(wish, at),
            given,
            back: 0,
            until: None,
            passing: None,
            held: BytesMut::new(),
            reached: Vec::new(),
            beyond: false,
            done: false,
            broken: false,
        }
    }

    /// Moves times back by so many nanoseconds, but none below zero.
    #[must_use]
    pub fn back(self, nanos: i64) -> Self {
        Self { back: nanos.max(0), ..self }
    }

    /// Ends when everything is there that is shown before this time in nanoseconds.
    #[must_use]
    pub fn until(self, nanos: Option<i64>) -> Self {
        Self { until: nanos, ..self }
    }

    /// Whether everything that was wanted has been given.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the stream turned out to be broken; from there on it goes through as it is.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes of the output so far.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Takes the next bytes of the stream; gives what belongs to the output.
    pub fn pass(&mut self, bytes: &Bytes) -> Vec<Bytes> {
        let mut out = Vec::new();
        if self.done {
            return out;
        }
        if self.broken {
            self.given = self.given.saturating_add(bytes.len() as u64);
            out.push(bytes.clone());
            return out;
        }
        let from = self.walker.offset();
        let mut walker = std::mem::take(&mut self.walker);
        for event in walker.feed(bytes) {
            if self.done || self.broken {
                break;
            }
            match event {
                Event::Start(head) => {
                    self.pass_on(bytes, from, head.offset, &mut out);
                    self.start(&head, &mut out);
                }
                Event::Kept(head, body) => self.kept(&head, &body, &mut out),
                Event::Off { offset, .. } => {
                    self.pass_on(bytes, from, offset, &mut out);
                    self.passing = None;
                    self.flush(&mut out);
                    self.broken = true;
                    // What of the offending header came before is lost; the rest goes through.
                    let rest = usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX);
                    self.give(bytes.slice(rest.min(bytes.len())..), &mut out);
                }
            }
        }
        if !self.done && !self.broken {
            self.pass_on(bytes, from, walker.offset(), &mut out);
        }
        self.walker = walker;
        out
    }

    fn give(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) {
        if !bytes.is_empty() {
            self.given = self.given.saturating_add(bytes.len() as u64);
            out.push(bytes);
        }
    }

    /// Gives what of these bytes, which begin at `from`, belongs to the box that goes through and is before `limit`.
    fn pass_on(&mut self, bytes: &Bytes, from: u64, limit: u64, out: &mut Vec<Bytes>) {
        let Some((begin, end)) = self.passing else { return };
        let place = |offset: u64| usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes.len());
        let (first, last) = (place(begin), place(end.min(limit)));
        if first < last {
            self.passing = Some((from.saturating_add(last as u64), end));
            self.give(bytes.slice(first..last), out);
        }
    }

    fn start(&mut self, head: &BoxHead, out: &mut Vec<Bytes>) {
        self.passing = None;
        if action(head) == Action::Pass {
            self.flush(out);
            self.give(Bytes::from(header_bytes(head)), out);
            let begin = head.offset.saturating_add(u64::from(head.header_len));
            self.passing = Some((begin, head.end().unwrap_or(u64::MAX)));
        }
    }

    /// Gives what was held back.
    fn flush(&mut self, out: &mut Vec<Bytes>) {
        let held = std::mem::take(&mut self.held).freeze();
        self.give(held, out);
    }

    fn kept(&mut self, head: &BoxHead, body: &Bytes, out: &mut Vec<Bytes>) {
        let mut contents = body.to_vec();
        match &head.kind.0 {
            b"moof" => {
                if self.ends_at(head, body) {
                    self.done = true;
                    return;
                }
                let at = self.given.saturating_add(self.held.len() as u64);
                self.move_moof(&mut contents, head.offset, at);
            }
            b"prft" => self.move_prft(&mut contents),
            b"emsg" => self.move_emsg(&mut contents),
            _ => {}
        }
        self.held.extend_from_slice(&header_bytes(head));
        self.held.extend_from_slice(&contents);
        if head.kind == FourCc::MOOF || self.held.len() > WHOLE_MAX {
            self.flush(out);
        }
    }

    /// Whether the clip can end before this fragment; takes note of it.
    fn ends_at(&mut self, head: &BoxHead, body: &[u8]) -> bool {
        let Some(until) = self.until else { return false };
        let end = head.end().unwrap_or(u64::MAX);
        let Some(moof) = Moof::parse(body, head.offset, end, &self.movie, |_| None) else { return false };
        let main = self.movie.main().map_or(0, |track| track.id);
        let run = moof.runs.iter().find(|run| run.track == main);
        let key = run.is_some_and(|run| run.sync && run.nanos(run.earliest) >= until);
        if key || self.beyond {
            // Sound may lag behind the picture. One more group of pictures is enough of waiting for it.
            let covered = self.movie.tracks.iter().all(|track| {
                let reached = self.reached.iter().find(|(id, _)| *id == track.id).map(|(_, reached)| *reached);
                track.id == main || track.kind == TrackKind::Other || reached.is_none_or(|reached| reached >= until)
            });
            if covered || (key && self.beyond) {
                return true;
            }
            self.beyond = true;
        }
        for run in &moof.runs {
            // Whatever is less than a sample short of the end is there: a clip that ends on a key frame takes no group more.
            let sample = i64::try_from(run.duration / run.samples.max(1)).unwrap_or(0);
            let latest = run.nanos(run.latest.saturating_add(sample)).saturating_sub(1);
            match self.reached.iter_mut().find(|(id, _)| *id == run.track) {
                Some((_, reached)) => *reached = latest.max(*reached),
                None => self.reached.push((run.track, latest)),
            }
        }
        false
    }

    /// Puts right the contents of a `moof` that was at `from` and comes to be at `to`.
    fn move_moof(&self, body: &mut [u8], from: u64, to: u64) {
        let by = from.wrapping_sub(to);
        let places: Vec<(usize, usize)> = Boxes::new(body)
            .filter(|inner| inner.kind == FourCc::TRAF)
            .map(|inner| (inner.at, inner.at.saturating_add(inner.body.len())))
            .collect();
        for (begin, end) in places {
            let Some(traf) = body.get_mut(begin..end) else { continue };
            let track = find(traf, *b"tfhd").and_then(|tfhd| word(tfhd, 4));
            let timescale = track.and_then(|id| self.movie.track(id)).map(|track| track.timescale);
            let fields: Vec<_> = Boxes::new(traf).map(|inner| (inner.kind, inner.at)).collect();
            for (kind, at) in fields {
                let Some(field) = traf.get_mut(at..) else { continue };
                match &kind.0 {
                    b"tfhd" if word(field, 0).is_some_and(|flags| flags & BASE_DATA_OFFSET != 0) => {
                        if let Some(place) = long(field, 8) {
                            put(field, 8, place.wrapping_sub(by), true);
                        }
                    }
                    b"tfdt" => {
                        if let Some(timescale) = timescale {
                            self.move_time(field, 4, timescale);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Moves a time of a box with versions: of four bytes in version 0, of eight in version 1.
    fn move_time(&self, body: &mut [u8], at: usize, timescale: u32) {
        let wide = byte(body, 0) == Some(1);
        let time = if wide { long(body, at) } else { word(body, at).map(u64::from) };
        if let Some(time) = time {
            put(body, at, self.earlier(time, timescale), wide);
        }
    }

    fn earlier(&self, time: u64, timescale: u32) -> u64 {
        // To the nearest tick: a time that went through nanoseconds comes back as it was.
        let half = 500_000_000 / i64::from(timescale.max(1));
        time.saturating_sub(ticks(self.back.saturating_add(half), timescale).unsigned_abs())
    }

    fn move_prft(&self, body: &mut [u8]) {
        let track = word(body, 4).and_then(|id| self.movie.track(id));
        if let Some(track) = track {
            self.move_time(body, 16, track.timescale);
        }
    }

    /// Of version 1 only; in version 0 the time counts from the fragment (ISO/IEC 23009-1, 5.10.3.3).
    fn move_emsg(&self, body: &mut [u8]) {
        if let (Some(1), Some(timescale), Some(time)) = (byte(body, 0), word(body, 4), long(body, 8)) {
            put(body, 8, self.earlier(time, timescale), true);
        }
    }
}

/// Writes a number of eight bytes, or of four.
fn put(body: &mut [u8], at: usize, value: u64, wide: bool) {
    let Some(field) = body.get_mut(at..) else { return };
    if wide {
        if let Some(field) = field.first_chunk_mut() {
            *field = value.to_be_bytes();
        }
    } else if let Some(field) = field.first_chunk_mut() {
        *field = u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
    }
}

/// The header of a box as it was read.
fn header_bytes(head: &BoxHead) -> Vec<u8> {
    let size = head.size.unwrap_or(0);
    if head.header_len > 8 {
        return [&1u32.to_be_bytes()[..], &head.kind.0, &size.to_be_bytes()].concat();
    }
    [&u32::try_from(size).unwrap_or(0).to_be_bytes()[..], &head.kind.0].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::fmp4::bx;
    use crate::media::fmp4::fragments::tests::{
        AUDIO, VIDEO, fragments, header, mdat, moof, picture, sample, scan, sound,
    };
    use crate::media::fmp4::words;

    fn mover(at: u64) -> Mover {
        let movie = Movie::parse(&header()).unwrap();
        Mover::new(Arc::new(movie), at, header().len() as u64)
    }

    /// What follows the header, moved, in slices.
    fn moved(mut mover: Mover, bytes: &[u8], slice: usize) -> Vec<u8> {
        let bytes = Bytes::copy_from_slice(bytes);
        let mut out = header();
        for from in (0..bytes.len()).step_by(slice) {
            let piece = bytes.slice(from..bytes.len().min(from + slice));
            mover.pass(&piece).iter().for_each(|given| out.extend_from_slice(given));
        }
        assert_eq!(mover.given(), out.len() as u64);
        out
    }

    #[test]
    fn without_a_new_time_or_place_all_but_the_indexes_stays_as_it_is() {
        let stream = sample();
        let at = header().len();
        let sidx = words(*b"sidx", &[0; 11]);
        let place = stream.windows(sidx.len()).position(|window| window == sidx).unwrap();
        let wanted = [&stream[..place], &stream[place + sidx.len()..stream.len() - 48]].concat();
        for slice in 1..stream.len() {
            assert_eq!(moved(mover(at as u64), &stream[at..], slice), wanted, "slices of {slice}");
        }
    }

    #[test]
    fn times_are_moved_back_and_none_below_zero() {
        let stream = sample();
        let whole = scan([&stream[..]]);
        let second = fragments(&whole)[1].first;
        let from = usize::try_from(second).unwrap();
        let back = moved(mover(second).back(200_000_000), &stream[from..], 7);
        let found = scan([&back[..]]);
        let [two, three] = &fragments(&found)[..] else { panic!("{found:?}") };
        assert_eq!((two.run(VIDEO).unwrap().decode, three.run(VIDEO).unwrap().decode), (2, 14));
        assert_eq!(two.run(AUDIO).unwrap().decode, (1 << 33) - 9600);
        assert_eq!(two.wall.unwrap().media_time, 30);
        let far = moved(mover(second).back(i64::MAX), &stream[from..], 7);
        assert_eq!(fragments(&scan([&far[..]]))[1].run(VIDEO).unwrap().decode, 0);
    }

    #[test]
    fn places_in_the_whole_stream_are_put_right() {
        let absolute = |place: u32| {
            let trun = words(*b"trun", &[0x201, 1, 88, 9]);
            let traf = [words(*b"tfhd", &[1, VIDEO, 0, place]), words(*b"tfdt", &[0, 9]), trun];
            [moof(&[bx(*b"traf", &traf)]), mdat(9)].concat()
        };
        let (head, sidx) = (u32::try_from(header().len()).unwrap(), words(*b"sidx", &[0; 11]));
        let length = u32::try_from(absolute(0).len()).unwrap();
        let stream = [absolute(head), absolute(head + length), sidx, absolute(head + 2 * length + 52)].concat();
        let from = length as usize;
        let wanted = [header(), absolute(head), absolute(head + length)].concat();
        for slice in 1..stream.len() {
            let at = u64::from(head + length);
            assert_eq!(moved(mover(at), &stream[from..], slice), wanted, "slices of {slice}");
        }
    }

    #[test]
    fn a_clip_ends_before_a_key_frame_once_sound_is_there_too() {
        // Pictures of 120 ms; sound that lags behind.
        let group = |decode: u32, sound_to: u64| {
            let samples = u32::try_from(sound_to / 1024 + 1).unwrap();
            [moof(&[picture(decode, true), sound(0, samples)]), mdat(4)].concat()
        };
        let length = |count: usize, sound_to: [u64; 4]| {
            let groups = (0..).step_by(12).zip(sound_to).map(|(decode, to)| group(decode, to));
            let groups: Vec<Vec<u8>> = groups.collect();
            let at = header().len() as u64;
            let mut mover = mover(at).until(Some(200_000_000));
            let all = Bytes::from(groups.concat());
            let out: usize = mover.pass(&all).iter().map(Bytes::len).sum();
            assert!(mover.is_done());
            assert_eq!(out, groups[..count].concat().len());
        };
        // 200 ms are 9,600 ticks.
        length(2, [5000, 10_000, 20_000, 30_000]);
        // A part of a sample is missing; then a whole one.
        length(2, [5000, 9000, 20_000, 30_000]);
        length(3, [5000, 8000, 20_000, 30_000]);
        length(3, [5000, 5000, 5000, 30_000]);
    }

    proptest! {
        #[test]
        fn damaged_streams_do_no_harm(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            slice in 1usize..300,
            until in proptest::option::of(0i64..1_000_000_000),
        ) {
            let mut bytes = sample()[header().len()..].to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let at = header().len() as u64;
            let out = moved(mover(at).back(50_000_000).until(until), &bytes, slice);
            prop_assert!(out.len() <= header().len() + bytes.len());
        }
    }
}
