//! What there is of each of several renditions at one moment. One that cannot be played, or has nothing yet, is left out; what is
//! still being looked through is waited for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::{Instant, timeout};

use super::gateway::Gateway;
use super::hls::indexed::{Indexed, Ready, State};
use super::hls::tracks::Tracks;
use super::hls::waiting::{FIRST, patience};
use super::refusal::Refusal;
use super::viewing::Viewing;

/// So long those of which nothing is there yet are waited for, where there is something of others.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether something can be told, where nothing new comes.
const LOOK: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(crate) struct Glimpse {
    /// Which of them it is.
    pub(crate) position: usize,
    pub(crate) tracks: Tracks,
    /// Nothing more comes.
    pub(crate) over: bool,
    /// No segment is longer, in seconds.
    pub(crate) target: u64,
    /// When what is at its beginning was there, in microseconds since 1970.
    pub(crate) begun: i64,
    /// Each segment begins with a key frame.
    pub(crate) key_led: bool,
}

impl Glimpse {
    fn of(position: usize, state: &mut State) -> Self {
        let begun = if state.index.is_over() { 0 } else { state.begun(now()) };
        let target = state.promise().map_or(1, |promise| promise.target);
        let index = &state.index;
        let (tracks, over) = (index.tracks.clone(), index.is_over());
        Self { position, tracks, over, target, begun, key_led: index.keyless.is_empty() }
    }
}

/// Now, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000).unwrap_or(0)
}

/// What is known of one.
enum Known {
    Here(Glimpse),
    /// There is nothing of it yet.
    Empty,
    Unknown,
    Not(Refusal),
}

fn known(position: usize, indexed: &Indexed, viewing: &Viewing) -> Known {
    let mut state = indexed.state();
    match state.ready(viewing.found().part_size, false) {
        Ready::Yes => Known::Here(Glimpse::of(position, &mut state)),
        Ready::NotYet if state.is_at_edge() && state.index.timeline.segments.is_empty() => Known::Empty,
        Ready::NotYet => Known::Unknown,
        never => match patience(&never, &state) {
            Err(refusal) => Known::Not(refusal),
            Ok(_) => Known::Unknown,
        },
    }
}

/// See the module; each of them by its position.
///
/// # Errors
/// [`Refusal`]: there is nothing of any of them.
pub(crate) async fn glimpses(gateway: &Gateway, viewings: &[(usize, Viewing)]) -> Result<Vec<Glimpse>, Refusal> {
    let all: Vec<Arc<Indexed>> = viewings.iter().map(|(_, viewing)| gateway.indexes.of(viewing)).collect();
    let (began, mut permit) = (Instant::now(), None);
    loop {
        let mut news: Vec<_> = all.iter().map(|indexed| indexed.news()).collect();
        for news in &mut news {
            drop(news.borrow_and_update());
        }
        let (mut here, mut empty, mut unknown, mut why) = (Vec::new(), false, false, None);
        for (indexed, (position, viewing)) in all.iter().zip(viewings) {
            match known(*position, indexed, viewing) {
                Known::Here(glimpse) => here.push(glimpse),
                Known::Empty => empty = true,
                Known::Unknown => unknown = true,
                Known::Not(refusal) => drop(why.get_or_insert(refusal)),
            }
        }
        let waits = unknown || (empty && (here.is_empty() || began.elapsed() < GRACE));
        if !waits {
            return if here.is_empty() { Err(why.unwrap_or_else(Refusal::not_there)) } else { Ok(here) };
        }
        if began.elapsed() >= FIRST {
            return Err(Refusal::busy("there is nothing new to show yet"));
        }
        if permit.is_none() {
            let held = gateway.held.try_acquire();
            permit = Some(held.map_err(|_| Refusal::busy("too many answers are held back"))?);
        }
        let changed = news.iter_mut().map(|news| Box::pin(news.changed()));
        // Whether something came or not: it is looked at again.
        drop(timeout(LOOK, select_all(changed)).await);
        for indexed in &all {
            indexed.ask();
        }
    }
}
