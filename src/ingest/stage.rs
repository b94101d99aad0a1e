//! Whose turn it is to publish into the one recording, and when that is over.
//!
//! ```text
//! Empty --publish--> Live --the end--> over
//!                    |  ^
//!              break v  | publish again, in time
//!                   Waiting --too late--> over
//! ```

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::door::{Ask, Door};
use super::recording::Recording;
use super::words::Left;

/// Two encoders with the same key take each other's place at most this often.
const BETWEEN_TAKEOVERS: Duration = Duration::from_secs(2);
/// How long the first encoder is waited for at least.
const FIRST: Duration = Duration::from_secs(10);

/// Who publishes when another encoder comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// The one that came last: the one before it may be a connection that nobody has noticed to be dead.
    Newest,
    /// The one that is there.
    Refuse,
}

/// How encoders are dealt with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    pub(super) takeover: Takeover,
    /// How long one that is gone is waited for.
    pub(super) reconnect: Duration,
    /// Whether the first one is waited for as long as it takes.
    pub(super) waits: bool,
}

/// Whether a recording is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Not by itself.
    No,
    /// Somebody has ended it.
    Over,
    /// The program ends.
    Closing,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Stage {
    asks: mpsc::Receiver<Ask>,
    stop: watch::Receiver<Stop>,
    manners: Manners,
}

impl Stage {
    pub(super) fn new(manners: Manners, stop: watch::Receiver<Stop>) -> (Self, Door) {
        let (door, asks) = Door::new();
        (Self { asks, stop, manners }, door)
    }

    /// Takes encoders one after the other, until the recording is over.
    pub(super) async fn run(mut self, recording: Recording) {
        if let Some(recording) = self.take_turns(recording).await {
            recording.is_over();
        }
    }

    /// The recording, once it is over: when nobody is to go on with it.
    async fn take_turns(&mut self, mut recording: Recording) -> Option<Recording> {
        let Manners { reconnect, waits, .. } = self.manners;
        let nobody = || (!waits).then(Instant::now);
        // The encoder of a writer that was killed has to come back, too.
        let mut met = recording.has_begun();
        let mut gone = if met { Some(Instant::now()) } else { nobody() };
        loop {
            // Whoever had the recording begun is on his way.
            let until = gone.map(|gone| gone + if met { reconnect } else { reconnect.max(FIRST) });
            let ask = tokio::select! {
                left = asked_to(&mut self.stop) => return Some(recording).filter(|_| left == Left::Stopped),
                () = recording.feeder.closed() => return None,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    let waited = reconnect.as_secs_f32();
                    tracing::warn!("no encoder came back in {waited:.0} s: the recording is over");
                    return Some(recording);
                }
                ask = self.asks.recv() => ask?,
            };
            say_who(&ask, gone.filter(|_| met));
            let event = if gone.is_some() && met { "back" } else { "live" };
            recording.figures().reconnects.fetch_add(u64::from(event == "back"), Relaxed);
            recording.herald.say(event, json!({ "ip": ask.peer.ip(), "encoder": ask.encoder }));
            met = true;
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
                Left::Closing => {
                    recording.say_what_is_missing();
                    return None;
                }
                Left::Unfit(why) => {
                    tracing::warn!("the encoder was sent away: {why}");
                    // One that is wrong again and again is not waited for longer.
                    let before = gone.filter(|gone| gone.elapsed() < reconnect);
                    gone = if recording.has_begun() { before.or_else(|| Some(Instant::now())) } else { nobody() };
                }
                Left::Broken(_) | Left::TakenOver if !recording.has_begun() => {
                    tracing::info!(
                        "the encoder was gone before it had sent anything to begin with; waiting for another"
                    );
                    gone = nobody();
                }
                Left::Broken(why) => {
                    recording.herald.say("broken", json!({ "reason": why.to_string() }));
                    let wait = reconnect.as_secs_f32();
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
        let mut live = match ask.lend(recording) {
            Ok(live) => live,
            Err(recording) => return Some((*recording, Left::TakenOver)),
        };
        loop {
            let ask = tokio::select! {
                back = &mut live.back => return back.ok(),
                left = asked_to(&mut self.stop) => {
                    drop(live.call.send(left));
                    return live.back.await.ok();
                }
                ask = self.asks.recv() => ask?,
            };
            if self.manners.takeover == Takeover::Refuse {
                let refusal = "another encoder is publishing, and --takeover refuse keeps it";
                ask.refuse(refusal);
                continue;
            }
            let early = BETWEEN_TAKEOVERS.saturating_sub(live.since.elapsed());
            tokio::time::sleep(early).await;
            tracing::warn!(event = "taken_over", "{} takes over from the encoder before it", ask.peer);
            drop(live.call.send(Left::TakenOver));
            let (mut recording, left) = live.back.await.ok()?;
            recording.figures().takeovers.fetch_add(1, Relaxed);
            if matches!(left, Left::Ended) || !recording.end_of(&left).await {
                let refusal = "the recording is over";
                ask.refuse(refusal);
                return Some((recording, left));
            }
            live = match ask.lend(recording) {
                Ok(live) => live,
                Err(recording) => return Some((*recording, Left::TakenOver)),
            };
        }
    }
}

/// Waits until the recording is to end.
async fn asked_to(stop: &mut watch::Receiver<Stop>) -> Left {
    match stop.wait_for(|stop| *stop != Stop::No).await.map(|stop| *stop) {
        Ok(Stop::Closing) => Left::Closing,
        Ok(Stop::Over | Stop::No) => Left::Stopped,
        // Nobody is there to ask.
        Err(_) => std::future::pending().await,
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
