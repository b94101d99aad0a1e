//! Sockets: who is let in, and with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::IngestError;
use super::address::Address;
use super::connection::{self, Visit};
use super::entrance::Entrance;
use super::http;
use super::http::points::Points;
use super::proxied::{Proxies, behind};
use super::strangers::{Seat, Strangers};
use crate::tool::certificate::Tls;

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

/// Who may come, over all sockets.
#[derive(Debug, Clone)]
pub(super) struct Guests {
    pub(super) strangers: Arc<Strangers>,
    pub(super) proxies: Arc<Proxies>,
}

/// What its connections share.
#[derive(Debug)]
struct Place {
    address: Address,
    tls: Option<Arc<Tls>>,
    entrance: Entrance,
    points: Arc<Points>,
}

impl Listener {
    /// Begins to listen, and says where.
    pub(super) async fn bind(
        address: Address,
        tls: Option<Arc<Tls>>,
        entrance: Entrance,
        points: Arc<Points>,
    ) -> Result<Self, IngestError> {
        let bound = TcpListener::bind((address.host(), address.port)).await;
        let bound = bound.and_then(|socket| socket.local_addr().map(|local| (socket, local)));
        let (socket, local) = bound.map_err(|cause| IngestError::Listen { address: address.to_string(), cause })?;
        let by_tls = if address.http { " (and by TLS, as https://)" } else { " (and by TLS, as rtmps://)" };
        let secure = if tls.is_some() && !address.secure { by_tls } else { "" };
        tracing::info!(event = "listening", "listening at {}{secure}", address.at(&local.to_string()));
        Ok(Self { socket, place: Arc::new(Place { address, tls, entrance, points }) })
    }

    /// Lets encoders in as long as it is open, and ends when they are gone; with the future their connections are dropped, too.
    pub(super) async fn run(self, guests: Guests, mut open: watch::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                // Nothing is ever said: it is closed.
                _ = open.changed() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let by = Instant::now() + connection::TO_PUBLISH;
                    if guests.proxies.has(peer.ip()) {
                        connections.spawn(introduce(stream, peer, self.place.clone(), by, guests.strangers.clone()));
                    } else if let Some(guest) = Guest::new(peer, by, &guests.strangers) {
                        connections.spawn(greet(stream, guest, self.place.clone()));
                    }
                }
                Err(error) => {
                    tracing::debug!("cannot accept a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }
}

/// Somebody who was let in.
struct Guest {
    peer: SocketAddr,
    /// When he has to publish.
    by: Instant,
    seat: Seat,
}

impl Guest {
    /// Whoever has too many connections open already hears nothing.
    fn new(peer: SocketAddr, by: Instant, strangers: &Arc<Strangers>) -> Option<Self> {
        strangers.seat(peer.ip()).map(|seat| Self { peer, by, seat })
    }
}

/// Hears from a proxy who is there.
async fn introduce(
    mut stream: TcpStream,
    proxy: SocketAddr,
    place: Arc<Place>,
    by: Instant,
    strangers: Arc<Strangers>,
) {
    match timeout_at(by, behind(&mut stream, proxy)).await {
        Ok(Ok(peer)) => {
            if let Some(guest) = Guest::new(peer, by, &strangers) {
                greet(stream, guest, place).await;
            }
        }
        Ok(Err(error)) if error.kind() != io::ErrorKind::Other => tracing::debug!("{proxy} went away: {error}"),
        Ok(Err(error)) => place.entrance.turned_away().say(proxy, &error.to_string()),
        Err(_) => tracing::debug!("{proxy} said nothing"),
    }
}

/// Finds out what is spoken, and speaks it.
async fn greet(stream: TcpStream, Guest { peer, by, seat }: Guest, place: Arc<Place>) {
    let visit = Visit { peer, by, address: place.address.clone(), entrance: place.entrance.clone(), seat };
    match timeout_at(by, hello(stream, &place)).await {
        Ok(Ok(Spoken::Plain(stream))) if place.address.http => http::serve(stream, visit, place.points.clone()).await,
        Ok(Ok(Spoken::Tls(stream))) if place.address.http => http::serve(*stream, visit, place.points.clone()).await,
        Ok(Ok(Spoken::Plain(stream))) => connection::serve(stream, visit).await,
        Ok(Ok(Spoken::Tls(stream))) => connection::serve(*stream, visit).await,
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => tracing::debug!("{peer} said nothing"),
        Ok(Err(error)) => place.entrance.turned_away().say(peer, &error.to_string()),
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
        (None, true) => Err(io::Error::other("it comes with TLS, which needs --tls-cert and --tls-key")),
        (_, false) if place.address.secure => {
            Err(io::Error::other("it comes without TLS, and only that is taken here"))
        }
        (_, false) => Ok(Spoken::Plain(stream)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::ingest::stage::{Manners, Stage, Stop, Takeover};

    #[tokio::test]
    async fn once_it_is_closed_nobody_is_let_in_and_who_is_in_is_waited_for() {
        let address = Address::parse("rtmp://127.0.0.1:0/live/key").expect("a URL");
        let manners = Manners { takeover: Takeover::Newest, reconnect: Duration::ZERO, waits: true };
        let (_stop, stopped) = watch::channel(Stop::No);
        let (_stage, door) = Stage::new(manners, stopped);
        let listener = Listener::bind(address, None, Entrance::One(door), Arc::new(Points::new(false))).await;
        let listener = listener.expect("a port");
        let at = listener.socket.local_addr().expect("an address");
        let guests = Guests { strangers: Arc::default(), proxies: Arc::default() };
        let (open, is_open) = watch::channel(());
        let running = tokio::spawn(listener.run(guests, is_open));
        let mut encoder = TcpStream::connect(at).await.expect("a connection");
        encoder.write_all(&[&[3][..], &[0; 1536]].concat()).await.expect("a greeting");
        assert_eq!(encoder.read_u8().await.expect("an answer"), 3);
        drop(open);
        while TcpStream::connect(at).await.is_ok() {}
        assert!(!running.is_finished());
        drop(encoder);
        running.await.expect("it ends");
    }
}
