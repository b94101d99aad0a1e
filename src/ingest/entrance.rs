//! Who may publish what, for whoever comes with an application and a name: one stream, or one of many.

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::Address;
use super::door::{Door, Lease};
use super::reception::Reception;
use super::strangers::Seat;
use super::words::{BAD_NAME, DENIED, Refusal, TurnedAway, WRONG_KEY};
use crate::rtmp::session::Publish;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) enum Entrance {
    /// To the one stream.
    One(Door),
    /// To that of the stream key.
    Many(Arc<Reception>),
}

impl Entrance {
    /// Where lines about strangers go.
    pub(super) fn turned_away(&self) -> &TurnedAway {
        match self {
            Self::One(door) => &door.turned_away,
            Self::Many(reception) => &reception.turned_away,
        }
    }

    /// The recording, for whoever may publish into it.
    pub(super) async fn admit(
        &self,
        address: &Address,
        peer: SocketAddr,
        seat: &Seat,
        publish: Publish,
    ) -> Result<Lease, Refusal> {
        match self {
            Self::One(_) if !seat.opens(address.is_for(&publish.app, &publish.name)) => Err(Refusal {
                code: BAD_NAME,
                words: WRONG_KEY.to_owned(),
                why: "it has another application or stream key".to_owned(),
            }),
            Self::One(door) => door.ask(peer, publish.encoder).await.map_err(|words| Refusal::of(DENIED, words)),
            Self::Many(reception) => reception.admit(address, peer, seat, publish).await,
        }
    }
}
