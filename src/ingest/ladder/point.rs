//! Where the program that makes a ladder sends its renditions: a publishing point of this machine, for requests each of which
//! has a token that is good once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex as Shared, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::ingest::journal::Journal;
use crate::ingest::several::Several;
use crate::keys::secret::StreamKey;
use crate::media::fmp4::gather::{Gather, Gathered};
use crate::mux::rung::{Rung, Timeline};
use crate::writer::source::{Feeder, Source, feed};

/// The most bytes between a rendition and its part buffers.
const QUEUE: usize = 16 << 20;

/// A rendition, what it is called, and where it is noted, too; it begins when something comes of it.
pub(super) type Begun = (String, Source, Option<Journal>);

/// One rendition.
#[derive(Debug)]
pub(super) struct Lane {
    name: String,
    rung: Rung,
    feeder: Option<Feeder>,
    begun: mpsc::UnboundedSender<Begun>,
    /// Where it is noted, and those of all others are.
    journal: Option<Journal>,
    journals: Option<Several>,
}

/// What a token is good for.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) lane: Arc<Mutex<Lane>>,
    /// The number of the recording's header.
    pub(super) number: u64,
    pub(super) timeline: Arc<Shared<Timeline>>,
}

type Tokens = Arc<Shared<HashMap<String, Expected>>>;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Point {
    port: u16,
    tokens: Tokens,
    /// Ends with it.
    _listening: JoinSet<()>,
}

impl Lane {
    pub(super) fn new(name: String, begun: mpsc::UnboundedSender<Begun>, journals: Option<Several>) -> Self {
        Self { name, rung: Rung::default(), feeder: None, begun, journal: None, journals }
    }

    /// One that goes on where another was.
    pub(super) fn behind(self, rung: Rung, feeder: Option<Feeder>, journal: Option<Journal>) -> Self {
        Self { rung, feeder, journal, ..self }
    }

    /// Takes what has come; false when nobody reads any more.
    async fn take(&mut self, found: &Gathered, expected: &Expected) -> bool {
        match found {
            Gathered::Header(moov) => {
                let Some(bytes) = self.rung.header(moov, expected.number) else { return true };
                if self.feeder.is_some() {
                    return self.give(bytes, true).await;
                }
                let (feeder, feed) = feed(QUEUE);
                self.journal = self.journals.as_ref().and_then(|journals| journals.rung(&self.name));
                if self.begun.send((self.name.clone(), Source::Feed(feed), self.journal.clone())).is_err() {
                    return false;
                }
                self.feeder = Some(feeder);
                self.give(bytes, false).await
            }
            Gathered::Fragment(raw) => {
                let bytes = {
                    let timeline = expected.timeline.lock().unwrap_or_else(PoisonError::into_inner);
                    self.rung.fragment(raw, &timeline)
                };
                match bytes {
                    Some(bytes) if self.feeder.is_some() => self.give(bytes, false).await,
                    _ => true,
                }
            }
        }
    }

    /// Hands bytes on, and notes them at the same moment: whoever sends them may be gone at any other.
    async fn give(&self, bytes: Bytes, begins: bool) -> bool {
        let Some(feeder) = &self.feeder else { return false };
        let Some(room) = feeder.room(bytes.len()).await else { return false };
        if let Some(journal) = &self.journal
            && !journal.note_bytes(&bytes, &self.rung.state(), begins)
        {
            // Half of it would be gone on with as if it were all.
            journal.remove();
        }
        room.put(bytes, begins)
    }
}

impl Point {
    /// Begins to listen.
    pub(super) async fn open() -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = socket.local_addr()?.port();
        let tokens = Tokens::default();
        let mut listening = JoinSet::new();
        let known = tokens.clone();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = socket.accept() => if let Ok((stream, _)) = accepted {
                        let known = known.clone();
                        let service = service_fn(move |request| answer(request, known.clone()));
                        connections.spawn(async move {
                            // The program says itself what went wrong.
                            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                        });
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { port, tokens, _listening: listening })
    }

    /// A URL at which this may be sent, once.
    pub(super) fn expect(&self, expected: Expected) -> io::Result<String> {
        let token = StreamKey::new().map_err(io::Error::other)?.reveal().to_owned();
        let url = format!("http://127.0.0.1:{}/{token}", self.port);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token, expected);
        Ok(url)
    }

    /// Nothing is expected any more of what has not begun.
    pub(super) fn forget(&self) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn answer(request: Request<Incoming>, tokens: Tokens) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request.uri().path().trim_start_matches('/');
    let expected = tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    let status = match expected {
        Some(expected) => receive(request.into_body(), expected).await,
        None => StatusCode::NOT_FOUND,
    };
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    Ok(answer)
}

async fn receive(mut body: Incoming, expected: Expected) -> StatusCode {
    // Whoever came before is gone, and is about to see that.
    let mut lane = expected.lane.lock().await;
    let mut gather = Gather::default();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return StatusCode::BAD_REQUEST };
        let Ok(bytes) = frame.into_data() else { continue };
        gather.feed(&bytes);
        loop {
            match gather.whole() {
                Ok(Some(found)) if lane.take(&found, &expected).await => {}
                Ok(Some(_)) => return StatusCode::SERVICE_UNAVAILABLE,
                Ok(None) => break,
                Err(_) => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
            }
        }
    }
    StatusCode::OK
}
