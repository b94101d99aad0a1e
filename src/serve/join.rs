//! Joins an object that grows in its middle: its header and where its newest key frame is, found in what the gateway holds
//! for all, so that many who join at once cost what one does.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::recording::Broken;
use super::recordings::of_store;
use super::refusal::Refusal;
use super::viewing::Viewing;
use crate::media::fmp4::{Header, Mover};
use crate::object::ranges::{Answer, Kept, Ranges};
use crate::object::seek::{self, Opened, SeekError, Seeker};
use crate::store::{Kind, StoreError};

/// How long somebody waits for the first fragment of what has just begun.
const FIRST: Duration = Duration::from_secs(10);

/// Where to join.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    header: Arc<Header>,
    /// The first byte after the header.
    pub(crate) first: u64,
    /// How far it could be read then.
    pub(crate) edge: u64,
}

impl Join {
    /// What is sent first.
    pub(crate) fn opening(&self) -> Bytes {
        self.header.bytes.clone()
    }

    /// Fits to that what follows.
    pub(crate) fn mover(&self) -> Mover {
        Mover::new(self.header.movie.clone(), self.first, self.header.bytes.len() as u64)
    }
}

/// Finds the newest key frame, or that before `back` before the end.
///
/// # Errors
/// [`Refusal`]: above all where it is no fragmented MP4.
pub(crate) async fn join(viewing: &Viewing, back: Duration) -> Result<Join, Refusal> {
    let until = Instant::now() + FIRST;
    let mut waited = false;
    loop {
        // What there was before somebody followed it is more than what has come since.
        let edge = viewing.look_at_edge(waited).await.map_err(|error| of_store(&error))?;
        let kept: Arc<dyn Kept> = Arc::new(Through(viewing.clone()));
        let ranges = Ranges::through(&viewing.store, viewing.target(), kept);
        let sought = async {
            match seek::open_in(ranges, edge.size).await? {
                Opened::Fragments(seeker) => place(*seeker, back).await,
                Opened::TransportStream { ranges, .. } => Err(SeekError::TransportStream(ranges.object())),
            }
        };
        match sought.await {
            Ok(first) => return Ok(Join { edge: edge.known, ..first }),
            Err(SeekError::TooEarly(_)) if edge.size.is_none() => {
                let more = timeout_at(until, viewing.wait_for(edge.known + 1)).await;
                if !matches!(more, Ok(Ok(()))) {
                    return Err(Refusal::busy("there is nothing to show yet"));
                }
                waited = true;
            }
            Err(error) => return Err(refused(&error)),
        }
    }
}

async fn place(mut seeker: Seeker<'_>, back: Duration) -> Result<Join, SeekError> {
    let start = if back.is_zero() {
        let edge = seeker.edge;
        seeker.key_before(edge, i64::MAX).await?
    } else {
        seeker.is_timed()?;
        seeker.look_at_end().await?;
        let back = i64::try_from(back.as_nanos()).unwrap_or(i64::MAX);
        let time = seeker.reaches().saturating_sub(back);
        if time <= seeker.zero() { seeker.lead.clone() } else { seeker.start_for(time).await? }
    };
    let first = seeker.with_company(&start).await?;
    Ok(Join { header: Arc::clone(&seeker.header), first, edge: seeker.edge })
}

fn refused(error: &SeekError) -> Refusal {
    let unfit = |text| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    match error {
        SeekError::Store(error) => of_store(error),
        SeekError::Absent(_) => Refusal::not_there(),
        SeekError::TooEarly(_) => Refusal::busy("there is nothing to show yet"),
        SeekError::Untimed(_) => unfit("its fragments do not tell their times: join it without back="),
        SeekError::NoKeyFrame(_) => {
            unfit("it has no key frame for a long way back, so that it can only be watched whole")
        }
        _ => unfit("this is no fragmented MP4, which alone can be joined in the middle: /watch gives all of it"),
    }
}

/// What the gateway holds of a recording, or fetches for all.
#[derive(Debug)]
struct Through(Viewing);

impl Kept for Through {
    fn read(&self, first: u64, end: u64) -> Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + Send + '_>> {
        Box::pin(async move {
            let bytes = self.0.collect(first, end).await.map_err(|Broken| {
                let (object, cause) = (self.0.object(), "it cannot be read any more");
                StoreError::local("looking for a place to join", object, Kind::Passing, cause)
            })?;
            Ok(if bytes.is_empty() { Answer::Nothing } else { Answer::Data(bytes) })
        })
    }

    fn edge(&self) -> Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send + '_>> {
        Box::pin(async move {
            let edge = self.0.look_at_edge(false).await?;
            Ok(edge.size.unwrap_or(edge.known))
        })
    }
}
