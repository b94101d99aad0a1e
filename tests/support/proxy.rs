//! A network that misbehaves: a TCP proxy in front of the store whose weather changes while connections are open.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

/// What happens to connections, those that are open as well as new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fine,
    /// Nobody listens, and what is open is reset.
    Refuse,
    /// Connections are accepted, and nothing passes any more on any of them, even when the weather changes.
    Stall,
    /// A connection is reset once this many bytes have passed on it in one direction.
    Reset(u64),
    /// A connection is closed in an orderly way once this many bytes have passed on it in one direction.
    Cut(u64),
    /// This many bytes a second in either direction of each connection.
    Throttle(u64),
}

/// A proxy in front of an HTTP server. Gone on drop, with its connections.
#[derive(Debug)]
pub struct Proxy {
    endpoint: String,
    weather: watch::Sender<Weather>,
    struck: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
    _runtime: Runtime,
}

/// What has gone through.
#[derive(Debug, Default)]
struct Traffic {
    connections: AtomicU64,
    /// Bytes on their way to clients.
    down: AtomicU64,
}

impl Proxy {
    /// In front of `http://HOST:PORT` or `https://HOST:PORT`, in fine weather.
    pub fn before(endpoint: &str) -> Self {
        let (scheme, server) = endpoint.split_once("://").expect("a URL");
        let server: SocketAddr = server.parse().expect("an address");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("listen");
        let endpoint = format!("{scheme}://{}", listener.local_addr().expect("its address"));
        let (weather, seen) = watch::channel(Weather::Fine);
        let struck = Arc::<AtomicU64>::default();
        let traffic = Arc::<Traffic>::default();
        runtime.spawn(listen(listener, server, seen, Arc::clone(&struck), Arc::clone(&traffic)));
        Self { endpoint, weather, struck, traffic, _runtime: runtime }
    }

    /// `http://127.0.0.1:PORT`, or with the `https` of the server.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How many connections there have been, and the bytes that came to clients on them.
    pub fn traffic(&self) -> (u64, u64) {
        (self.traffic.connections.load(Relaxed), self.traffic.down.load(Relaxed))
    }

    /// How many connections have been reset, cut or silenced so far.
    pub fn struck(&self) -> u64 {
        self.struck.load(Relaxed)
    }

    /// Waits until this many have been.
    pub fn wait_struck(&self, count: u64) {
        let began = std::time::Instant::now();
        while self.struck() < count {
            assert!(began.elapsed() < Duration::from_secs(30), "{} of {count} connections struck", self.struck());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn listen(
    listener: TcpListener,
    server: SocketAddr,
    mut weather: watch::Receiver<Weather>,
    struck: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
) {
    let address = listener.local_addr().expect("its address");
    let mut listener = Some(listener);
    loop {
        if *weather.borrow_and_update() == Weather::Refuse {
            // Only a closed port refuses.
            listener = None;
            if weather.wait_for(|weather| *weather != Weather::Refuse).await.is_err() {
                return;
            }
        }
        let open = listener.get_or_insert_with(|| {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("the same port again");
            socket.bind(address).expect("the same port again");
            socket.listen(1024).expect("listen")
        });
        tokio::select! {
            Ok((client, _)) = open.accept() => {
                traffic.connections.fetch_add(1, Relaxed);
                let (struck, traffic) = (Arc::clone(&struck), Arc::clone(&traffic));
                tokio::spawn(connection(client, server, weather.clone(), struck, traffic));
            }
            changed = weather.changed() => if changed.is_err() { return },
        }
    }
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By itself.
    Over,
    Cut,
    Reset,
}

async fn connection(
    mut client: TcpStream,
    server: SocketAddr,
    weather: watch::Receiver<Weather>,
    struck: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        reset(&client);
        return;
    };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let ending = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let sent = AtomicU64::new(0);
        let up = pump(from_client, to_server, weather.clone(), &struck, &sent);
        let down = pump(from_server, to_client, weather, &struck, &traffic.down);
        tokio::pin!(up, down);
        tokio::select! {
            ending = &mut up => if ending == Ending::Over { down.await } else { ending },
            // Whoever has answered and closed takes nothing more.
            ending = &mut down => ending,
        }
    };
    if ending != Ending::Over {
        struck.fetch_add(1, Relaxed);
    }
    if ending == Ending::Reset {
        reset(&client);
        reset(&server);
    }
}

/// Makes closing it a reset.
#[allow(deprecated, reason = "a linger of zero does not wait")]
fn reset(stream: &TcpStream) {
    drop(stream.set_linger(Some(Duration::ZERO)));
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
    struck: &AtomicU64,
    carried: &AtomicU64,
) -> Ending {
    let mut buffer = vec![0; 1 << 16];
    // Since the weather changed.
    let mut passed = 0;
    loop {
        let now = *weather.borrow_and_update();
        let room = match now {
            Weather::Refuse => return Ending::Reset,
            Weather::Stall => {
                struck.fetch_add(1, Relaxed);
                std::future::pending::<()>().await;
                return Ending::Over;
            }
            Weather::Reset(after) if passed >= after => return Ending::Reset,
            Weather::Cut(after) if passed >= after => return Ending::Cut,
            Weather::Reset(after) | Weather::Cut(after) => after - passed,
            Weather::Throttle(rate) => rate / 20 + 1,
            Weather::Fine => u64::MAX,
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len());
        let count = tokio::select! {
            biased;
            changed = weather.changed() => {
                if changed.is_err() {
                    return Ending::Reset;
                }
                passed = 0;
                continue;
            }
            count = from.read(&mut buffer[..room]) => count,
        };
        match count {
            Ok(0) => {
                drop(to.shutdown().await);
                return Ending::Over;
            }
            Ok(count) => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return Ending::Reset;
                }
                passed += count as u64;
                carried.fetch_add(count as u64, Relaxed);
                if let Weather::Throttle(rate) = now {
                    sleep(Duration::from_secs_f64(count as f64 / rate as f64)).await;
                }
            }
            Err(_) => return Ending::Reset,
        }
    }
}
