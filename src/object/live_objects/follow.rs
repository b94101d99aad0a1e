//! Follows a recording by its live objects: fetches ahead where it is known what lies there, looks for the next one else,
//! and hands over to KEY once that is complete.
//!
//! ```text
//! index: objects that are known of -> up to four at a time -> (in order) -> next()
//! beyond it: one look at a time at the name of the cursor, when the next is due
//!                  beside it, in silence or behind the end mark: KEY, then the head -> [ending] -> go on, wait, KEY, give up
//! ```

mod ahead;
mod given;
mod outlook;
mod rule;
mod source;

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use self::ahead::{Ahead, Next};
use self::given::Given;
use self::outlook::Outlook;
use self::source::Source;
use crate::object::announce;
use crate::object::live_objects::Recording;
use crate::object::live_objects::ask::Seen;
use crate::object::live_objects::ending::{Case, Verdict};
use crate::object::live_objects::pace::Pace;
use crate::object::live_objects::piece::Came as PieceCame;
use crate::object::reading::{FollowError, News, Reading, at};
use crate::object::silence::Silence;
use crate::protocol::live_objects::{Head, Page, RecordingId};
use crate::store::{self, Patient, StoreError};

/// The head is written about so often; it is not asked for more often while something comes.
const BEAT: Duration = Duration::from_secs(5);

/// Between two looks at KEY, once it is due: the first, and the longest.
const KEY_LOOKS: (Duration, Duration) = (Duration::from_millis(80), Duration::from_secs(1));

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// This.
    News(News),
    /// KEY is complete: the rest is there.
    Complete(Rest),
}

/// Where to go on in KEY.
#[derive(Debug)]
pub(crate) struct Rest {
    /// What stands under KEY.
    pub(crate) head: store::Head,
    /// The next byte that is wanted.
    pub(crate) cursor: u64,
    /// The bytes before it, as they were given.
    pub(crate) given: Bytes,
}

/// What was asked beside the looks.
enum Answer {
    Case(Case, Verdict, Option<store::Head>, Option<Duration>),
    Head(Seen<Head>),
}

type Asking<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// What it waits for.
enum Came {
    Next(Next),
    Answer(Result<Answer, StoreError>),
    Due,
    Silence,
}

/// A recording that is being read.
pub(crate) struct Follower {
    source: Source,
    ahead: Ahead,
    /// When the head was last seen.
    head_seen: Instant,
    given: Given,
    pace: Pace,
    /// When to look again, while it waits for that.
    look_at: Option<Instant>,
    /// Whether it is over is being asked.
    asking: Option<Asking<Answer>>,
    outlook: Outlook,
    at_edge: bool,
    silence: Silence,
    said: announce::Said,
}

impl Follower {
    pub(crate) fn new(store: &Patient, reading: &Reading, recording: Recording) -> Self {
        let (source, head) = Source::new(store, reading.wanted.key.clone(), recording);
        let said = announce::Said::nothing_of(&reading.wanted.key, Some(source.id.as_str()));
        let (now, beat) = (Instant::now(), head.max_latency.map(Duration::from_millis));
        Self {
            source,
            ahead: Ahead::new(reading, head),
            head_seen: now,
            given: Given::default(),
            pace: Pace::new(reading.wanted.poll_interval, reading.strict_poll, beat),
            look_at: None,
            asking: None,
            outlook: Outlook::default(),
            at_edge: false,
            silence: Silence::new(reading.timeout),
            said,
        }
    }

    /// The recording that is read.
    pub(crate) fn id(&self) -> &RecordingId {
        &self.source.id
    }

    /// What messages about the recording happen in.
    pub(crate) fn span(&self) -> &Span {
        self.said.span()
    }

    /// The offset after the last byte given.
    pub(crate) fn cursor(&self) -> u64 {
        self.given.cursor()
    }

    /// Begins at a byte instead of the first.
    pub(crate) fn go_on_at(&mut self, cursor: u64) {
        // What was read before is of the newest run that there was.
        self.given.go_on_at(cursor, self.ahead.index.head().run().run);
    }

    /// Up to `sure` all will be wanted; behind that, one object at a time is fetched.
    pub(crate) fn be_sure_until(&mut self, sure: Option<u64>) {
        self.ahead.sure = sure;
    }

    /// What comes next. After [`Step::Complete`] there is nothing more.
    ///
    /// # Errors
    /// [`FollowError`]; what was given before is a clean prefix of the recording.
    pub(crate) async fn next(&mut self) -> Result<Step, FollowError> {
        let span = self.span().clone();
        match self.next_step().instrument(span).await {
            Ok(Step::News(news)) => {
                let news = Ok(news);
                self.said.came(&news, self.given.cursor());
                news.map(Step::News)
            }
            other => other,
        }
    }

    async fn next_step(&mut self) -> Result<Step, FollowError> {
        self.silence.asked_for_next();
        loop {
            if self.look_at.is_none() && !self.outlook.is_key_only() {
                self.ahead.widen(&self.source, &self.given);
            }
            let step = match self.what_comes().await {
                Came::Next(Next::Piece(came)) => self.take(came)?.map(Step::News),
                Came::Next(Next::Page(page)) => self.turn_to(page?),
                Came::Answer(answer) => self.judge(answer?)?,
                Came::Due => {
                    self.due();
                    None
                }
                Came::Silence => return Err(self.timed_out()),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    async fn what_comes(&mut self) -> Came {
        let look_at = self.look_at;
        let answer = async {
            match &mut self.asking {
                Some(asking) => asking.await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            next = self.ahead.next() => Came::Next(next),
            answer = answer => Came::Answer(answer),
            () = at(look_at) => Came::Due,
            () = self.silence.too_long() => Came::Silence,
        }
    }

    /// Takes the page that was looked for. Where there is none any more, KEY is complete: pages are deleted after that.
    fn turn_to(&mut self, page: Option<(u32, Page)>) -> Option<Step> {
        if let Some((number, page)) = page {
            self.ahead.index.learn(number, page);
        } else {
            self.look_at = Some(Instant::now() + KEY_LOOKS.1);
            self.ask_whether_over(false);
        }
        None
    }

    /// Takes what came of the first piece.
    fn take(&mut self, came: PieceCame) -> Result<Option<News>, FollowError> {
        match came {
            PieceCame::Bytes(bytes) => {
                self.given.take(self.ahead.pieces.front(), &bytes);
                self.silence.gave_bytes();
                self.outlook.bytes_came();
                Ok(Some(News::Bytes(bytes)))
            }
            PieceCame::Whole => Ok(self.advance()),
            PieceCame::End => {
                self.ahead.pieces.clear();
                self.outlook.mark_met(self.given.cursor());
                tracing::debug!(offset = self.given.cursor(), "the end mark: waiting for the object to be complete");
                self.look_at_key(true);
                Ok(self.at_edge_now())
            }
            PieceCame::NotYet => Ok(self.missed()),
            PieceCame::Failed(error) => Err(error.into()),
        }
    }

    /// The first piece was read to its end.
    fn advance(&mut self) -> Option<News> {
        let piece = self.ahead.pieces.pop_front()?;
        self.given.whole(&piece);
        if piece.known {
            if self.ahead.pieces.is_empty() && self.head_seen.elapsed() >= BEAT {
                // While this was read, more has come.
                self.ask_head();
            }
            self.pace.caught_up();
            return std::mem::take(&mut self.at_edge).then_some(News::Behind);
        }
        let answered = piece.answered.unwrap_or_else(Instant::now);
        let length = piece.end().map_or(0, |end| end - piece.offset);
        let head = self.ahead.index.head();
        let last = if head.max_latency.is_none() { length < head.part_size } else { self.pace.is_short(length) };
        match self.pace.came(piece.sent(), answered, last) {
            Some(wait) => {
                self.look_at = Some(Instant::now() + wait);
                self.at_edge_now()
            }
            None if self.pace.at_once() < 2 => None,
            None => {
                if self.head_seen.elapsed() >= BEAT {
                    self.ask_head();
                }
                std::mem::take(&mut self.at_edge).then_some(News::Behind)
            }
        }
    }

    /// What should be there, or might, is not, or not whole.
    fn missed(&mut self) -> Option<News> {
        let piece = self.ahead.pieces.front()?;
        let (known, sent) = (piece.known, piece.sent());
        self.ahead.pieces.clear();
        let now = Instant::now();
        let wait = self.pace.missed(sent);
        self.said.waits(self.given.cursor(), wait);
        self.look_at = Some(now + wait);
        if known || self.pace.suspects_end(now) {
            self.pace.asked(now);
            if !known && self.pace.knows_no_beat(now) {
                // Its head tells as well, in one request.
                self.ask_head();
            } else {
                self.ask_whether_over(false);
            }
        }
        self.at_edge_now()
    }

    fn at_edge_now(&mut self) -> Option<News> {
        (!std::mem::replace(&mut self.at_edge, true)).then_some(News::Edge)
    }

    /// The wait is over.
    fn due(&mut self) {
        self.look_at = None;
        if self.outlook.is_key_only() {
            self.look_at_key(!self.outlook.is_doubted() && self.head_seen.elapsed() < BEAT);
        } else if self.pace.is_quiet(Instant::now()) && self.asking.is_none() {
            self.ask_head();
            self.look_at = Some(Instant::now() + self.pace.after_quiet());
        }
    }

    /// Looks at KEY, and soon again.
    fn look_at_key(&mut self, brief: bool) {
        let wait = self.outlook.next_key_look();
        self.look_at = Some(Instant::now() + wait);
        self.ask_whether_over(brief);
    }

    fn ask_head(&mut self) {
        if self.asking.is_none() {
            self.head_seen = Instant::now();
            self.asking = Some(self.source.head());
        }
    }

    fn ask_whether_over(&mut self, brief: bool) {
        if self.asking.is_some() {
            return;
        }
        let case = Case {
            cursor: self.given.cursor(),
            run: self.given.run(),
            ended: self.outlook.mark(),
            brief,
            key: None,
            head: None,
            after: None,
        };
        self.asking = Some(self.source.over(case));
    }
}

#[cfg(test)]
mod tests;
