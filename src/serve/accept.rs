//! Takes connections, no more than there is room for, speaks HTTP on each, and lets them end when the program does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::body::Body;
use super::gateway::{Connection, Gateway};
use super::service::answer;
use super::stall::Stalls;
use super::wire::{Speaks, Stream, Wire};
use crate::tool::certificate::Tls;

/// How long the head of a request may take, also of the next one on a connection.
const HEAD: Duration = Duration::from_secs(10);

/// The longest head, of which twice as much is taken where it comes at once, and the most fields in it.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_FIELDS: usize = 64;

/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 64;

/// How long answers with an end may take to it, once the program is to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Connections that are told at one time that there is no room.
const TURNED_AWAY: usize = 64;

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address; none: as many as there are.
    pub per_address: Option<usize>,
}

/// Who is connected.
#[derive(Debug)]
struct Room {
    limits: Limits,
    connections: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// Room for one connection.
struct Seat {
    room: Arc<Room>,
    address: Option<IpAddr>,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Room {
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        let mut seat = Seat { room: Arc::clone(self), address: None, _permit: permit };
        if let Some(most) = self.limits.per_address {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let count = addresses.entry(address).or_insert(0);
            if *count >= most {
                return None;
            }
            *count += 1;
            seat.address = Some(address);
        }
        Some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut addresses = self.room.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// Serves until `ending` says that the program is to end and what has an end has come to it.
pub(crate) async fn run(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    limits: Limits,
    tls: Option<Tls>,
    ending: watch::Receiver<bool>,
) {
    let tls = tls.map(Arc::new);
    let room = Arc::new(Room {
        limits,
        connections: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
        addresses: Mutex::default(),
    });
    let mut ends = ending.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = ended(&mut ends) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Above all: no file descriptor is left. One of the connections will end.
                tracing::debug!("a connection cannot be taken: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(seat) = room.take(address.ip()) else {
            gateway.metrics.turned_away.fetch_add(1, Relaxed);
            // To who waits for TLS nothing can be said at so little cost.
            if tls.is_none() {
                turn_away(&room, stream);
            }
            continue;
        };
        let served = connection(stream, address, Arc::clone(&gateway), tls.clone(), ending.clone());
        let metrics = Arc::clone(&gateway.metrics);
        metrics.connections.fetch_add(1, Relaxed);
        drop(tokio::spawn(async move {
            served.await;
            metrics.connections.fetch_sub(1, Relaxed);
            drop(seat);
        }));
    }
    drop(listener);
    let seats = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    drop(timeout(DRAIN, room.connections.acquire_many(seats)).await);
}

/// Waits until the program is to end.
pub(crate) async fn ended(ending: &mut watch::Receiver<bool>) {
    drop(ending.wait_for(|ending| *ending).await);
}

/// Says that there is no room, where that costs little.
fn turn_away(room: &Room, mut stream: TcpStream) {
    let Ok(permit) = Arc::clone(&room.turned_away).try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        let text = "all connections are taken\n";
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Cache-Control: no-store\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let tell = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            // A connection that is closed with something unread would take the answer back.
            let mut some = [0; 1024];
            while stream.read(&mut some).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        drop(timeout(Duration::from_secs(1), tell).await);
    });
}

/// The connection, once it is known what is spoken on it.
async fn wire(stream: TcpStream, tls: Option<Arc<Tls>>) -> Option<(Wire, Speaks)> {
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => {
            let shaken = timeout(HEAD, tls.acceptor().accept(stream)).await.ok()?;
            let shaken = shaken.inspect_err(|error| tracing::debug!("a connection never came to be secret: {error}"));
            Stream::Tls(Box::new(shaken.ok()?))
        }
    };
    Wire::of(stream, HEAD).await
}

/// Speaks HTTP on one connection, for as long as it is there.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    gateway: Arc<Gateway>,
    tls: Option<Arc<Tls>>,
    mut ending: watch::Receiver<bool>,
) {
    drop(stream.set_nodelay(true));
    let wire = tokio::select! {
        wire = Box::pin(wire(stream, tls)) => wire,
        () = ended(&mut ending) => None,
    };
    let Some((wire, speaks)) = wire else { return };
    let stalls = Arc::<Stalls>::default();
    let on = Connection { remote: address, torn: wire.torn(), stalls: Arc::clone(&stalls) };
    let service = service_fn(move |request| {
        let request = apart(request);
        let (gateway, on) = (Arc::clone(&gateway), on.clone());
        // In a box, which is there only as long as somebody waits for the answer.
        Box::pin(async move { Ok::<_, Infallible>(answer(&gateway, request, &on).await) })
    });
    let io = TokioIo::new(wire);
    // Either in a box of its own: a connection that waits takes no more room than what it speaks.
    let ended = match speaks {
        Speaks::Http1 => Box::pin(speak_http1(io, service, ending)).await,
        Speaks::Http2 => Box::pin(speak_http2(io, service, ending, &stalls)).await,
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// The same request, of which nothing is in what was read of the connection: that is free then for what comes next, and the
/// connection takes 8 KiB less while the answer is waited for.
fn apart(request: Request<Incoming>) -> Request<Incoming> {
    let (mut parts, body) = request.into_parts();
    for value in parts.headers.values_mut() {
        if let Ok(mut copy) = HeaderValue::from_bytes(value.as_bytes()) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
    if let Ok(copy) = parts.uri.to_string().parse() {
        parts.uri = copy;
    }
    Request::from_parts(parts, body)
}

type Io = TokioIo<Wire>;

async fn speak_http1<S>(io: Io, service: S, mut ending: watch::Receiver<bool>) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS);
    let mut connection = pin!(http.serve_connection(io, service));
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN, connection).await.unwrap_or(Ok(()))
        }
    }
}

async fn speak_http2<S>(io: Io, service: S, mut ending: watch::Receiver<bool>, stalls: &Stalls) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
    S::Future: Send + 'static,
{
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_send_buf_size(128 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = pin!(http.serve_connection(io, service));
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stalls.too_long() => Ok(()),
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN, connection).await.unwrap_or(Ok(()))
        }
    }
}
