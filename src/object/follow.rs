//! Follows one object while it grows: fetches ahead while it is behind, looks again at the live edge, and ends when the
//! upload does. It gives its bytes to whoever asks for the next, and knows nothing of where they go.
//!
//! ```text
//! window of fetches -> (in order) -> next()
//!        ^                   |
//!        |   live edge: 416  v
//!        +---- wait until the next look is due
//!                  beside it: is the upload over? -> last look -> ended
//! ```
//!
//! Questions about the end run beside the looks, so that a store that does not answer them keeps no data back. What their
//! answers mean is decided in [`crate::object::ending`].
//!
//! The race that loses a tail: 416, then the writer stores its last part and completes, then the upload is found to be
//! over. So the end is believed only on a 416 that came after that.

mod completeness;
mod looks;
mod pinned;

use std::future::pending;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, Span};

use self::completeness::Completeness;
use self::looks::Looks;
use self::pinned::Pinned;
use crate::object::announce;
use crate::object::ending::{Ask, Case, List, Look, Newer, Verdict};
use crate::object::inquiry::{Inquiry, Told};
use crate::object::live_objects::locate::{Finder, Found};
use crate::object::prefetch::{End, Event, Facts, Fetch};
use crate::object::presence::Presence;
use crate::object::reading::{FollowError, News, Reading};
use crate::object::silence::Silence;
use crate::object::wanted::Located;
use crate::object::window::Window;
use crate::store::Patient;

/// A look that has been without an answer for so long says nothing of the upload any more.
const UNANSWERED: Duration = Duration::from_secs(1);

/// One object that is being read.
pub(crate) struct Follower {
    pinned: Pinned,
    window: Window,
    looks: Looks,
    silence: Silence,
    completeness: Completeness,
    inquiry: Inquiry,
    /// What the live reads say of the upload.
    presence: Presence,
    said: announce::Said,
    /// Live objects that were found beside what cannot be read live.
    recording: Option<Found>,
}

/// What a follower waits for.
enum Came {
    Event(Event),
    Told(Box<Told>),
    Due,
    Silence,
}

impl Follower {
    /// Held to the `ETag`, where no version is known.
    pub(crate) fn new(store: &Patient, reading: &Reading, located: Located, etag: Option<String>) -> Self {
        Self {
            pinned: Pinned::new(store, reading, &located, etag),
            said: announce::Said::nothing_of(&reading.wanted.key, located.version.as_deref()),
            window: Window::new(reading.by_part, reading.chunk_size, reading.queue_size),
            looks: Looks::new(reading),
            silence: Silence::new(reading.timeout),
            completeness: Completeness::new(located.finished, located.before),
            inquiry: Inquiry::new(located.may_list),
            presence: Presence::default(),
            recording: None,
        }
    }

    /// What is fetched, and from where on.
    pub(crate) fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The offset after the last byte given.
    pub(crate) fn cursor(&self) -> u64 {
        self.window.cursor()
    }

    /// What messages about the upload happen in.
    pub(crate) fn span(&self) -> &Span {
        self.said.span()
    }

    /// The recording with live objects to go over to, once it has been found.
    pub(crate) fn take_recording(&mut self) -> Option<Found> {
        self.recording.take()
    }

    /// The version that is being read, as far as it is known.
    pub(crate) fn version(&self) -> Option<&String> {
        self.pinned.version()
    }

    /// What comes next. After the end there is nothing more.
    ///
    /// # Errors
    /// [`FollowError`]; what was given before is a clean prefix of the object.
    pub(crate) async fn next(&mut self) -> Result<News, FollowError> {
        let span = self.span().clone();
        let news = self.next_news().instrument(span).await;
        self.said.came(&news, self.cursor());
        news
    }

    async fn next_news(&mut self) -> Result<News, FollowError> {
        self.silence.asked_for_next();
        loop {
            if self.completeness.finished() == Some(self.cursor()) {
                return Ok(News::Ended);
            }
            if !self.looks.is_waiting() && !self.widen() {
                // No stretch is left to ask for: ten thousand parts have been read.
                return Ok(News::Ended);
            }
            let news = match self.what_comes().await {
                Came::Event(event) => self.take(event)?,
                Came::Told(told) => self.judge(*told)?,
                Came::Due => {
                    self.look_again();
                    None
                }
                Came::Silence => return Err(self.timed_out()),
            };
            if let Some(news) = news {
                return Ok(news);
            }
        }
    }

    /// Fetches as far ahead as it may; false where nothing is left to ask for.
    fn widen(&mut self) -> bool {
        self.window.widen(&self.pinned.store, &self.pinned.target, self.completeness.finished())
    }

    async fn what_comes(&mut self) -> Came {
        let waiting = self.looks.is_waiting();
        let event = async {
            match self.window.front().filter(|_| !waiting) {
                Some(front) => front.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            event = event => Came::Event(event),
            told = self.inquiry.answer() => Came::Told(Box::new(told)),
            () = self.looks.due() => Came::Due,
            () = self.silence.too_long() => Came::Silence,
        }
    }

    /// Takes what came of the first fetch.
    fn take(&mut self, event: Event) -> Result<Option<News>, FollowError> {
        let sent = self.window.front().map_or_else(Instant::now, |front| front.sent);
        match event {
            // The upload is gone, and its key stands for the older object again.
            Event::Facts(Facts { version, .. })
                if self.pinned.version().is_none() && self.completeness.was_before(version.as_ref()) =>
            {
                self.at_absence(sent)
            }
            Event::Facts(Facts { version, part_size, etag, .. }) => {
                self.looks.answered();
                self.presence.is_there();
                if let Some(version) = self.pinned.learn(version, etag) {
                    self.said.pinned(version);
                }
                self.window.learn_part_size(part_size);
                Ok(None)
            }
            Event::Bytes(bytes) => {
                self.window.given(bytes.len() as u64);
                self.silence.gave_bytes();
                Ok(Some(News::Bytes(bytes)))
            }
            // A part that is short is the tail part: it may be the last, or be replaced by its longer self.
            Event::End(End::Whole) if self.window.is_by_part() && self.window.is_in_part() => self.at_edge(true, sent),
            Event::End(End::Whole) => Ok(self.advance(sent)),
            Event::End(End::Edge { length }) => self.at_edge(length > 0, sent),
            Event::End(End::Absent) => self.at_absence(sent),
            Event::End(End::Failed(error)) => Err(error.into()),
        }
    }

    /// The first fetch was read to its end: the next one takes its place, and there may be one more.
    fn advance(&mut self, sent: Instant) -> Option<News> {
        self.window.advance();
        if self.window.is_by_part() && self.looks.found_when_due(sent) {
            // Whether the next part is there already is seen by asking for it.
            return None;
        }
        self.looks.lost_track();
        self.window.open().then_some(News::Behind)
    }

    /// Gives up what was asked for ahead; from here it goes on one look at a time.
    fn back_to_edge(&mut self) -> Option<News> {
        if !self.window.close() {
            return None;
        }
        self.looks.lost_track();
        Some(News::Edge)
    }

    /// At the live edge, after a look (sent at `sent`) that brought all there was, or nothing.
    fn at_edge(&mut self, news: bool, sent: Instant) -> Result<Option<News>, FollowError> {
        let edge = self.back_to_edge();
        self.presence.is_there();
        if news {
            self.looks.found(sent, self.window.is_in_part());
            if !self.completeness.is_complete() {
                self.wait();
            }
            return Ok(edge);
        }
        self.looks.missed(sent);
        match self.completeness.size() {
            Some(size) if size == self.cursor() => return Ok(Some(News::Ended)),
            Some(size) => {
                self.look_in_vain(size)?;
                // A finished object needs no Live Read header any more.
                self.pinned.read_as_finished();
            }
            None if self.looks.suspect_end() => self.ask(Look::NotYet),
            None => {}
        }
        self.wait();
        Ok(edge)
    }

    /// 404 where there was, or should be, an upload: it is over, or it cannot be read live.
    fn at_absence(&mut self, sent: Instant) -> Result<Option<News>, FollowError> {
        let edge = self.back_to_edge();
        self.presence.is_absent(sent);
        if let Some(size) = self.completeness.size() {
            if self.pinned.read_as_finished() {
                // Complete, but not to be read with the Live Read header.
                return Ok(edge);
            }
            self.look_in_vain(size)?;
        }
        self.ask(Look::Absent);
        self.wait();
        Ok(edge)
    }

    /// What is complete with so many bytes did not show them.
    fn look_in_vain(&mut self, size: u64) -> Result<(), FollowError> {
        let bytes = self.cursor();
        if self.completeness.may_look_again(size, bytes) {
            return Ok(());
        }
        Err(FollowError::Size { object: self.pinned.object(), size, bytes })
    }

    /// Asks whether the object is complete, or the upload gone, unless it is being asked.
    fn ask(&mut self, look: Look) {
        if self.inquiry.is_under_way() {
            return;
        }
        let free = self.is_free();
        let thorough = match look {
            Look::NotYet => self.inquiry.lists_in_silence(self.silence.lasts(), self.looks.usual_gap(), free),
            Look::Absent => self.inquiry.lists_in_absence(&self.presence),
        };
        let may_list = self.inquiry.may_list() && self.pinned.version().is_some();
        let wanted = &self.pinned.wanted;
        let case = Case {
            look,
            thorough,
            doubted: self.presence.confirmed,
            pinned: self.pinned.version().cloned(),
            free,
            waits: wanted.wait,
            unseen: !self.presence.seen,
            before: self.completeness.before().cloned(),
            head: None,
            list: (!may_list).then_some(List::Unknown),
            current: None,
            finder: Finder::beside_live_read(wanted).filter(|_| self.cursor() == 0),
        };
        self.inquiry.begin(&self.pinned.store, &self.pinned.target, case);
    }

    /// Whether a newer upload may take the place of the pinned one.
    fn is_free(&self) -> bool {
        self.cursor() == 0 && self.pinned.wanted.upload_id.is_none()
    }

    /// Acts on the answer to a question. Much may have come since it was asked.
    fn judge(&mut self, told: Told) -> Result<Option<News>, FollowError> {
        let (case, verdict) = match told {
            Ok(told) => told,
            // There was more to come, so that the question has lost its point.
            Err(error) if self.silence.was_broken_after(self.inquiry.asked()) => {
                tracing::debug!("{error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if self.completeness.is_complete() && verdict != Verdict::Gone {
            if verdict == Verdict::Ask(Ask::Look) {
                self.doubt();
            }
            return Ok(None);
        }
        match verdict {
            Verdict::Growing(newer) => {
                if self.presence.absent && case.look == Look::Absent && self.presence.cannot_be_read() {
                    self.looks.wait_unread();
                    self.said.unreadable(&self.pinned.object());
                }
                if let Some(newer) = newer {
                    self.said.newer(&self.pinned.object(), &self.pinned.upload(), &newer);
                }
                self.completeness.is_not(case.current.flatten());
            }
            Verdict::Complete { size, version } => {
                self.completeness.learn(size);
                self.pinned.completed_as(version);
                if self.presence.absent {
                    self.pinned.read_as_finished();
                }
                // The last look follows at once.
                self.looks.go_on();
            }
            Verdict::Recording(found) if self.cursor() == 0 => {
                self.recording = Some(found);
                return Ok(Some(News::Edge));
            }
            Verdict::Gone if self.presence.absent => return Err(self.pinned.aborted(self.cursor())),
            Verdict::Newer(newer) if self.is_free() => return Ok(Some(self.move_to(newer))),
            // It has been seen, or read, since.
            Verdict::Gone | Verdict::Newer(_) | Verdict::Recording(_) => {}
            Verdict::Ask(_) => self.doubt(),
        }
        Ok(None)
    }

    /// It looks gone: one more live read will tell.
    fn doubt(&mut self) {
        self.looks.wait_at_most(self.presence.doubt().min(self.pinned.wanted.poll_interval));
    }

    /// Goes over to a newer upload, before a byte was read: the start of an upload is repeated when its answer is lost, and
    /// only the last one of them is written to.
    fn move_to(&mut self, newer: Newer) -> News {
        self.said.moving(&self.pinned.object(), &self.pinned.upload(), &newer);
        if let Newer::Finished(head) = &newer {
            self.completeness.move_to(head.size);
        }
        self.pinned.move_to(newer);
        self.window.forget();
        self.presence = Presence::default();
        self.silence.begin_again();
        self.looks.go_on();
        News::Edge
    }

    /// Waits until the next look is due.
    fn wait(&mut self) {
        let wait = self.looks.wait(self.presence.is_unreadable());
        self.said.waits(self.cursor(), wait);
    }

    /// The wait is over. What cannot be read live is asked for by HEAD.
    fn look_again(&mut self) {
        self.looks.go_on();
        if !self.presence.is_live_read_due() {
            self.ask(Look::Absent);
            self.looks.wait_unread();
        }
    }

    fn timed_out(&mut self) -> FollowError {
        let after = self.silence.limit();
        let unanswered = |fetch: &mut Fetch| fetch.sent.elapsed() >= UNANSWERED.min(after / 2);
        let unanswered = self.window.front().is_some_and(unanswered);
        let why = announce::silence(unanswered, self.completeness.is_complete(), self.presence.absent);
        let (object, upload, bytes) = (self.pinned.object(), self.pinned.upload(), self.cursor());
        FollowError::TimedOut { object, upload, bytes, after, why }
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
