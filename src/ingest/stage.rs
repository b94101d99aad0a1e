//! Whose turn it is to publish into the one recording, and when that is over.
//!
//! ```text
//! Empty --publish--> Live --the end--> over
//!                    |  ^
//!              break v  | publish again, in time
//!                   Waiting --too late--> over
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::listen::{Listener, Strangers};
use super::words::{Left, TurnedAway};
use super::{Settings, Takeover};
use crate::media::flv::{self, FlvError};
use crate::mux::{Arrival, Muxer};
use crate::rtmp::Event;
use crate::writer::source::{Feeder, StopSignal};

/// Two encoders with the same key take each other's place at most this often.
const BETWEEN_TAKEOVERS: Duration = Duration::from_secs(2);
/// How many may be at the door at once with the right key.
const ASKING: usize = 16;

/// What is being made of the streams.
#[derive(Debug)]
pub(super) struct Recording {
    muxer: Muxer,
    feeder: Feeder,
    /// Where its clock begins.
    pub(super) began: Instant,
    /// Tags that could not be read.
    broken_tags: u64,
    /// A late track, and a jump in time, have been told of.
    told: (bool, bool),
}

impl Recording {
    pub(super) fn new(fragment: Duration, feeder: Feeder) -> Self {
        Self { muxer: Muxer::new(fragment), feeder, began: Instant::now(), broken_tags: 0, told: (false, false) }
    }

    /// Takes what an encoder sent; in words, why it cannot.
    pub(super) fn take(&mut self, event: Event, arrival: Arrival) -> Result<(), String> {
        let (time, units) = match event {
            Event::Metadata(about) => {
                self.muxer.told(about.size, about.video, about.audio);
                return Ok(());
            }
            Event::Audio(time, body) => (time, flv::audio(&body)),
            Event::Video(time, body) => (time, flv::video(&body)),
            Event::Publish(_) | Event::Ending | Event::End => return Ok(()),
        };
        let units = match units {
            Ok(units) => units,
            Err(FlvError::Short) => {
                self.broken_tags += 1;
                return Ok(());
            }
            Err(error @ FlvError::Codec { .. }) => return Err(error.to_string()),
        };
        for unit in units {
            self.muxer.push(unit, time, arrival).map_err(|error| error.to_string())?;
        }
        self.tell();
        Ok(())
    }

    /// Warns of what the encoder should do otherwise, once.
    fn tell(&mut self) {
        let counts = self.muxer.counts();
        if let Some(track) = counts.late.filter(|_| !std::mem::replace(&mut self.told.0, true)) {
            let what = if track.kind == flv::Kind::Video { "pictures" } else { "sound" };
            tracing::warn!(
                "the encoder began to send {what} after the recording had begun without: they are not in the object"
            );
        }
        if counts.jumps > 0 && !std::mem::replace(&mut self.told.1, true) {
            tracing::warn!("the encoder's time jumped: from there on the recording goes by when frames came");
        }
    }

    /// Hands on what is ready; false when nobody reads any more. Dropping the future loses nothing.
    pub(super) async fn hand_on(&mut self) -> bool {
        while let Some(piece) = self.muxer.ready() {
            if !self.feeder.give(piece).await {
                return false;
            }
            self.muxer.handed_on();
        }
        true
    }

    /// The encoder is gone; nothing more comes of it, or at all.
    async fn end_of(&mut self, left: &Left) -> bool {
        match left {
            Left::Ended | Left::Stopped => self.muxer.finish(),
            _ => self.muxer.leave(),
        }
        let counts = self.muxer.counts();
        tracing::debug!(
            "{} frames that nothing could be made of, {} broken tags, {} jumps in time",
            counts.dropped,
            self.broken_tags,
            counts.jumps
        );
        self.hand_on().await
    }
}

/// How connections reach the stage.
#[derive(Debug, Clone)]
pub(super) struct Door {
    asks: mpsc::Sender<Ask>,
    pub(super) turned_away: Arc<TurnedAway>,
}

/// A wish to publish, by somebody with the right key.
#[derive(Debug)]
struct Ask {
    peer: SocketAddr,
    encoder: String,
    answer: oneshot::Sender<Result<Lease, String>>,
}

/// The recording, in the hands of a connection.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) recording: Recording,
    /// When it is to be given back, and as what.
    pub(super) called_back: oneshot::Receiver<Left>,
    back: oneshot::Sender<(Recording, Left)>,
}

impl Lease {
    pub(super) fn give_back(self, left: Left) {
        // Nobody takes it only when all is over.
        drop(self.back.send((self.recording, left)));
    }
}

impl Door {
    /// Asks for the recording; in words, why not.
    pub(super) async fn ask(&self, peer: SocketAddr, encoder: String) -> Result<Lease, String> {
        let over = || "the recording is over".to_owned();
        let (answer, lease) = oneshot::channel();
        self.asks.try_send(Ask { peer, encoder, answer }).map_err(|_| over())?;
        lease.await.unwrap_or_else(|_| Err(over()))
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Stage {
    asks: mpsc::Receiver<Ask>,
    stop: StopSignal,
    takeover: Takeover,
    reconnect: Duration,
}

/// Who is publishing.
#[derive(Debug)]
struct Live {
    since: Instant,
    call: oneshot::Sender<Left>,
    back: oneshot::Receiver<(Recording, Left)>,
}

impl Stage {
    pub(super) fn new(settings: &Settings, stop: StopSignal) -> (Self, Door) {
        let (send, asks) = mpsc::channel(ASKING);
        let door = Door { asks: send, turned_away: Arc::default() };
        let Settings { takeover, reconnect, .. } = *settings;
        (Self { asks, stop, takeover, reconnect }, door)
    }

    /// Takes encoders one after the other, until the recording is over.
    pub(super) async fn run(mut self, recording: Recording, listeners: Vec<Listener>) {
        let strangers = Arc::<Strangers>::default();
        let mut doors: JoinSet<()> = listeners.into_iter().map(|listener| listener.run(strangers.clone())).collect();
        let over = self.take_turns(recording).await;
        // Nobody is let in any more. The last encoder hears its last words meanwhile.
        drop(over);
        tokio::time::sleep(Duration::from_secs(1)).await;
        doors.abort_all();
    }

    async fn take_turns(&mut self, mut recording: Recording) -> Option<Recording> {
        let mut gone: Option<Instant> = None;
        loop {
            let until = gone.map(|gone| gone + self.reconnect);
            let ask = tokio::select! {
                () = asked_to(&mut self.stop) => return Some(recording),
                () = recording.feeder.closed() => return None,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    let waited = self.reconnect.as_secs_f32();
                    tracing::warn!("no encoder came back in {waited:.0} s: the recording is over");
                    return Some(recording);
                }
                ask = self.asks.recv() => ask?,
            };
            say_who(&ask, gone);
            let (back, left) = self.publish(recording, ask).await?;
            recording = back;
            if !recording.end_of(&left).await {
                return None;
            }
            match left {
                Left::Ended => {
                    tracing::info!(event = "ended_stream", "the encoder has ended the stream");
                    return Some(recording);
                }
                Left::Stopped | Left::Unread => return Some(recording),
                Left::Unfit(why) => {
                    tracing::warn!("the encoder was sent away: {why}");
                    // One that is wrong again and again is not waited for longer.
                    let before = gone.filter(|gone| gone.elapsed() < self.reconnect);
                    gone = recording.muxer.has_begun().then(|| before.unwrap_or_else(Instant::now));
                }
                Left::Broken(_) | Left::TakenOver if !recording.muxer.has_begun() => {
                    tracing::info!(
                        "the encoder was gone before it had sent anything to begin with; waiting for another"
                    );
                    gone = None;
                }
                Left::Broken(why) => {
                    let wait = self.reconnect.as_secs_f32();
                    tracing::warn!(
                        event = "gone",
                        "the encoder is gone: {why}. Waiting {wait:.0} s for it to come back"
                    );
                    gone = Some(Instant::now());
                }
                Left::TakenOver => gone = Some(Instant::now()),
            }
        }
    }

    /// Lends the recording to whoever asked, and to whoever takes over from there; how the last of them left.
    async fn publish(&mut self, recording: Recording, ask: Ask) -> Option<(Recording, Left)> {
        let mut live = match lend(recording, ask) {
            Ok(live) => live,
            Err(recording) => return Some((*recording, Left::TakenOver)),
        };
        loop {
            let ask = tokio::select! {
                back = &mut live.back => return back.ok(),
                () = asked_to(&mut self.stop) => {
                    drop(live.call.send(Left::Stopped));
                    return live.back.await.ok();
                }
                ask = self.asks.recv() => ask?,
            };
            if self.takeover == Takeover::Refuse {
                let refusal = "another encoder is publishing, and --takeover refuse keeps it";
                drop(ask.answer.send(Err(refusal.to_owned())));
                continue;
            }
            let early = BETWEEN_TAKEOVERS.saturating_sub(live.since.elapsed());
            tokio::time::sleep(early).await;
            tracing::warn!(event = "taken_over", "{} takes over from the encoder before it", ask.peer);
            drop(live.call.send(Left::TakenOver));
            let (mut recording, left) = live.back.await.ok()?;
            if matches!(left, Left::Ended) || !recording.end_of(&left).await {
                let refusal = "the recording is over";
                drop(ask.answer.send(Err(refusal.to_owned())));
                return Some((recording, left));
            }
            live = match lend(recording, ask) {
                Ok(live) => live,
                Err(recording) => return Some((*recording, Left::TakenOver)),
            };
        }
    }
}

/// Waits until the recording is to end.
async fn asked_to(stop: &mut StopSignal) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is there to ask.
        std::future::pending::<()>().await;
    }
}

/// Lends the recording; gives it back where whoever asked is gone already.
fn lend(recording: Recording, ask: Ask) -> Result<Live, Box<Recording>> {
    let (call, called_back) = oneshot::channel();
    let (give, back) = oneshot::channel();
    match ask.answer.send(Ok(Lease { recording, called_back, back: give })) {
        Err(Ok(lease)) => Err(Box::new(lease.recording)),
        // No other answer was sent that could come back.
        Ok(()) | Err(Err(_)) => Ok(Live { since: Instant::now(), call, back }),
    }
}

fn say_who(ask: &Ask, gone: Option<Instant>) {
    let (peer, encoder) = (ask.peer, &ask.encoder);
    let encoder = if encoder.is_empty() { String::new() } else { format!(" ({encoder})") };
    match gone {
        None => tracing::info!(event = "publishing", "an encoder publishes: {peer}{encoder}"),
        Some(gone) => {
            let after = gone.elapsed().as_secs_f32();
            tracing::info!(event = "publishing", "an encoder is back after {after:.1} s: {peer}{encoder}");
        }
    }
}
