//! The segments of one object that are not listed yet: put together from its fragments, with the time of day at which each
//! was recorded. Pure.

use std::collections::VecDeque;
use std::ops::Range;

use super::pieces::{self, Pieces, Whole};
use super::segmenter::{Begin, Cut, Segmenter, micros};
use super::unfit::{self, Unfit};
use crate::media::fmp4::{Found, Fragment, Header, Run};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Pending {
    init: Option<Init>,
    /// Ticks of the fragment that has begun.
    begun: u64,
    /// Another encoder goes on with the segment that is being put together.
    anew: bool,
    time: TimeOfDay,
    /// What is whole, in order.
    queue: VecDeque<Queued>,
    /// Where the segments are live objects.
    pieces: Option<Pieces>,
    unfit: bool,
}

/// What the newest header says of the fragments after it.
#[derive(Debug)]
struct Init {
    /// Offset and length of the header.
    place: (u64, u64),
    /// The track by which segments are cut.
    main: u32,
    timescale: u32,
    segmenter: Segmenter,
    /// Ticks of all fragments so far.
    passed: u64,
}

/// A segment that is whole.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) cut: Cut,
    /// When it was recorded, in microseconds since 1970.
    pub(crate) date: Option<i64>,
    /// Offset and length of the header that it needs.
    pub(crate) header: (u64, u64),
    /// No live object holds it by itself.
    pub(crate) gap: bool,
    /// Another encoder goes on with it.
    pub(crate) anew: bool,
}

/// When what comes was recorded, in microseconds since 1970.
#[derive(Debug, Default)]
struct TimeOfDay {
    /// A moment, and the ticks recorded since.
    clock: Option<(i64, u64)>,
    /// Of the segment that is being put together.
    segment: Option<i64>,
}

impl Pending {
    /// Of an object with live objects beside it; segments of about `aim` microseconds.
    pub(super) fn beside(aim: u64) -> Self {
        Self { pieces: Some(Pieces::new(aim)), ..Self::default() }
    }

    /// All before this place is in segments already.
    pub(super) fn go_on_at(&mut self, place: u64) {
        if let Some(pieces) = &mut self.pieces {
            pieces.go_on_at(place);
        }
    }

    /// Up to where there are live objects without a gap; none where they do not matter.
    pub(super) fn edge(&self) -> Option<u64> {
        self.pieces.as_ref().map(Pieces::edge)
    }

    /// The store holds these bytes as a live object.
    pub(super) fn piece(&mut self, bytes: &Range<u64>) {
        let found = self.pieces.as_mut().map(|pieces| pieces.piece(bytes));
        self.queue_found(found);
    }

    /// No more live objects come.
    pub(super) fn give_up(&mut self) {
        let found = self.pieces.as_mut().map(Pieces::give_up);
        self.queue_found(found);
    }

    /// All of the object can be read.
    pub(super) fn finish(&mut self) {
        let found = self.pieces.as_mut().map(Pieces::finish);
        self.queue_found(found);
    }

    fn queue_found(&mut self, found: Option<Vec<pieces::Found>>) {
        for pieces::Found { cut, date, header, gap, anew } in found.into_iter().flatten() {
            self.queue.push_back(Queued { cut, date, header, gap, anew });
        }
    }

    /// The next fragment was recorded at this moment, in microseconds since 1970, as far as that is known.
    pub(crate) fn set_clock(&mut self, moment: Option<i64>) {
        self.time.clock = moment.map(|moment| (moment, 0));
    }

    /// Whether it cannot be played: nothing more is taken then.
    pub(super) fn is_unfit(&self) -> bool {
        self.unfit
    }

    /// Offset and length of the header that what is being put together needs.
    pub(crate) fn header(&self) -> Option<(u64, u64)> {
        self.init.as_ref().map(|init| init.place)
    }

    /// What a fragment has for the main track.
    pub(crate) fn main_run<'a>(&self, fragment: &'a Fragment) -> Option<&'a Run> {
        self.init.as_ref().and_then(|init| fragment.run(init.main))
    }

    /// Something was found, the last byte of which came in `at` this time. After a header segments are to last about `aim`
    /// microseconds, and no more than `target` seconds.
    pub(crate) fn take(&mut self, found: &Found, at: Option<i64>, aim: u64, target: Option<u64>) -> Result<(), Unfit> {
        let result = match found {
            Found::Header(header) => self.take_header(header, aim, target),
            Found::Begun(fragment) => self.begin(fragment),
            Found::Ended(fragment) => {
                self.end(fragment, at);
                Ok(())
            }
            // Samples that no fragment tells of: nothing of them is played.
            Found::Bare => Ok(()),
            Found::Off(reason) => Err(Unfit::NoFragments(reason.to_string())),
        };
        self.unfit = result.is_err();
        result
    }

    fn take_header(&mut self, header: &Header, aim: u64, target: Option<u64>) -> Result<(), Unfit> {
        self.cut_rest();
        let len = header.bytes.len() as u64;
        let Some(main) = header.movie.main() else {
            return Err(Unfit::NoFragments("its header has no track".to_owned()));
        };
        unfit::check_movie(&header.movie)?;
        let mut segmenter = Segmenter::new(main.timescale, aim);
        if let Some(target) = target {
            segmenter.limit(target);
        }
        let place = (header.end.saturating_sub(len), len);
        self.init = Some(Init { place, main: main.id, timescale: main.timescale, segmenter, passed: 0 });
        Ok(())
    }

    fn begin(&mut self, fragment: &Fragment) -> Result<(), Unfit> {
        unfit::check_fragment(fragment)?;
        let Some(init) = &mut self.init else { return Ok(()) };
        self.begun = fragment.run(init.main).map_or(0, |run| run.duration);
        self.time.told(fragment);
        let now = self.time.now(init.timescale);
        if let Some(pieces) = &mut self.pieces {
            pieces.begin(fragment.first);
            self.time.segment = now;
            return Ok(());
        }
        let &Fragment { first, key, anew, .. } = fragment;
        let cut = init.segmenter.begin(Begin { first, ticks: self.begun, key, anew });
        self.queue(cut);
        self.anew |= anew;
        self.time.segment = self.time.segment.or(now);
        Ok(())
    }

    fn end(&mut self, fragment: &Fragment, at: Option<i64>) {
        let (Some(init), Some(end)) = (&mut self.init, fragment.end) else { return };
        self.time.passed(self.begun, init.timescale, at);
        if let Some(pieces) = &mut self.pieces {
            let began = micros(init.passed, init.timescale.into());
            init.passed = init.passed.saturating_add(self.begun);
            // Out of the places in the whole stream, so that rounding never adds up.
            let micros = micros(init.passed, init.timescale.into()).saturating_sub(began);
            let (&Fragment { first, key, anew, .. }, header) = (fragment, init.place);
            let date = self.time.segment.take();
            let found = pieces.end(Whole { first, end, micros, key, anew, date, header });
            return self.queue_found(Some(found));
        }
        let cut = init.segmenter.end(end);
        self.queue(cut);
    }

    /// Nothing comes any more that belongs to what is being put together.
    pub(crate) fn cut_rest(&mut self) {
        if self.pieces.is_some() {
            // Where the last one ends, its live object tells.
            return;
        }
        let cut = self.init.as_mut().and_then(|init| init.segmenter.finish());
        self.queue(cut);
    }

    fn queue(&mut self, cut: Option<Cut>) {
        if let (Some(cut), Some(init)) = (cut, &self.init) {
            let (date, header) = (self.time.segment.take(), init.place);
            let anew = std::mem::take(&mut self.anew);
            self.queue.push_back(Queued { cut, date, header, gap: false, anew });
        }
    }

    /// From now on no segment may last longer than `target` seconds.
    pub(crate) fn limit(&mut self, target: u64) {
        if let Some(init) = &mut self.init {
            init.segmenter.limit(target);
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.limit(target);
        }
    }

    /// The next segment, if all of it lies within the `readable` bytes.
    pub(crate) fn next(&mut self, readable: u64) -> Option<Queued> {
        self.queue.pop_front_if(|next| next.cut.end <= readable)
    }

    /// Whether no whole segment is left.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.waiting() == 0
    }

    /// How long the whole segments play, in microseconds.
    pub(super) fn micros(&self) -> u64 {
        self.queue.iter().fold(self.waiting(), |sum, queued| sum.saturating_add(queued.cut.micros))
    }

    fn waiting(&self) -> u64 {
        self.pieces.as_ref().map_or(0, Pieces::waiting)
    }

    /// The longest segment so far, whole or not, in microseconds.
    pub(super) fn longest(&self) -> Option<u64> {
        let open = self.init.iter().map(|init| init.segmenter.rest());
        self.queue.iter().map(|queued| queued.cut.micros).chain(open).max()
    }
}

impl TimeOfDay {
    /// A fragment may tell when it was recorded.
    fn told(&mut self, fragment: &Fragment) {
        let Some(wall) = fragment.wall else { return };
        let since = fragment.run(wall.track).map_or(0, |run| {
            let ticks = i128::from(run.decode) - i128::from(wall.media_time);
            i64::try_from(ticks * 1_000_000 / i128::from(run.timescale.max(1))).unwrap_or(0)
        });
        self.clock = Some(((wall.unix_nanos() / 1_000).saturating_add(since), 0));
    }

    fn now(&self, timescale: u32) -> Option<i64> {
        self.clock.map(|clock| moment(clock, timescale))
    }

    /// A fragment of so many ticks is whole, and its last byte came in `at` this time.
    fn passed(&mut self, ticks: u64, timescale: u32, at: Option<i64>) {
        if self.clock.is_none() {
            // An encoder gives a fragment away when its last frame is there.
            let played = moment((0, ticks), timescale);
            self.clock = at.map(|at| (at.saturating_sub(played), 0));
            self.segment = self.segment.or(self.clock.map(|(moment, _)| moment));
        }
        if let Some((_, since)) = &mut self.clock {
            *since = since.saturating_add(ticks);
        }
    }
}

/// A moment and so many ticks.
fn moment((moment, ticks): (i64, u64), timescale: u32) -> i64 {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(timescale.max(1));
    moment.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_goes_on_by_what_was_played() {
        let mut time = TimeOfDay::default();
        // Nobody knows it.
        time.passed(90_000, 90_000, None);
        assert_eq!((time.now(90_000), time.segment), (None, None));
        // What has come in by now began to be recorded as long before as it plays.
        time.passed(180_000, 90_000, Some(10_000_000));
        assert_eq!((time.now(90_000), time.segment), (Some(10_000_000), Some(8_000_000)));
        // From then on it is the stream that counts, not when bytes come.
        time.passed(45_000, 90_000, Some(99_000_000));
        assert_eq!((time.now(90_000), time.segment), (Some(10_500_000), Some(8_000_000)));
    }
}
