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
//! | `strangers` | how many may be connected who have not shown a key |
//! | `connection` | one encoder: deadlines, bytes in, frames out |
//! | `door` | how a connection asks for the recording, and gives it back |
//! | `recording` | what becomes of what encoders send |
//! | `stage` | whose turn it is, and when the recording is over |
//! | `words` | what people are told, and how often |

pub mod address;
#[cfg(test)]
mod captures;
mod connection;
mod door;
mod listen;
mod recording;
mod stage;
mod strangers;
mod words;

use std::sync::Arc;
use std::time::Duration;

use crate::ingest::address::Address;
use crate::ingest::listen::Listener;
use crate::ingest::recording::Recording;
use crate::ingest::stage::Stage;
use crate::tool::certificate::{Certificate, CertificateError, Tls};
use crate::writer::source::{Source, StopSignal, feed};

/// The most bytes between the encoder and the part buffers; beyond that the encoder waits.
const QUEUE: usize = 16 << 20;

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
}

/// Who publishes when another encoder comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// The one that came last: the one before it may be a connection that nobody has noticed to be dead.
    Newest,
    /// The one that is there.
    Refuse,
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

/// Listens for one stream, and tells where; the source ends when the stream does, or when `stop` says so.
///
/// # Errors
/// [`IngestError`].
pub async fn open(settings: &Settings, stop: StopSignal) -> Result<Source, IngestError> {
    let tls = settings.certificate.clone().map(|files| Tls::load(files, &[])).transpose()?.map(Arc::new);
    let (feeder, source) = feed(QUEUE);
    let (stage, door) = Stage::new(settings, stop);
    let mut listeners = Vec::new();
    for address in &settings.addresses {
        listeners.push(Listener::bind(address.clone(), tls.clone(), door.clone()).await?);
    }
    let recording = Recording::new(settings.fragment, feeder);
    tokio::spawn(stage.run(recording, listeners));
    Ok(Source::Feed(source))
}
