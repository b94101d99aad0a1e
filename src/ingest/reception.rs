//! Many streams: which of them somebody may publish by the key that he has, and a recording for each.
//!
//! ```text
//! application -> not too many wrong keys -> key -> may the stream begin? -> its stage, or a new one -> lease
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tracing::Instrument;

use super::address::Address;
use super::begun::{Begun, GoesOn, Making};
use super::door::{Door, Lease};
use super::hook::Hook;
use super::notices::{Herald, Notices};
use super::pace::Pace;
use super::question::{Granted, Question, Verdict};
use super::rate::Rate;
use super::recording::{Behind, Recording};
use super::stage::{Stage, Stop};
use super::strangers::Seat;
use super::title::Title;
use super::visitor::Visitor;
use super::words::{BAD_NAME, DENIED, Refusal, TurnedAway, WRONG_KEY};
use crate::keys::book::{Book, Known, Permit};
use crate::keys::record::{check_name, id_of};
use crate::keys::secret::short_id;
use crate::message::fields;
use crate::rtmp::session::Publish;
use crate::writer::source::{Source, StopSignal, feed};

/// How often a stream may begin, or be taken over, in a minute.
const BEGINNINGS: u32 = 60;
/// The while for that.
const MINUTE: Duration = Duration::from_secs(60);
/// The most streams that are remembered for it.
const REMEMBERED: usize = 10_000;
/// How long the key of a stream that somebody has ended is refused: its encoder tries again at once.
const ENDED: Duration = Duration::from_secs(30);
/// When to ask again where there was no room, or somebody could not be asked.
const SOON: Duration = Duration::from_secs(5);
/// How often it is seen whether keys of streams that are published still hold, and whether their time is up.
const LOOK: Duration = Duration::from_secs(2);
/// A stage that ends at the very moment is given up for a new one so often.
const TRIES: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Reception {
    book: Book,
    hook: Option<Hook>,
    making: Making,
    most: usize,
    pub(super) turned_away: TurnedAway,
    pub(super) notices: Notices,
    places: Arc<Semaphore>,
    desk: Mutex<Desk>,
}

/// What changes.
#[derive(Debug)]
struct Desk {
    /// Recordings by the id of their stream.
    live: HashMap<String, Live>,
    /// When streams last began, and how often.
    begun: HashMap<String, (i64, u64)>,
    /// Streams that were ended by somebody, until when they are refused.
    ended: HashMap<String, Instant>,
    beginnings: Rate<String>,
    /// To whoever writes; none at the end.
    to_writer: Option<mpsc::UnboundedSender<Begun>>,
}

/// A recording, as long as it can be published into.
#[derive(Debug)]
struct Live {
    door: Door,
    stop: watch::Sender<Stop>,
    /// Of whoever published last.
    permit: Permit,
    session: String,
    /// When it began, in seconds since 1970.
    start: i64,
    /// When it is to end, in the same.
    until: Option<i64>,
    pace: Arc<Pace>,
}

/// What all have agreed to.
#[derive(Debug)]
struct Agreed {
    permit: Permit,
    /// What the recording is called if one begins.
    session: String,
    until: Option<i64>,
}

impl Reception {
    /// For so many streams at most, and where their recordings come out.
    pub(super) fn new(
        (book, hook): (Book, Option<Hook>),
        making: Making,
        most: usize,
    ) -> (Self, mpsc::UnboundedReceiver<Begun>) {
        let (to_writer, begun) = mpsc::unbounded_channel();
        let desk = Desk {
            live: HashMap::new(),
            begun: HashMap::new(),
            ended: HashMap::new(),
            beginnings: Rate::new(BEGINNINGS, MINUTE, REMEMBERED),
            to_writer: Some(to_writer),
        };
        let (places, turned_away) = (Arc::new(Semaphore::new(most)), TurnedAway::default());
        let notices = Notices::to(hook.clone());
        (Self { book, hook, making, most, turned_away, notices, places, desk: Mutex::new(desk) }, begun)
    }

    /// Whose the key is that somebody comes with.
    pub(super) async fn check(
        &self,
        address: &Address,
        peer: SocketAddr,
        seat: &Seat,
        publish: &Publish,
    ) -> Result<Permit, Refusal> {
        let wrong = |why: &str| {
            // It is counted, and bars the door in the end.
            seat.opens(false);
            Err(Refusal { code: BAD_NAME, words: WRONG_KEY.to_owned(), why: why.to_owned(), later: None })
        };
        if seat.is_barred() {
            return wrong("too many wrong stream keys have come from there");
        }
        let found = if self.has_keys() {
            address.key_in(&publish.app, &publish.name)
        } else {
            address.name_in(&publish.app, &publish.name).map(|(name, _)| (None, name))
        };
        let Some((name, key)) = found else { return wrong("it has another application") };
        let permit = match self.book.permit(&key).await {
            Ok(Some(permit)) => permit,
            Ok(None) => return wrong("its stream key is not good"),
            Err(error) => {
                tracing::error!("{error}");
                return Err(Refusal::denied("stream keys cannot be read here at the moment").after(SOON));
            }
        };
        if name.is_some_and(|name| name != permit.stream) {
            return wrong("its stream key is that of another stream");
        }
        // Whoever has the key may know that it is good.
        permit.terms.allow(peer.ip(), address.protocol()).map_err(Refusal::denied)?;
        Ok(permit)
    }

    /// Whether streams are known here by keys of their own.
    pub(super) fn has_keys(&self) -> bool {
        self.book.is_kept()
    }

    /// The recording of a stream, for somebody with its key.
    pub(super) async fn admit(self: &Arc<Self>, visitor: Visitor, permit: Permit) -> Result<Lease, Refusal> {
        // What is no name yet may be a secret.
        let span = if self.has_keys() { fields::stream(&permit.stream) } else { tracing::Span::none() };
        let wish = self.agreed(&visitor, permit).instrument(span).await?;
        let span = fields::stream(&wish.permit.stream);
        self.lease(visitor, wish).instrument(span).await
    }

    /// What all have agreed to who have to.
    async fn agreed(&self, visitor: &Visitor, mut permit: Permit) -> Result<Agreed, Refusal> {
        self.may_begin(&permit)?;
        let under_way = self.desk().live.get(&permit.id).map(|live| live.session.clone());
        let session = match under_way {
            Some(session) => session,
            None => short_id().map_err(|error| Refusal::denied(&error.to_string()))?,
        };
        let Granted { object, until, ladder, name } = self.ask(visitor, &permit, &session).await?;
        permit.object = object.or(permit.object);
        permit.terms.ladder = ladder.or(permit.terms.ladder);
        if let Some(name) = name {
            permit.stream = name;
        }
        if !self.has_keys() {
            // Only now it is known whose it is.
            check_name(&permit.stream).map_err(|why| Refusal::denied(&why))?;
            permit.id = id_of(&permit.stream);
            self.may_begin(&permit)?;
        }
        if until.is_some_and(|until| until <= seconds_now()) {
            return Err(Refusal::denied("the time of this stream is up"));
        }
        Ok(Agreed { permit, session, until })
    }

    /// Whether the stream may begin, or go on, as far as can be told here.
    fn may_begin(&self, permit: &Permit) -> Result<(), Refusal> {
        let mut desk = self.desk();
        let now = Instant::now();
        if desk.ended.get(&permit.id).is_some_and(|until| now < *until) {
            return Err(Refusal::denied("this stream has been ended: wait half a minute"));
        }
        if desk.beginnings.is_over(&permit.id, now) {
            return Err(Refusal::denied("this stream begins too often: wait a minute").after(MINUTE));
        }
        desk.beginnings.count(permit.id.clone(), now);
        Ok(())
    }

    /// Whether somebody else agrees.
    async fn ask(&self, visitor: &Visitor, permit: &Permit, session: &str) -> Result<Granted, Refusal> {
        let Some(hook) = &self.hook else { return Ok(Granted::default()) };
        match hook.ask(&Question { permit, visitor, session }).await {
            Verdict::Agreed(granted) => Ok(granted),
            // Where he alone knows the keys, it may have been a guess.
            Verdict::Refused(words) => Err(Refusal::of(if self.has_keys() { DENIED } else { BAD_NAME }, words)),
            Verdict::Silent(why) => {
                let peer = visitor.peer;
                tracing::warn!("{peer} may not publish, since --on-publish could not be asked: {why}");
                let words = "whoever has to agree cannot be asked at the moment".to_owned();
                Err(Refusal { code: DENIED, words, why, later: Some(SOON) })
            }
        }
    }

    /// Asks the stage of the stream; begins one where there is none.
    async fn lease(self: &Arc<Self>, visitor: Visitor, agreed: Agreed) -> Result<Lease, Refusal> {
        let mut refusal = String::new();
        for _ in 0..TRIES {
            let door = self.door(&visitor.app, &agreed)?;
            match door.ask(visitor.peer, visitor.encoder.clone()).await {
                Ok(lease) => {
                    self.is_had_by(&agreed, &door);
                    return Ok(lease);
                }
                Err(words) => refusal = words,
            }
            if !door.is_over() {
                break;
            }
            self.forget(&agreed.permit.id, &door);
        }
        Err(Refusal::of(DENIED, refusal))
    }

    /// Somebody with this permit has the recording behind this door from here on.
    fn is_had_by(&self, Agreed { permit, until, .. }: &Agreed, door: &Door) {
        if let Some(live) = self.desk().live.get_mut(&permit.id).filter(|live| live.door.is(door)) {
            (live.until, live.permit) = (*until, permit.clone());
            live.pace.set(self.making.max_bitrate(&permit.terms));
        }
    }

    fn door(self: &Arc<Self>, app: &str, Agreed { permit, session, .. }: &Agreed) -> Result<Door, Refusal> {
        let about_to_end = || Refusal::denied("this writer is about to end").after(SOON);
        let mut desk = self.desk();
        if let Some(live) = desk.live.get(&permit.id) {
            return Ok(live.door.clone());
        }
        if desk.to_writer.is_none() {
            return Err(about_to_end());
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let words = format!("there are {} streams already, and no room for another (--max-streams)", self.most);
            return Err(Refusal::denied(&words).after(SOON));
        };
        let session = session.clone();
        let (start, number) = desk.next_of(&permit.id);
        let title = Title { permit: permit.clone(), app: app.to_owned(), session, start, number };
        let several = self.making.shape_of(&title).renditions;
        let journal = self.making.journals.as_ref().and_then(|journals| journals.begin(&title, several));
        let behind = Behind { journal, state: None, begun: false };
        self.begin(&mut desk, title, behind, place).ok_or_else(about_to_end)
    }

    /// Goes on with a recording that a killed writer has left, and waits for its encoder where there is one.
    pub(super) fn go_on(self: &Arc<Self>, left: GoesOn) {
        let GoesOn { title, behind, over } = left;
        let _within = fields::stream(&title.permit.stream).entered();
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return tracing::warn!(
                "there is no room for what a killed writer has left of it (--max-streams): the next writer takes it up"
            );
        };
        let mut desk = self.desk();
        let last = desk.begun.entry(title.permit.id.clone()).or_insert((title.start, title.number));
        *last = (last.0.max(title.start), last.1.max(title.number));
        if !over && !desk.live.contains_key(&title.permit.id) {
            self.begin(&mut desk, title, behind, place);
        } else if let Some(to_writer) = &desk.to_writer {
            // Nobody feeds it: it ends behind what there is.
            let source = Source::Feed(feed(self.making.queue).1);
            let herald = self.herald(&title);
            let figures = Arc::default();
            drop(to_writer.send(Begun { source, title, journal: behind.journal, place, herald, figures }));
        }
    }

    /// Begins a recording, or goes on with one; none where nobody is to write it any more.
    fn begin(
        self: &Arc<Self>,
        desk: &mut Desk,
        title: Title,
        behind: Behind,
        place: OwnedSemaphorePermit,
    ) -> Option<Door> {
        let shape = self.making.shape_of(&title);
        let (stop, stopped) = watch::channel(Stop::No);
        let (stage, door) = Stage::new(self.making.manners_of(&title.permit.terms), stopped);
        let (feeder, source) = feed(self.making.queue);
        let (permit, session, start) = (title.permit.clone(), title.session.clone(), title.start);
        let journal = behind.journal.clone();
        let herald = self.herald(&title);
        let mut recording = Recording::new(shape, feeder, behind);
        recording.herald = herald.clone();
        let figures = recording.figures().clone();
        let begun = Begun { source: Source::Feed(source), title, journal, place, herald, figures };
        desk.to_writer.as_ref()?.send(begun).ok()?;
        let (reception, id, over) = (self.clone(), permit.id.clone(), door.clone());
        let live = Live { door: door.clone(), stop, permit, session, start, until: None, pace: recording.pace.clone() };
        desk.live.insert(id.clone(), live);
        let run = async move {
            stage.run(recording).await;
            reception.forget(&id, &over);
        };
        tokio::spawn(run.in_current_span());
        Some(door)
    }

    fn herald(&self, Title { permit, session, app, .. }: &Title) -> Herald {
        self.notices.of(serde_json::json!({
            "stream": permit.stream, "stream_id": permit.id, "session": session, "app": app,
        }))
    }

    /// The recording behind this door is over.
    fn forget(&self, id: &str, door: &Door) {
        let mut desk = self.desk();
        if desk.live.get(id).is_some_and(|live| live.door.is(door)) {
            desk.live.remove(id);
        }
    }

    /// Ends streams whose keys hold no more, until all of them are to end; then ends them.
    pub(super) async fn watch(&self, mut stop: StopSignal) {
        let mut known = Known::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = look.tick() => {}
            }
            if !self.desk().live.is_empty() {
                self.end_those_revoked(&mut known).await;
                self.end_those_late(seconds_now());
            }
        }
        let mut desk = self.desk();
        desk.to_writer = None;
        for live in desk.live.values() {
            live.stop.send_if_modified(|stop| *stop == Stop::No && std::mem::replace(stop, Stop::Closing) == Stop::No);
        }
    }

    /// Ends a recording, and refuses its stream for a while; false if there is none of this name.
    pub(super) fn end(&self, session: &str) -> bool {
        let mut desk = self.desk();
        let Some(live) = desk.live.values().find(|live| live.session == session) else { return false };
        let id = live.permit.id.clone();
        desk.end(&id);
        true
    }

    /// Waits until nobody publishes any more.
    pub(super) async fn is_empty(&self) {
        while !self.desk().live.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end_those_revoked(&self, known: &mut Known) {
        let streams = match self.book.news(known).await {
            Ok(Some(streams)) => streams,
            Ok(None) => return,
            // Who is publishing has had the right to.
            Err(error) => return tracing::debug!("{error}"),
        };
        for live in self.desk().live.values_mut() {
            match live.permit.held(&streams) {
                Some(stream) => {
                    live.permit.terms.clone_from(&stream.terms);
                    live.pace.set(self.making.max_bitrate(&stream.terms));
                }
                None if live.stop.send_replace(Stop::Over) == Stop::No => {
                    let what = if streams.iter().any(|stream| stream.id == live.permit.id && !stream.terms.enabled) {
                        "it was disabled"
                    } else {
                        "its stream key was revoked"
                    };
                    fields::stream(&live.permit.stream)
                        .in_scope(|| tracing::warn!(event = "revoked", "{what}: the recording ends"));
                }
                None => {}
            }
        }
    }

    /// Ends recordings that have lasted as long as they may.
    fn end_those_late(&self, now: i64) {
        let mut desk = self.desk();
        let late = desk.live.values().filter(|live| live.is_late(now)).map(|live| live.permit.id.clone());
        for id in late.collect::<Vec<_>>() {
            desk.end(&id);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// Whether its time is up, which is told.
    fn is_late(&self, now: i64) -> bool {
        let longest = self.permit.terms.max_duration.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let lasted = now.saturating_sub(self.start);
        let why = if longest.is_some_and(|longest| lasted >= longest) {
            format!("the recording has lasted {lasted} s, and none of this stream may be longer")
        } else if self.until.is_some_and(|until| until <= now) {
            "the time is up for which --on-publish has agreed to this stream".to_owned()
        } else {
            return false;
        };
        if *self.stop.borrow() == Stop::No {
            fields::stream(&self.permit.stream)
                .in_scope(|| tracing::warn!(event = "time_is_up", "{why}: the recording ends"));
        }
        true
    }
}

impl Desk {
    /// Ends the recording of a stream, and refuses the stream for a while.
    fn end(&mut self, id: &str) {
        let Some(live) = self.live.get(id) else { return };
        if live.stop.send_replace(Stop::Over) != Stop::No {
            return;
        }
        let now = Instant::now();
        self.ended.retain(|_, until| now < *until);
        self.ended.insert(id.to_owned(), now + ENDED);
    }

    /// When a recording begins that begins now, and which of the stream it is.
    fn next_of(&mut self, id: &str) -> (i64, u64) {
        let now = seconds_now();
        let (start, number) = self.begun.entry(id.to_owned()).or_insert((i64::MIN, 0));
        (*start, *number) = (now.max(start.saturating_add(1)), number.saturating_add(1));
        (*start, *number)
    }
}

/// Seconds since 1970.
fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
