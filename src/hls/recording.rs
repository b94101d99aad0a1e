//! What has been recorded, object by object, and how much of it can be listed: what the store holds all bytes of. Pure.
//!
//! The next object has its turn as soon as all of the one before is listed. Whether that is complete does not matter: what
//! is readable of an open upload stays readable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::playlist::{Object, Timeline, Written};
use super::segmenter::{Begin, Cut, Segmenter, rounded};
use super::segments::Segment;
use super::unfit::{self, Unfit};
use crate::media::fmp4::{Found, Fragment, Header, Movie};

/// Rounding up to the next whole second.
const SECOND: u64 = 1_000_000;

/// An object that is being recorded.
#[derive(Debug)]
struct SegmentSource {
    upload_id: String,
    uri: String,
    /// Bytes that can be read from the beginning on.
    readable: watch::Receiver<u64>,
    movie: Option<Arc<Movie>>,
    /// Offset and length of the header.
    header: (u64, u64),
    main: u32,
    timescale: u32,
    segmenter: Option<Segmenter>,
    unfit: bool,
    /// Ticks of the fragment that has begun.
    begun: u64,
    /// When the segment being put together was recorded.
    date: Option<i64>,
    /// A moment, and the ticks recorded since.
    clock: Option<(i64, u64)>,
    /// Segments that are not listed yet.
    queue: VecDeque<Queued>,
    /// It is looked at in the store, not on its way there.
    in_store: bool,
    /// All of it has been seen.
    scanned: bool,
    complete: bool,
}

#[derive(Debug)]
struct Queued {
    cut: Cut,
    date: Option<i64>,
    header: (u64, u64),
}

/// See the [module](self).
#[derive(Debug)]
pub struct Recording {
    /// About how long a segment is, in microseconds.
    aim: u64,
    /// `EXT-X-TARGETDURATION`, once it is decided.
    target: Option<u64>,
    sources: VecDeque<SegmentSource>,
    /// Ids of the uploads that are not complete.
    incomplete: Vec<String>,
    /// What will never be readable: the upload, and how long it would have played, in microseconds.
    left_out: Option<(String, u64)>,
    /// What can be listed.
    pub timeline: Timeline,
    /// The newest header's movie.
    pub movie: Option<Arc<Movie>>,
    /// Samples a second of the main track.
    pub frame_rate: Option<f64>,
    /// The highest bit rate of a segment that is listed.
    pub peak: u64,
    /// A segment was longer than the target duration.
    overlong: Option<u64>,
    restored: bool,
    /// Upload ids and references of all objects.
    pinned: Vec<(String, String)>,
}

impl Recording {
    /// With segments of about this length.
    #[must_use]
    pub fn new(aim: Duration) -> Self {
        Self {
            aim: u64::try_from(aim.as_micros()).unwrap_or(u64::MAX),
            target: None,
            sources: VecDeque::new(),
            incomplete: Vec::new(),
            left_out: None,
            timeline: Timeline::default(),
            movie: None,
            frame_rate: None,
            peak: 0,
            overlong: None,
            restored: false,
            pinned: Vec::new(),
        }
    }

    /// The next object begins; it is seen on its way to the store, or `in_store`.
    pub fn begin_object(&mut self, upload_id: String, uri: String, readable: watch::Receiver<u64>, in_store: bool) {
        if let Some(before) = self.sources.back_mut().filter(|before| !before.in_store) {
            // All of it has come in.
            before.see_end();
        }
        self.pinned.push((upload_id.clone(), uri.clone()));
        self.incomplete.push(upload_id.clone());
        self.sources.push_back(SegmentSource {
            upload_id,
            uri,
            readable,
            movie: None,
            header: (0, 0),
            main: 0,
            timescale: 1,
            segmenter: None,
            unfit: false,
            begun: 0,
            date: None,
            clock: None,
            queue: VecDeque::new(),
            in_store,
            scanned: false,
            complete: false,
        });
    }

    /// The newest object goes on after what an earlier playlist shows of it.
    pub fn restore(&mut self, written: Written) {
        let last = written.timeline.segments.last();
        let date = last.and_then(|last| last.date?.checked_add_unsigned(last.micros));
        self.set_target(written.view.target);
        if let Some(source) = self.sources.back_mut() {
            source.clock = date.map(|date| (date, 0));
        }
        for segment in &written.timeline.segments {
            self.peak = self.peak.max(rate(&segment));
        }
        self.timeline = written.timeline;
        self.restored = true;
    }

    /// The first sample of the newest object was recorded at about this time, in seconds since 1970.
    pub fn set_clock(&mut self, seconds: Option<i64>) {
        if let Some(source) = self.sources.back_mut() {
            source.clock = seconds.and_then(|seconds| seconds.checked_mul(1_000_000)).map(|moment| (moment, 0));
        }
    }

    /// An earlier playlist has promised this target duration.
    pub fn promise(&mut self, target: u64) {
        self.set_target(target);
    }

    /// The longest segment, rounded to seconds.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.timeline.segments.micros().map(rounded).max().unwrap_or(0)
    }

    /// Something was found in the newest object; `at` is the time of day at which its last byte came in, in microseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`Unfit`], once for each object.
    pub fn take(&mut self, found: Found, at: Option<i64>) -> Result<(), Unfit> {
        let (aim, target) = (self.aim, self.target);
        let Some(source) = self.sources.back_mut().filter(|source| !source.unfit) else { return Ok(()) };
        let result = match found {
            Found::Header(header) => source.take_header(&header, aim, target),
            Found::Begun(fragment) => {
                if let Some(run) = fragment.run(source.main).filter(|run| run.duration > 0) {
                    #[allow(clippy::cast_precision_loss, reason = "shown with three decimals")]
                    let rate = run.samples as f64 * f64::from(run.timescale) / run.duration as f64;
                    // The first fragment may be a little longer than its frames are.
                    self.frame_rate = Some(self.frame_rate.map_or(rate, |before| before.max(rate)));
                }
                source.begin(&fragment)
            }
            Found::Ended(fragment) => {
                source.end(&fragment, at);
                Ok(())
            }
            // Samples that no fragment tells of: nothing of them is played.
            Found::Bare => Ok(()),
            Found::Off(reason) => Err(Unfit::NoFragments(reason.to_string())),
        };
        source.unfit = result.is_err();
        if let Some(movie) = &source.movie {
            self.movie = Some(movie.clone());
        }
        result
    }

    /// All of an object has been seen in the store.
    pub fn scanned(&mut self, upload_id: &str) {
        if let Some(source) = self.source(upload_id) {
            source.see_end();
        }
    }

    /// An object is complete.
    pub fn complete(&mut self, upload_id: &str) {
        self.incomplete.retain(|open| open != upload_id);
        if let Some(source) = self.source(upload_id) {
            source.complete = true;
            if !source.in_store {
                source.see_end();
            }
        }
    }

    /// Has the references of an object name no version: what the upload was called is none.
    pub fn unpin(&mut self, upload_id: &str, uri: &str) {
        let Some(pinned) = self.pinned.iter().find(|(id, _)| id == upload_id).map(|(_, uri)| uri) else { return };
        for object in self.timeline.objects.iter_mut().filter(|object| object.uri == *pinned) {
            uri.clone_into(&mut object.uri);
        }
    }

    fn source(&mut self, upload_id: &str) -> Option<&mut SegmentSource> {
        self.sources.iter_mut().find(|source| source.upload_id == upload_id)
    }

    /// Whether anything has come in that could have been played.
    #[must_use]
    pub fn has_input(&self) -> bool {
        self.movie.is_some()
    }

    /// Whether it goes on after an earlier playlist.
    #[must_use]
    pub fn was_restored(&self) -> bool {
        self.restored
    }

    /// Whether everything that was begun is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// Whether there is an object that is complete but has not been seen to its end.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.sources.iter().any(|source| source.complete && !source.scanned)
    }

    /// Waits until more of the object whose turn it is can be read, or it is known that no more will be. Dropping the future
    /// loses nothing.
    pub async fn changed(&mut self) {
        if let Some(source) = self.sources.front_mut()
            && (source.readable.changed().await.is_ok() || source.scanned)
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Lists what can be read by now; whether there was anything.
    pub fn list(&mut self) -> bool {
        let before = self.timeline.segments.len();
        while let Some(source) = self.sources.front_mut() {
            // Asked for first: if nobody tells of more any more, what is readable then is final.
            let over = source.readable.has_changed().is_err();
            // A change from here on wakes [`changed`](Self::changed).
            let readable = *source.readable.borrow_and_update();
            while let Some(queued) = source.queue.pop_front_if(|next| next.cut.end <= readable) {
                let Queued { cut, date, header } = queued;
                let object = Object { uri: source.uri.clone(), header: header.0, header_len: header.1 };
                if self.timeline.objects.last() != Some(&object) {
                    self.timeline.objects.push(object);
                }
                let len = cut.end.saturating_sub(cut.first);
                let object = self.timeline.objects.len().saturating_sub(1);
                let segment = Segment { object, first: cut.first, len, micros: cut.micros, date };
                self.peak = self.peak.max(rate(&segment));
                self.timeline.segments.push(segment);
                if self.target.is_some_and(|target| rounded(cut.micros) > target) {
                    self.overlong = Some(cut.micros);
                    self.target = Some(rounded(cut.micros));
                }
            }
            let may_come = !source.queue.is_empty() && !source.complete && !over;
            if !source.scanned || may_come {
                break;
            }
            let lost = source.queue.iter().fold(0u64, |sum, queued| sum.saturating_add(queued.cut.micros));
            if lost > 0 {
                self.left_out = Some((source.upload_id.clone(), lost));
            }
            self.sources.pop_front();
        }
        self.timeline.segments.len() > before
    }

    /// What had to be left out, because it will never be readable: the upload, and how long it would have played, in
    /// microseconds; told once.
    pub fn left_out(&mut self) -> Option<(String, u64)> {
        self.left_out.take()
    }

    /// `EXT-X-TARGETDURATION` in seconds, once it is decided.
    #[must_use]
    pub fn target(&self) -> Option<u64> {
        self.target
    }

    /// The length in microseconds of a segment that was longer than the target duration allowed, which had to be raised;
    /// told once.
    pub fn overlong(&mut self) -> Option<u64> {
        self.overlong.take()
    }

    /// Decides the target duration, which stays as it is from then on: with room for longer segments than those so far, and
    /// so that the playlist changes in time (RFC 8216, 6.2.2: within 1.5 times as long) although what can be listed comes
    /// in parts of `part_size` bytes, or with as much input as came in `max_latency`. `filled` is how long the first part
    /// took to fill.
    pub fn decide(&mut self, part_size: u64, filled: Option<Duration>, max_latency: Option<Duration>) -> u64 {
        let queued = self.sources.iter().flat_map(|source| &source.queue).map(|queued| queued.cut.micros);
        let open = self.sources.iter().filter_map(|source| source.segmenter.as_ref().map(Segmenter::rest));
        let listed = self.timeline.segments.micros();
        let longest = listed.chain(queued).chain(open).max().unwrap_or(0);
        let burst = self.part_micros(part_size, filled);
        let limit = max_latency.and_then(|limit| u64::try_from(limit.as_micros()).ok());
        // Segments that are longer by two fifths, and parts that take almost twice as long, still fit.
        let burst = limit.map_or(burst, |limit| burst.min(limit)).saturating_mul(6) / 5;
        let needed = (longest.saturating_mul(7) / 5).max(burst).max(self.aim);
        let target = needed.div_ceil(SECOND).max(1);
        self.set_target(target);
        target
    }

    /// How long the input takes to fill a part, in microseconds.
    fn part_micros(&self, part_size: u64, filled: Option<Duration>) -> u64 {
        let bytes = self.timeline.bytes().max(1);
        let by_rate = u128::from(self.timeline.micros()) * u128::from(part_size) / u128::from(bytes);
        // By the clock it takes a fragment longer, unless the encoder does not keep up.
        let by_clock = filled.map_or(0, |filled| filled.as_micros());
        let burst = if by_clock > 2 * by_rate { by_clock } else { by_rate };
        u64::try_from(burst).unwrap_or(u64::MAX)
    }

    fn set_target(&mut self, target: u64) {
        self.target = Some(target);
        for segmenter in self.sources.iter_mut().filter_map(|source| source.segmenter.as_mut()) {
            segmenter.limit(target);
        }
    }
}

impl SegmentSource {
    fn take_header(&mut self, header: &Header, aim: u64, target: Option<u64>) -> Result<(), Unfit> {
        self.cut_rest();
        let len = header.bytes.len() as u64;
        let Some(main) = header.movie.main() else {
            return Err(Unfit::NoFragments("its header has no track".to_owned()));
        };
        unfit::check_movie(&header.movie)?;
        self.header = (header.end.saturating_sub(len), len);
        (self.main, self.timescale) = (main.id, main.timescale);
        self.movie = Some(header.movie.clone());
        let mut segmenter = Segmenter::new(main.timescale, aim);
        if let Some(target) = target {
            segmenter.limit(target);
        }
        self.segmenter = Some(segmenter);
        Ok(())
    }

    fn begin(&mut self, fragment: &Fragment) -> Result<(), Unfit> {
        unfit::check_fragment(fragment)?;
        let Some(segmenter) = &mut self.segmenter else { return Ok(()) };
        let run = fragment.run(self.main);
        self.begun = run.map_or(0, |run| run.duration);
        if let Some(wall) = fragment.wall {
            let track = fragment.run(wall.track);
            let since = track.map_or(0, |run| {
                let ticks = i128::from(run.decode) - i128::from(wall.media_time);
                i64::try_from(ticks * 1_000_000 / i128::from(run.timescale.max(1))).unwrap_or(0)
            });
            self.clock = Some(((wall.unix_nanos() / 1_000).saturating_add(since), 0));
        }
        let now = self.clock.map(|clock| moment(clock, self.timescale));
        let begin = Begin { first: fragment.first, ticks: self.begun, key: fragment.key };
        if let Some(cut) = segmenter.begin(begin) {
            self.queue.push_back(Queued { cut, date: self.date, header: self.header });
            self.date = now;
        }
        self.date = self.date.or(now);
        Ok(())
    }

    fn end(&mut self, fragment: &Fragment, at: Option<i64>) {
        let (Some(segmenter), Some(end)) = (&mut self.segmenter, fragment.end) else { return };
        let cut = segmenter.end(end);
        if self.clock.is_none() {
            // An encoder gives a fragment away when its last frame is there.
            let played = moment((0, self.begun), self.timescale);
            self.clock = at.map(|at| (at.saturating_sub(played), 0));
            self.date = self.date.or(self.clock.map(|(moment, _)| moment));
        }
        if let Some((_, ticks)) = &mut self.clock {
            *ticks = ticks.saturating_add(self.begun);
        }
        if let Some(cut) = cut {
            self.queue.push_back(Queued { cut, date: self.date.take(), header: self.header });
        }
    }

    /// All of it has been seen.
    fn see_end(&mut self) {
        self.scanned = true;
        self.cut_rest();
    }

    /// What is put together is over.
    fn cut_rest(&mut self) {
        if let Some(cut) = self.segmenter.as_mut().and_then(Segmenter::finish) {
            self.queue.push_back(Queued { cut, date: self.date.take(), header: self.header });
        }
    }
}

/// A moment and so many ticks.
fn moment((moment, ticks): (i64, u64), timescale: u32) -> i64 {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(timescale.max(1));
    moment.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Bits a second.
fn rate(segment: &Segment) -> u64 {
    // A last segment of a frame or two says nothing.
    if segment.micros < SECOND / 2 {
        return 0;
    }
    u64::try_from(u128::from(segment.len) * 8_000_000 / u128::from(segment.micros)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
