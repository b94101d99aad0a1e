//! Who may publish what, for whoever comes with an application and a name: one stream, or one of many.

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::Address;
use super::door::{Door, Lease};
use super::reception::Reception;
use super::strangers::Seat;
use super::visitor::Visitor;
use super::words::{BAD_NAME, DENIED, Refusal, TurnedAway, WRONG_KEY};
use crate::keys::book::Permit;
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

    /// Whether somebody has the key to a stream, and to which.
    pub(super) async fn check(
        &self,
        address: &Address,
        peer: SocketAddr,
        seat: &Seat,
        publish: &Publish,
    ) -> Result<Checked, Refusal> {
        match self {
            Self::One(_) if !seat.opens(address.is_for(&publish.app, &publish.name)) => Err(Refusal {
                code: BAD_NAME,
                words: WRONG_KEY.to_owned(),
                why: "it has another application or stream key".to_owned(),
                later: None,
            }),
            Self::One(door) => Ok(Checked::One(door.clone())),
            Self::Many(reception) => {
                let permit = reception.check(address, peer, seat, publish).await?;
                let visitor = Visitor::new(address, peer, publish, reception.has_keys());
                Ok(Checked::Many(reception.clone(), Box::new(permit), visitor))
            }
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
        let checked = self.check(address, peer, seat, &publish).await?;
        checked.lease(peer, publish.encoder).await.inspect_err(|refusal| refusal.note(seat))
    }
}

/// Somebody with a good key.
#[derive(Debug, Clone)]
pub(super) enum Checked {
    One(Door),
    Many(Arc<Reception>, Box<Permit>, Visitor),
}

impl Checked {
    /// Of the stream.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::One(_) => "",
            Self::Many(_, permit, _) => &permit.id,
        }
    }

    /// The recording, for him.
    pub(super) async fn lease(self, peer: SocketAddr, encoder: String) -> Result<Lease, Refusal> {
        match self {
            Self::One(door) => door.ask(peer, encoder).await.map_err(|words| Refusal::of(DENIED, words)),
            Self::Many(reception, permit, visitor) => reception.admit(visitor, *permit).await,
        }
    }
}
