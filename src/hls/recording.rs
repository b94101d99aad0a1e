//! What has been recorded, object by object, and how much of it can be listed: what the store holds all bytes of. Pure.
//!
//! The next object has its turn as soon as all of the one before is listed. Whether that is complete does not matter: what
//! is readable of an open upload stays readable.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::watch;

use super::live_names::LiveNames;
use super::pending::{Pending, Queued};
use super::playlist::{Object, Timeline, Written};
use super::segmenter::rounded;
use super::segments::Segment;
use super::stream_info::StreamInfo;
use super::target::{self, TargetDuration};
use super::unfit::Unfit;
use crate::media::fmp4::Found;

/// An object that is being recorded.
#[derive(Debug)]
struct SegmentSource {
    upload_id: String,
    uri: String,
    /// Bytes that can be read from the beginning on.
    readable: watch::Receiver<u64>,
    /// Its live objects, as long as nothing else of it can be read.
    live: Option<LiveNames>,
    /// Segments that are not listed yet.
    pending: Pending,
    /// It is looked at in the store, not on its way there.
    in_store: bool,
    /// All of it has been seen.
    scanned: bool,
    complete: bool,
}

/// An upload that was begun, however long ago.
#[derive(Debug)]
struct Begun {
    upload_id: String,
    /// The reference to its object.
    uri: String,
    /// It had live objects, whatever the playlist refers to now.
    beside: bool,
    /// Its live objects, as long as the playlist refers to them.
    live: Option<LiveNames>,
    complete: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Recording {
    target: TargetDuration,
    /// The objects that are not listed to their ends.
    sources: VecDeque<SegmentSource>,
    /// All uploads.
    uploads: Vec<Begun>,
    /// What will never be readable: the upload, and how long it would have played, in microseconds.
    left_out: Option<(String, u64)>,
    /// What can be listed.
    pub timeline: Timeline,
    /// What the multivariant playlist tells of it.
    pub info: StreamInfo,
    restored: bool,
    /// It was told that there are gaps.
    told_of_gaps: bool,
}

impl Recording {
    /// With segments of about this length.
    #[must_use]
    pub fn new(aim: Duration) -> Self {
        Self {
            target: TargetDuration::new(aim),
            sources: VecDeque::new(),
            uploads: Vec::new(),
            left_out: None,
            timeline: Timeline::default(),
            info: StreamInfo::default(),
            restored: false,
            told_of_gaps: false,
        }
    }

    /// The next object begins; it is seen on its way to the store, or `in_store`.
    pub fn begin_object(
        &mut self,
        upload_id: String,
        uri: String,
        readable: watch::Receiver<u64>,
        in_store: bool,
        live: Option<LiveNames>,
    ) {
        if let Some(before) = self.sources.back_mut().filter(|before| !before.in_store) {
            // All of it has come in.
            before.see_end();
        }
        self.uploads.push(Begun {
            upload_id: upload_id.clone(),
            uri: uri.clone(),
            beside: live.is_some(),
            live: live.clone(),
            complete: false,
        });
        let pending = if live.is_some() { Pending::beside(self.target.aim()) } else { Pending::default() };
        self.sources.push_back(SegmentSource {
            upload_id,
            uri,
            readable,
            live,
            pending,
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
            source.pending.set_clock(date);
            if let (Some(last), true) = (last, source.live.is_some()) {
                source.pending.go_on_at(last.end());
            }
        }
        for segment in &written.timeline.segments {
            self.info.listed(&segment);
        }
        self.timeline = written.timeline;
        if let (Some(object), Some(source)) = (self.timeline.objects.last_mut(), self.sources.back()) {
            object.live.clone_from(&source.live);
        }
        self.restored = true;
    }

    /// The first sample of the newest object was recorded at about this time, in seconds since 1970.
    pub fn set_clock(&mut self, seconds: Option<i64>) {
        if let Some(source) = self.sources.back_mut() {
            source.pending.set_clock(seconds.and_then(|seconds| seconds.checked_mul(1_000_000)));
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
    pub fn take(&mut self, found: &Found, at: Option<i64>) -> Result<(), Unfit> {
        let Some(source) = self.sources.back_mut().filter(|source| !source.pending.is_unfit()) else { return Ok(()) };
        if let Found::Begun(fragment) = found
            && let Some(run) = source.pending.main_run(fragment)
        {
            self.info.sampled(run);
        }
        source.pending.take(found, at, self.target.aim(), self.target.promised())?;
        if let Found::Header(header) = found {
            self.info.movie = Some(header.movie.clone());
        }
        Ok(())
    }

    /// All of an object has been seen in the store.
    pub fn scanned(&mut self, upload_id: &str) {
        if let Some(source) = self.source(upload_id) {
            source.see_end();
        }
    }

    /// An object is complete.
    pub fn complete(&mut self, upload_id: &str) {
        for upload in self.uploads.iter_mut().filter(|upload| upload.upload_id == upload_id) {
            upload.complete = true;
        }
        if let Some(source) = self.source(upload_id) {
            source.complete = true;
            if !source.in_store || source.live.is_some() {
                source.see_end();
            }
            source.pending.finish();
        }
    }

    /// The store holds these bytes of an object as a live object.
    pub fn live_object(&mut self, upload_id: &str, bytes: &Range<u64>) {
        if let Some(source) = self.source(upload_id) {
            source.pending.piece(bytes);
        }
    }

    /// An object has no more live objects.
    pub fn no_more_live_objects(&mut self, upload_id: &str) {
        if let Some(source) = self.source(upload_id) {
            source.pending.give_up();
        }
    }

    /// An object can be read: from now on the playlist refers to it by `uri`, and to none of its live objects.
    pub fn locate(&mut self, upload_id: &str, uri: &str) {
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.upload_id == upload_id) else { return };
        let Some(live) = upload.live.take() else { return };
        uri.clone_into(&mut upload.uri);
        if let Some(source) = self.source(upload_id) {
            uri.clone_into(&mut source.uri);
            source.live = None;
        }
        let same = |object: &&mut Object| object.live.as_ref().is_some_and(|other| other.is_same(&live));
        for object in self.timeline.objects.iter_mut().filter(same) {
            uri.clone_into(&mut object.uri);
            object.live = None;
        }
    }

    /// Whether the newest object has live objects that the playlist refers to.
    #[must_use]
    pub fn has_live_objects(&self) -> bool {
        self.uploads.last().is_some_and(|upload| upload.live.is_some())
    }

    /// Whether the playlist as it would be now refers to any.
    #[must_use]
    pub fn refers_to_live_objects(&self) -> bool {
        self.timeline.objects.iter().any(|object| object.live.is_some())
    }

    /// Whether any object had live objects.
    #[must_use]
    pub fn had_live_objects(&self) -> bool {
        self.uploads.iter().any(|upload| upload.beside)
    }

    /// Whether the playlist still refers to live objects of something that is complete.
    #[must_use]
    pub fn waits_for_places(&self) -> bool {
        self.uploads.iter().any(|upload| upload.complete && upload.live.is_some())
    }

    /// Has the references of an object name no version: what the upload was called is none.
    pub fn unpin(&mut self, upload_id: &str, uri: &str) {
        let Some(upload) = self.uploads.iter().find(|upload| upload.upload_id == upload_id) else { return };
        for object in self.timeline.objects.iter_mut().filter(|object| object.uri == upload.uri) {
            uri.clone_into(&mut object.uri);
        }
    }

    fn source(&mut self, upload_id: &str) -> Option<&mut SegmentSource> {
        self.sources.iter_mut().find(|source| source.upload_id == upload_id)
    }

    /// Whether anything has come in that could have been played.
    #[must_use]
    pub fn has_input(&self) -> bool {
        self.info.movie.is_some()
    }

    /// Whether it goes on after an earlier playlist.
    #[must_use]
    pub fn was_restored(&self) -> bool {
        self.restored
    }

    /// Whether everything that was begun is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.uploads.iter().all(|upload| upload.complete)
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
            let stored = *source.readable.borrow_and_update();
            let readable = match source.pending.edge() {
                // The store may hold parts that nobody can read yet.
                Some(edge) if !source.complete => edge,
                Some(_) => u64::MAX,
                None => stored,
            };
            while let Some(Queued { cut, date, header, gap, anew }) = source.pending.next(readable) {
                let live = source.live.clone();
                let object = Object { uri: source.uri.clone(), header: header.0, header_len: header.1, live };
                if self.timeline.objects.last().is_none_or(|last| !last.is_same(&object)) {
                    self.timeline.objects.push(object);
                } else if anew {
                    self.timeline.breaks.insert(self.timeline.segments.len());
                }
                if gap {
                    self.timeline.gaps.insert(self.timeline.segments.len());
                }
                let len = cut.end.saturating_sub(cut.first);
                let object = self.timeline.objects.len().saturating_sub(1);
                let segment = Segment { object, first: cut.first, len, micros: cut.micros, date };
                self.info.listed(&segment);
                self.target.listed(segment.micros);
                self.timeline.segments.push(segment);
            }
            let may_come = !source.pending.is_empty() && !source.complete && !over;
            if !source.scanned || may_come {
                break;
            }
            let lost = source.pending.micros();
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

    /// Whether there are segments that nobody can play before their object is complete; told once.
    pub fn has_gaps(&mut self) -> bool {
        let news = !self.told_of_gaps && !self.timeline.gaps.is_empty();
        self.told_of_gaps |= news;
        news
    }

    /// `EXT-X-TARGETDURATION` in seconds, once it is decided.
    #[must_use]
    pub fn target(&self) -> Option<u64> {
        self.target.promised()
    }

    /// The length in microseconds of a segment that was longer than the target duration allowed, which had to be raised;
    /// told once.
    pub fn overlong(&mut self) -> Option<u64> {
        self.target.overlong()
    }

    /// Decides the target duration, which stays as it is from then on: with room for longer segments than those so far, and
    /// so that the playlist changes in time (RFC 8216, 6.2.2: within 1.5 times as long) although what can be listed comes
    /// in parts of `part_size` bytes, or with as much input as came in `max_latency`. `filled` is how long the first part
    /// took to fill.
    pub fn decide(&mut self, part_size: u64, filled: Option<Duration>, max_latency: Option<Duration>) -> u64 {
        let pending = self.sources.iter().filter_map(|source| source.pending.longest());
        let longest = self.timeline.segments.micros().chain(pending).max().unwrap_or(0);
        let burst = target::burst(&self.timeline, part_size, filled);
        let target = self.target.needed(longest, burst, max_latency);
        self.set_target(target);
        target
    }

    fn set_target(&mut self, target: u64) {
        self.target.promise(target);
        for source in &mut self.sources {
            source.pending.limit(target);
        }
    }
}

impl SegmentSource {
    /// All of it has been seen.
    fn see_end(&mut self) {
        self.scanned = true;
        self.pending.cut_rest();
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
