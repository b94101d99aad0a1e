//! Single pictures for looking through a recording: the key frame that a segment begins with, in a fragment of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, request};

use super::media::{Whole, immutable};
use super::waiting::wait;
use crate::media::fmp4::{Found, Movie, Run, Scanner, TrackKind};
use crate::mux;
use crate::serve::body::Body;
use crate::serve::gateway::Gateway;
use crate::serve::recording::Broken;
use crate::serve::refusal::Refusal;
use crate::serve::viewing::Viewing;

/// What is read at first in search of the picture's place, and at most.
const LOOK: u64 = 64 << 10;
const LOOK_MOST: u64 = 16 << 20;

/// Answers for the first picture in `length` bytes from `first` on.
///
/// # Errors
/// [`Refusal`]: above all where there is no picture.
pub(crate) async fn picture(
    gateway: &Gateway,
    viewing: Viewing,
    first: u64,
    length: u64,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(&viewing);
    let movie =
        wait(gateway, &indexed, &viewing, |state| Some(state.index.info.movie.clone().ok_or_else(Refusal::not_there)))
            .await?;
    let made = make(&viewing, &movie, first, length).await;
    let made = made.map_err(|Broken| Refusal::busy("the picture cannot be read now"))?;
    let made = made.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no picture begins there"))?;
    let name = format!("{first}-{length}-picture");
    immutable(gateway, viewing, &name, "video/mp4", Whole::Bytes(made), parts)
}

/// The first picture as a fragment; none where there is none that needs no other.
async fn make(viewing: &Viewing, movie: &Arc<Movie>, first: u64, length: u64) -> Result<Option<Bytes>, Broken> {
    let Some(main) = movie.main().filter(|main| main.kind == TrackKind::Video) else { return Ok(None) };
    let end = first.saturating_add(length.min(LOOK_MOST));
    let mut scanner = Scanner::starting_at(Arc::clone(movie), first);
    let mut window = LOOK;
    while scanner.offset() < end && !scanner.is_off() {
        let at = scanner.offset();
        let bytes = viewing.collect(at, at.saturating_add(window).min(end)).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        window = window.saturating_mul(2);
        let run = scanner.feed(&bytes).into_iter().find_map(|found| match found {
            Found::Begun(fragment) => fragment.run(main.id).copied(),
            _ => None,
        });
        if let Some(run) = run {
            return still(viewing, &run, first.saturating_add(length)).await;
        }
    }
    Ok(None)
}

async fn still(viewing: &Viewing, run: &Run, end: u64) -> Result<Option<Bytes>, Broken> {
    let lead = run.lead;
    let last = lead.place.and_then(|place| place.checked_add(lead.bytes.into())).filter(|last| *last <= end);
    let (Some(place), Some(last), Ok(shown_after), true) =
        (lead.place, last, i32::try_from(lead.shown_after), run.sync)
    else {
        return Ok(None);
    };
    let data = viewing.collect(place, last).await?;
    let is_whole = data.len() as u64 == last - place;
    Ok(is_whole.then(|| mux::still(run.track, run.decode, shown_after, lead.duration, Bytes::from(data))))
}
