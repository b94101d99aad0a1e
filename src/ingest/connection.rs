//! One encoder's connection: until it publishes, with a deadline; then its frames, as long as it has the recording.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use bytes::BufMut;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::address::Address;
use super::door::Lease;
use super::entrance::Entrance;
use super::pace::Pace;
use super::strangers::Seat;
use super::words::{DENIED, Left, UNFIT, Why};
use crate::mux::Arrival;
use crate::rtmp::session::Publish;
use crate::rtmp::{Event, Session};

/// How long a connection has until it publishes.
pub(super) const TO_PUBLISH: Duration = Duration::from_secs(10);
/// An encoder that sends nothing for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// An encoder that has said that it ends has this time to close the stream.
const TO_END: Duration = Duration::from_secs(1);
/// How long an encoder may take to read an answer.
const TO_READ: Duration = Duration::from_secs(5);
/// Bytes taken from a socket at once, and from that of a stranger, of whom there may be many.
const READ: usize = 64 << 10;
const READ_OF_STRANGERS: usize = 4 << 10;

/// Somebody at the door.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) peer: SocketAddr,
    /// When it has to publish.
    pub(super) by: Instant,
    pub(super) address: Address,
    pub(super) entrance: Entrance,
    pub(super) seat: Seat,
}

/// Does all that is to be done with a connection.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, visit: Visit) {
    let Visit { peer, by, address, entrance, seat } = visit;
    let random = std::iter::repeat_with(|| fastrand::u8(..)).take(1528).collect();
    let mut wire = Wire { stream, session: Session::new(random) };
    let publish = match timeout_at(by, wire.until_it_publishes()).await {
        Ok(Ok(publish)) => publish,
        // Whoever looks whether somebody listens is no news.
        Ok(Err(Why::Closed)) => {
            tracing::debug!("{peer} went away before it published");
            return wire.farewell().await;
        }
        Ok(Err(why)) => {
            entrance.turned_away().say(peer, &why.to_string());
            return wire.farewell().await;
        }
        Err(_) => return entrance.turned_away().say(peer, "it did not publish in 10 s"),
    };
    let mut lease = match entrance.admit(&address, peer, &seat, publish).await {
        Ok(lease) => lease,
        Err(refusal) => {
            wire.session.refuse(refusal.code, &refusal.words);
            entrance.turned_away().say(peer, &refusal.why);
            return wire.farewell().await;
        }
    };
    drop(seat);
    wire.session.accept();
    let span = lease.recording.span.clone();
    let received = AssertUnwindSafe(wire.receive(&mut lease)).catch_unwind().instrument(span).await;
    let left = received.unwrap_or_else(|_| {
        // It has been told of; others are to go on with the recording.
        lease.recording.start_over();
        Left::Broken(Why::Failed)
    });
    let ended = left == Left::Ended;
    match &left {
        Left::TakenOver => wire.session.refuse(DENIED, "another encoder has taken over"),
        Left::Unfit(why) => wire.session.refuse(UNFIT, why),
        Left::Closing => wire.session.ask_to_reconnect("this writer ends"),
        Left::Ended | Left::Broken(_) | Left::Stopped | Left::Unread => {}
    }
    lease.give_back(left);
    if ended {
        // It closes the connection itself, and may take it for a failure if somebody else does.
        drop(wire.answer().await);
        drop(timeout(TO_END, wire.forget()).await);
    }
    wire.farewell().await;
}

/// A socket, and what is spoken over it.
struct Wire<S> {
    stream: S,
    session: Session,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    async fn until_it_publishes(&mut self) -> Result<Publish, Why> {
        loop {
            let next = self.session.next_event();
            self.answer().await?;
            match next? {
                Some(Event::Publish(publish)) => return Ok(publish),
                Some(_) => {}
                None if self.session.is_over() => return Err(Why::Closed),
                None => drop(self.read(READ_OF_STRANGERS).await?),
            }
        }
    }

    /// Takes frames, until the encoder or the stage ends it.
    async fn receive(&mut self, lease: &mut Lease) -> Left {
        let mut ends = false;
        loop {
            loop {
                match self.session.next_event() {
                    Ok(Some(Event::End)) => return Left::Ended,
                    Ok(Some(Event::Ending)) => ends = true,
                    Ok(Some(event)) => {
                        let arrival = Arrival { elapsed: lease.recording.began.elapsed(), at: SystemTime::now() };
                        if let Err(why) = lease.recording.take(event, arrival) {
                            return Left::Unfit(why);
                        }
                    }
                    Ok(None) => break,
                    Err(fault) => return Left::Broken(fault.into()),
                }
                tokio::select! {
                    biased;
                    read = lease.recording.hand_on() => if !read { return Left::Unread },
                    called = &mut lease.called_back => return called.unwrap_or(Left::Stopped),
                }
            }
            tokio::select! {
                next = self.answer_and_read(if ends { TO_END } else { SILENCE }, &lease.recording.pace) => match next {
                    Ok(()) => {}
                    Err(_) if ends => return Left::Ended,
                    Err(why) => return Left::Broken(why),
                },
                called = &mut lease.called_back => return called.unwrap_or(Left::Stopped),
            }
        }
    }

    async fn answer_and_read(&mut self, patience: Duration, pace: &Pace) -> Result<(), Why> {
        self.answer().await?;
        pace.is_due().await;
        let count = timeout(patience, self.read(READ)).await.unwrap_or(Err(Why::Silence(patience)))?;
        pace.came(count);
        Ok(())
    }

    async fn read(&mut self, room: usize) -> Result<usize, Why> {
        match self.stream.read_buf(&mut self.session.input(room).limit(room)).await {
            Ok(0) => Err(Why::Closed),
            Ok(count) => {
                self.session.came(count);
                Ok(count)
            }
            Err(error) => Err(Why::Socket(error.to_string())),
        }
    }

    /// Sends what there is to be said.
    async fn answer(&mut self) -> Result<(), Why> {
        let answers = self.session.answers();
        if answers.is_empty() {
            return Ok(());
        }
        let sent = async {
            self.stream.write_all(&answers).await?;
            self.stream.flush().await
        };
        let slow = || Err(io::Error::other("it does not read what it is told"));
        timeout(TO_READ, sent).await.unwrap_or_else(|_| slow()).map_err(|error| Why::Socket(error.to_string()))
    }

    /// Takes what still comes until the other side closes, and keeps nothing of it.
    async fn forget(&mut self) {
        let mut unread = [0; 4096];
        while self.stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }

    /// Says the last words, and waits a moment for them to be read: a socket that is closed with bytes unread takes them back.
    async fn farewell(mut self) {
        const MOMENT: Duration = Duration::from_secs(1);
        let last = async {
            if self.answer().await.is_ok() && self.stream.shutdown().await.is_ok() {
                self.forget().await;
            }
        };
        // Whoever does not read them in that time will not.
        drop(timeout(MOMENT, last).await);
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
