//! `/live/KEY`: an object from its newest key frame on, or from so much before.

use std::time::Duration;

use http::{Method, Response, request};

use super::access_log::Record;
use super::body::{Body, Stretch};
use super::gateway::{self, Gateway};
use super::join;
use super::name::{Unnamed, decoded};
use super::refusal::Refusal;
use super::watch::describe_live;
use crate::human::sizes;

/// Answers `/live/KEY`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn live(
    gateway: &Gateway,
    rest: &str,
    parts: &request::Parts,
    record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let query = gateway::query(parts);
    let back = match query.get("back")? {
        Some(back) => sizes::duration(&back).map_err(|_| Unnamed::Wrong("back is a duration, such as 30s"))?,
        None => Duration::ZERO,
    };
    let (viewing, _) = gateway.find(&query, &decoded(rest)?, record, parts).await?;
    if !viewing.can_be_followed() {
        return Err(Refusal::busy("no memory is left to follow another object that grows"));
    }
    let held = gateway.held.try_acquire().map_err(|_| Refusal::busy("too many answers are held back"))?;
    let place = (viewing.identity.hash, back);
    let edge = viewing.edge().known;
    // One for all who come before there is more.
    let join = gateway.joins.get(place, |join| join.edge >= edge, |_| Box::pin(join::join(&viewing, back))).await?;
    drop(held);
    let body = if parts.method == Method::HEAD {
        Body::nothing()
    } else {
        Body::joined(join.opening(), join.mover(), Stretch::new(viewing, join.first, None))
    };
    let mut answer = Response::new(body);
    describe_live(answer.headers_mut());
    Ok(answer)
}
