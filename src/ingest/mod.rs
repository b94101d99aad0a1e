//! Streams from encoders, over the network: who may publish, and what becomes of it.
//!
//! ```text
//! listen: accept -> TLS? -> connection: Session (RTMP) -> Muxer -> Feeder -> Source::Feed -> the writer, as any input
//!                               ^                |
//!                               +---- stage -----+   lends the recording to one encoder at a time
//! ```
//!
//! The recording (muxer and feeder) belongs to the `stage`, which lends it to the connection that may publish, and gets it
//! back when that encoder is gone, with how it went. So there is one recording, whatever becomes of its encoders.
//!
//! | module | job |
//! |---|---|
//! | [`address`] | where to listen and for what, as URLs |
//! | `listen` | sockets, plain and with TLS |
//! | [`proxied`] | who is behind a proxy |
//! | `strangers` | how many may be connected who have not shown a key |
//! | `connection` | one encoder: deadlines, bytes in, frames out |
//! | `entrance` | who may publish: one stream, or one of many |
//! | `reception` | many streams by their keys, and a recording for each |
//! | `begun` | recordings as they begin |
//! | `hook`, `question` | somebody else who is asked whether a stream may be published |
//! | `visitor` | who wants to publish, and by which way |
//! | [`notices`] | what somebody else is told of recordings |
//! | `http` | the same of those that push fragments, over any number of connections |
//! | `rate` | how often something may happen |
//! | `pace` | how fast a stream may come |
//! | `door` | how a connection asks for the recording, and gives it back |
//! | [`figures`] | what is counted of a stream, and what its encoder should do otherwise |
//! | `recording` | what becomes of what encoders send |
//! | [`title`] | what one of many recordings is called, and whose it is |
//! | [`journal`] | what is not stored yet, on disk |
//! | [`journals`] | the same of many streams |
//! | [`several`] | the same of a recording that becomes several objects |
//! | [`notes`] | either of the two |
//! | [`ladder`] | smaller renditions of a stream |
//! | `records` | what is on disk, read back one by one |
//! | [`taking_up`], [`taking_up_several`] | what a writer that was killed has left |
//! | `stage` | whose turn it is, and when the recording is over |
//! | `words` | what people are told, and how often |

pub mod address;
mod begun;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod captures_pushed;
mod connection;
#[cfg(test)]
mod corpora;
mod door;
mod entrance;
pub mod figures;
mod hook;
mod http;
pub mod journal;
pub mod journals;
pub mod ladder;
mod listen;
pub mod notes;
pub mod notices;
mod pace;
pub mod proxied;
mod question;
mod rate;
mod reception;
mod recording;
mod records;
pub mod several;
mod stage;
mod strangers;
pub mod taking_up;
pub mod taking_up_several;
pub mod title;
mod visitor;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::ingest::address::Address;
use crate::ingest::begun::Making;
pub use crate::ingest::begun::{Begun, GoesOn};
use crate::ingest::entrance::Entrance;
pub use crate::ingest::hook::Hook;
use crate::ingest::http::points::Points;
use crate::ingest::journals::Journals;
use crate::ingest::listen::{Guests, Listener};
use crate::ingest::proxied::Proxies;
use crate::ingest::reception::Reception;
pub use crate::ingest::recording::Behind;
use crate::ingest::recording::{Recording, Shape};
pub use crate::ingest::stage::Takeover;
use crate::ingest::stage::{Manners, Stage, Stop};
use crate::ingest::strangers::{STRANGERS, Strangers};
use crate::keys::book::Book;
use crate::tool::certificate::{Certificate, CertificateError, Tls};
use crate::tool::open_files;
use crate::writer::source::{Source, StopSignal, feed};

/// The most bytes between the encoder and the part buffers; beyond that the encoder waits.
const QUEUE: usize = 16 << 20;

/// Files and connections that a stream has open at a time, as a rule, and the program beside all of them.
const FILES_EACH: usize = 16;
const FILES_BESIDE: usize = 256;

/// Where streams come from, and how they are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub addresses: Vec<Address>,
    /// How long a fragment is at most.
    pub fragment: Duration,
    /// How long an encoder that is gone is waited for.
    pub reconnect: Duration,
    /// Who publishes when there is one already.
    pub takeover: Takeover,
    /// For RTMPS.
    pub certificate: Option<Certificate>,
    /// Who says for whom they come.
    pub proxies: Proxies,
    /// Several pictures of a stream may come, and each has an object of its own.
    pub renditions: bool,
    /// The most bits a second that are taken of a stream which has no limit of its own; faster ones are made to wait.
    pub max_bitrate: Option<u64>,
}

/// Why nothing can be taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {cause}")]
    Listen {
        /// The address, without its key.
        address: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The last encoders hear their last words for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The last words to the encoders of a stream that has ended.
#[derive(Debug)]
pub struct Farewell(JoinHandle<()>);

impl Farewell {
    /// Waits until all of them have closed their connections, a second at most: whoever is cut off in the middle of a clean end
    /// takes that for a failure.
    pub async fn said(self) {
        // A panic has been told of.
        drop(timeout(LAST_WORDS, self.0).await);
    }
}

/// Listens for one stream, which may go on behind something, and tells where; the source ends when the stream does, or when `stop` says so.
///
/// # Errors
/// [`IngestError`].
pub async fn open(
    settings: &Settings,
    mut stop: StopSignal,
    behind: Behind,
) -> Result<(Source, Farewell), IngestError> {
    let (feeder, source) = feed(QUEUE);
    let (close, closing) = watch::channel(Stop::No);
    let (stage, door) = Stage::new(settings.manners(true), closing);
    let listening = listen(settings, &Entrance::One(door), 1).await?;
    let recording = Recording::new(settings.shape(), feeder, behind);
    let farewell = tokio::spawn(async move {
        let mut run = std::pin::pin!(stage.run(recording));
        let asked = async { stop.wait_for(|stop| *stop).await.is_ok() };
        tokio::select! {
            () = &mut run => {}
            true = asked => {
                close.send_replace(Stop::Closing);
                run.await;
            }
        }
        listening.end().await;
    });
    Ok((Source::Feed(source), Farewell(farewell)))
}

/// Streams that may be published, and that are.
#[derive(Debug)]
pub struct Streams {
    /// Recordings that begin; none come when all are to end.
    pub begun: mpsc::UnboundedReceiver<Begun>,
    /// Those that are published.
    pub sessions: Sessions,
}

/// Recordings as long as they can be published into.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Reception>);

impl Sessions {
    /// Ends a recording, and refuses its stream for half a minute; false if there is none of this name.
    #[must_use]
    pub fn end(&self, session: &str) -> bool {
        self.0.end(session)
    }

    /// Waits until whoever is told of recordings has heard all, some seconds at most.
    pub async fn are_told(&self) {
        self.0.notices.are_told().await;
    }
}

/// How many streams there may be, and with what they begin.
#[derive(Debug)]
pub struct Opening {
    /// The most at a time.
    pub most: usize,
    /// Where what is made of them is noted, too.
    pub journals: Option<Journals>,
    /// Recordings that go on, those of one stream with the newest first.
    pub go_on: Vec<GoesOn>,
}

/// Listens for the streams of a book, and tells where. Each recording that begins is given to whoever writes it; all of them
/// end when `stop` says so. With a `hook`, somebody else is asked about each, too.
///
/// # Errors
/// [`IngestError`].
pub async fn open_many(
    settings: &Settings,
    who: (Book, Option<Hook>),
    opening: Opening,
    stop: StopSignal,
) -> Result<Streams, IngestError> {
    let Opening { most, journals, go_on } = opening;
    let making = Making { manners: settings.manners(false), shape: settings.shape(), queue: QUEUE, journals };
    let (reception, begun) = Reception::new(who, making, most);
    let reception = Arc::new(reception);
    // Their encoders are on their way.
    for left in go_on {
        reception.go_on(left);
    }
    let listening = listen(settings, &Entrance::Many(reception.clone()), most).await?;
    let sessions = Sessions(reception.clone());
    tokio::spawn(async move {
        reception.watch(stop).await;
        reception.is_empty().await;
        listening.end().await;
    });
    Ok(Streams { begun, sessions })
}

/// Sockets that are listened at, and the connections of those who were let in; until it is dropped.
struct Listening {
    sockets: JoinSet<()>,
    /// Nobody else is let in once it is dropped.
    open: watch::Sender<()>,
}

impl Listening {
    /// Lets nobody else in, and waits a moment until those who are in are gone.
    async fn end(mut self) {
        drop(self.open);
        let gone = async { while self.sockets.join_next().await.is_some() {} };
        // Whoever is not gone by then is cut off.
        drop(timeout(LAST_WORDS, gone).await);
    }
}

/// Lets encoders in, of so many streams at most.
async fn listen(settings: &Settings, entrance: &Entrance, streams: usize) -> Result<Listening, IngestError> {
    // Strangers must not take those that uploads need.
    let files = STRANGERS + FILES_BESIDE + streams.saturating_mul(FILES_EACH);
    if let Err(allowed) = open_files::allow(files as u64) {
        tracing::warn!(
            "the system allows {allowed} open files, and {files} may be needed, most of them by whoever connects: allow more (ulimit -n)"
        );
    }
    let tls = settings.certificate.clone().map(|files| Tls::load(files, &[])).transpose()?.map(Arc::new);
    let points = Arc::new(Points::new(settings.takeover == Takeover::Refuse));
    let mut listeners = Vec::new();
    for address in &settings.addresses {
        listeners.push(Listener::bind(address.clone(), tls.clone(), entrance.clone(), points.clone()).await?);
    }
    let guests = Guests { strangers: Arc::<Strangers>::default(), proxies: Arc::new(settings.proxies.clone()) };
    let (open, is_open) = watch::channel(());
    let run = |listener: Listener| listener.run(guests.clone(), is_open.clone());
    Ok(Listening { sockets: listeners.into_iter().map(run).collect(), open })
}

impl Settings {
    fn shape(&self) -> Shape {
        Shape { fragment: self.fragment, renditions: self.renditions, max_bitrate: self.max_bitrate }
    }

    fn manners(&self, waits: bool) -> Manners {
        Manners { takeover: self.takeover, reconnect: self.reconnect, waits }
    }
}
