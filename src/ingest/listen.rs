//! Sockets: who is let in, and how many at once have not shown a key yet.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::IngestError;
use super::address::Address;
use super::connection::{self, Visit};
use super::stage::Door;
use super::tls::Tls;

/// Connections without a key, from one address ...
const STRANGERS_EACH: usize = 64;
/// ... and over all.
const STRANGERS: usize = 1024;
/// How long to wait where the system has no more sockets.
const PAUSE: Duration = Duration::from_millis(100);
/// The first byte of a TLS connection, and of RTMP.
const TLS: u8 = 0x16;

/// A socket that is listened at.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    place: Arc<Place>,
}

/// What its connections share.
#[derive(Debug)]
struct Place {
    address: Address,
    tls: Option<Arc<Tls>>,
    door: Door,
}

impl Listener {
    /// Begins to listen, and says where.
    pub(super) async fn bind(address: Address, tls: Option<Arc<Tls>>, door: Door) -> Result<Self, IngestError> {
        let bound = TcpListener::bind((address.host(), address.port)).await;
        let bound = bound.and_then(|socket| socket.local_addr().map(|local| (socket, local)));
        let (socket, local) = bound.map_err(|cause| IngestError::Listen { address: address.to_string(), cause })?;
        let secure = if tls.is_some() && !address.secure { " (and by TLS, as rtmps://)" } else { "" };
        tracing::info!(event = "listening", "listening at {}{secure}", address.at(&local.to_string()));
        Ok(Self { socket, place: Arc::new(Place { address, tls, door }) })
    }

    /// Lets encoders in, until the future is dropped, and their connections with it.
    pub(super) async fn run(self, strangers: Arc<Strangers>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Whoever has too many connections open already hears nothing.
                    if let Some(seat) = strangers.seat(peer.ip()) {
                        connections.spawn(greet(stream, peer, self.place.clone(), seat));
                    }
                }
                Err(error) => {
                    tracing::debug!("cannot accept a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Finds out what is spoken, and speaks it.
async fn greet(stream: TcpStream, peer: SocketAddr, place: Arc<Place>, seat: Seat) {
    let by = Instant::now() + connection::TO_PUBLISH;
    let visit = Visit { peer, by, address: place.address.clone(), door: place.door.clone(), seat };
    match timeout_at(by, hello(stream, &place)).await {
        Ok(Ok(Spoken::Plain(stream))) => connection::serve(stream, visit).await,
        Ok(Ok(Spoken::Tls(stream))) => connection::serve(*stream, visit).await,
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => tracing::debug!("{peer} said nothing"),
        Ok(Err(error)) => place.door.turned_away.say(peer, &error.to_string()),
        Err(_) => tracing::debug!("{peer} said nothing"),
    }
}

enum Spoken {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

async fn hello(stream: TcpStream, place: &Place) -> io::Result<Spoken> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match (&place.tls, first == [TLS]) {
        (Some(tls), true) => Ok(Spoken::Tls(Box::new(tls.acceptor().accept(stream).await?))),
        (None, true) => Err(io::Error::other("it comes with TLS (rtmps://), which needs --tls-cert and --tls-key")),
        (_, false) if place.address.secure => {
            Err(io::Error::other("it comes without TLS, and only rtmps:// is taken here"))
        }
        (_, false) => Ok(Spoken::Plain(stream)),
    }
}

/// Who is here and has not shown a key.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<HashMap<IpAddr, usize>>);

/// A stranger's place; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    strangers: Arc<Strangers>,
    of: IpAddr,
}

impl Strangers {
    pub(super) fn seat(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let of = household(ip);
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if here.values().sum::<usize>() >= STRANGERS {
            return None;
        }
        let count = here.entry(of).or_default();
        if *count >= STRANGERS_EACH {
            return None;
        }
        *count += 1;
        Some(Seat { strangers: self.clone(), of })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut here = self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = here.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.of);
            }
        }
    }
}

/// The address, of IPv6 without its last half, which everybody has for himself.
fn household(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_seats() {
        let strangers = Arc::new(Strangers::default());
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut seats: Vec<_> = (0..STRANGERS_EACH).map(|_| strangers.seat(ip("192.0.2.1")).expect("a seat")).collect();
        assert!(strangers.seat(ip("192.0.2.1")).is_none() && strangers.seat(ip("::ffff:192.0.2.1")).is_none());
        let other = strangers.seat(ip("192.0.2.2")).expect("a seat for somebody else");
        drop(seats.pop());
        seats.push(strangers.seat(ip("192.0.2.1")).expect("the seat that was given up"));
        for host in 0..STRANGERS_EACH {
            seats.push(strangers.seat(ip(&format!("2001:db8::{host:x}"))).expect("a seat"));
        }
        assert!(strangers.seat(ip("2001:db8::ffff")).is_none(), "one household");
        for net in 0.. {
            match strangers.seat(ip(&format!("10.0.{}.{}", net / 250, net % 250))) {
                Some(seat) => seats.push(seat),
                None => break,
            }
        }
        assert_eq!(seats.len() + 1, STRANGERS);
        drop((seats, other));
        assert!(strangers.0.lock().unwrap().is_empty());
    }
}
