//! Whose turn it is to publish into the one recording, and when that is over.
//!
//! ```text
//! Empty --publish--> Live --the end--> over
//!                    |  ^
//!              break v  | publish again, in time
//!                   Waiting --too late--> over
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::door::{Ask, Door};
use super::listen::Listener;
use super::recording::Recording;
use super::strangers::Strangers;
use super::words::Left;
use super::{Settings, Takeover};
use crate::writer::source::StopSignal;

/// Two encoders with the same key take each other's place at most this often.
const BETWEEN_TAKEOVERS: Duration = Duration::from_secs(2);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Stage {
    asks: mpsc::Receiver<Ask>,
    stop: StopSignal,
    takeover: Takeover,
    reconnect: Duration,
}

impl Stage {
    pub(super) fn new(settings: &Settings, stop: StopSignal) -> (Self, Door) {
        let (door, asks) = Door::new();
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
        let mut live = match ask.lend(recording) {
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
                ask.refuse(refusal);
                continue;
            }
            let early = BETWEEN_TAKEOVERS.saturating_sub(live.since.elapsed());
            tokio::time::sleep(early).await;
            tracing::warn!(event = "taken_over", "{} takes over from the encoder before it", ask.peer);
            drop(live.call.send(Left::TakenOver));
            let (mut recording, left) = live.back.await.ok()?;
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
async fn asked_to(stop: &mut StopSignal) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is there to ask.
        std::future::pending::<()>().await;
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
