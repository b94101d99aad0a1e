//! Between connections and the stage: a connection asks for the recording, gets it lent, and gives it back.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::recording::Recording;
use super::words::{Left, TurnedAway};

/// How many may be at the door at once with the right key.
const ASKING: usize = 16;

/// How connections reach the stage.
#[derive(Debug, Clone)]
pub(super) struct Door {
    asks: mpsc::Sender<Ask>,
    pub(super) turned_away: Arc<TurnedAway>,
}

/// A wish to publish, by somebody with the right key.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) peer: SocketAddr,
    pub(super) encoder: String,
    answer: oneshot::Sender<Result<Lease, String>>,
}

/// The recording while somebody has it.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) since: Instant,
    pub(super) call: oneshot::Sender<Left>,
    pub(super) back: oneshot::Receiver<(Recording, Left)>,
}

/// The recording, in the hands of a connection.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) recording: Recording,
    /// When it is to be given back, and as what.
    pub(super) called_back: oneshot::Receiver<Left>,
    back: oneshot::Sender<(Recording, Left)>,
}

impl Lease {
    pub(super) fn give_back(self, left: Left) {
        // Nobody takes it only when all is over.
        drop(self.back.send((self.recording, left)));
    }
}

impl Door {
    /// A door, and where it is heard who is there.
    pub(super) fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (send, asks) = mpsc::channel(ASKING);
        (Self { asks: send, turned_away: Arc::default() }, asks)
    }

    /// Whether the recording is over.
    pub(super) fn is_over(&self) -> bool {
        self.asks.is_closed()
    }

    /// Whether it is the door to the same recording.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.asks.same_channel(&other.asks)
    }

    /// Asks for the recording; in words, why not.
    pub(super) async fn ask(&self, peer: SocketAddr, encoder: String) -> Result<Lease, String> {
        let over = || "the recording is over".to_owned();
        let (answer, lease) = oneshot::channel();
        self.asks.try_send(Ask { peer, encoder, answer }).map_err(|_| over())?;
        lease.await.unwrap_or_else(|_| Err(over()))
    }
}

impl Ask {
    /// Lends the recording; gives it back where whoever asked is gone already.
    pub(super) fn lend(self, recording: Recording) -> Result<Lent, Box<Recording>> {
        let (call, called_back) = oneshot::channel();
        let (give, back) = oneshot::channel();
        match self.answer.send(Ok(Lease { recording, called_back, back: give })) {
            Err(Ok(lease)) => Err(Box::new(lease.recording)),
            // No other answer was sent that could come back.
            Ok(()) | Err(Err(_)) => Ok(Lent { since: Instant::now(), call, back }),
        }
    }

    /// Says in words why not.
    pub(super) fn refuse(self, why: &str) {
        // Whoever is gone need not know.
        drop(self.answer.send(Err(why.to_owned())));
    }
}
