//! Copies what a follower gives to the output, as it comes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::sleep;

use crate::media::fmp4::Mover;
use crate::media::fmp4::stitch::Stitch;
use crate::object::announce;
use crate::object::follower::Follower;
use crate::object::locate::locate;
use crate::object::reading::{News, Reading};
use crate::object::wanted::{LocateError, Located, Wanted};
use crate::protocol::live_objects::RecordingId;
use crate::reader::error::ReadError;
use crate::reader::held::{self, Held, Match};
use crate::reader::sink::{Sink, SinkError};
use crate::store::Patient;
use crate::tool::progress::Progress;

/// Copies the object to `sink` while it grows, from where the output ends (`held`); returns the size of the object.
///
/// # Errors
/// [`ReadError`]; what was written before is a clean prefix of the object.
pub async fn read(
    store: &Patient,
    reading: &Reading,
    held: Option<&Held>,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<u64, ReadError> {
    let Match { located, part_size, etag } =
        prepare(store, &reading.wanted, sink, progress, Box::pin(find(store, reading, held))).await?;
    let mut follower = follow(store, reading, &located, etag, progress);
    let before = held.map_or(0, |held| held.bytes);
    progress.total.store(located.finished.unwrap_or(0).saturating_sub(before), Relaxed);
    if let Some(held) = held {
        tracing::info!("{} holds the first {} bytes of it; going on from there", held.path.display(), held.bytes);
        follower.go_on_at(held.bytes, part_size);
    }
    let result = pass_on(&mut follower, &mut Fit::AsItIs, sink, progress).await;
    // Whatever ended the reading, what was fetched in order belongs to the output.
    let written = sink.finish().await;
    result?;
    written?;
    Ok(follower.cursor())
}

/// Copies one object out of several, which has been found already, and leaves `sink` open; returns its version, and the
/// recording whose live objects it had.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn object(
    store: &Patient,
    reading: &Reading,
    located: Located,
    stitch: &mut Stitch,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<(Option<String>, Option<RecordingId>), ReadError> {
    let mut follower = follow(store, reading, &located, None, progress);
    pass_on(&mut follower, &mut Fit::Stitch(stitch), sink, progress).await?;
    Ok((follower.version().cloned(), follower.recording().cloned()))
}

/// Where to begin in the middle of an object.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    /// The first byte.
    pub(crate) at: u64,
    /// The part size, where the store named it.
    pub(crate) part_size: Option<u64>,
    /// The `ETag` of what was looked into, where the store names no version.
    pub(crate) etag: Option<String>,
    /// Up to where all will be wanted; what comes after that is read a little at a time.
    pub(crate) sure: Option<u64>,
    /// Fits what is read to its new place, and knows when there is enough.
    pub(crate) mover: Option<Mover>,
}

/// Copies from the middle of an object, which has been found already, and leaves `sink` open.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn from(
    store: &Patient,
    reading: &Reading,
    located: Located,
    begin: Begin,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<(), ReadError> {
    let mut follower = follow(store, reading, &located, begin.etag, progress);
    if begin.at > 0 {
        follower.go_on_at(begin.at, begin.part_size);
    }
    follower.be_sure_until(begin.sure);
    let mut fit = begin.mover.map_or(Fit::AsItIs, |mover| Fit::Move(Box::new(mover)));
    pass_on(&mut follower, &mut fit, sink, progress).await
}

/// Does what comes before the first byte, unless the output closes or it takes longer than nothing new may take.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn prepare<T>(
    store: &Patient,
    wanted: &Wanted,
    sink: &Sink,
    progress: &Progress,
    work: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    progress.news();
    tokio::select! {
        biased;
        done = in_time(store, wanted, work) => done,
        () = sink.closed() => Err(SinkError::Closed.into()),
    }
}

/// Does something that brings no byte, unless it takes longer than nothing new may take.
///
/// # Errors
/// [`ReadError`].
pub async fn in_time<T>(
    store: &Patient,
    wanted: &Wanted,
    work: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    tokio::select! {
        biased;
        done = work => done,
        () = over(wanted.timeout) => Err(LocateError::timed_out(store, wanted).into()),
    }
}

/// Waits for so long; for ever if that is not said.
async fn over(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Finds what to read, and makes sure that it begins with what the output holds.
async fn find(store: &Patient, reading: &Reading, held: Option<&Held>) -> Result<Match, ReadError> {
    match held {
        Some(held) => Ok(held::find(store, &reading.wanted, held).await??),
        None => Ok(Match { located: locate(store, &reading.wanted).await?, part_size: None, etag: None }),
    }
}

/// Begins to follow what was found, and says so.
fn follow(
    store: &Patient,
    reading: &Reading,
    located: &Located,
    etag: Option<String>,
    progress: &Progress,
) -> Follower {
    if let Some(id) = located.recording.as_ref().map(|recording| recording.id.as_str()).or(located.version.as_deref()) {
        // The cell is empty for the first object, and stays as it is after that.
        drop(progress.upload.set(id.to_owned()));
    }
    let follower = Follower::new(store, reading, located.clone(), etag);
    follower.span().in_scope(|| announce::reading(&store.object(&reading.wanted.key), located));
    follower
}

/// What is done to the bytes on their way.
enum Fit<'a> {
    /// Nothing.
    AsItIs,
    /// One stream is made of several objects.
    Stitch(&'a mut Stitch),
    /// They are moved to a new place, up to where there is enough.
    Move(Box<Mover>),
}

/// Copies what comes until there is no more, or enough of it.
async fn pass_on(
    follower: &mut Follower,
    fit: &mut Fit<'_>,
    sink: &mut Sink,
    progress: &Progress,
) -> Result<(), ReadError> {
    loop {
        let news = tokio::select! {
            biased;
            news = follower.next() => news?,
            () = sink.closed() => return Err(SinkError::Closed.into()),
        };
        let bytes = match news {
            News::Bytes(bytes) => bytes,
            News::Edge => {
                progress.at_edge.store(true, Relaxed);
                continue;
            }
            News::Behind => {
                progress.at_edge.store(false, Relaxed);
                continue;
            }
            News::Ended => return Ok(()),
        };
        if !matches!(fit, Fit::Move(_)) {
            progress.bytes_in.fetch_add(bytes.len() as u64, Relaxed);
        }
        match fit {
            Fit::AsItIs => sink.write(bytes).await?,
            Fit::Stitch(stitch) => {
                for piece in stitch.pass(bytes).into_iter().filter(|piece| !piece.is_empty()) {
                    sink.write(piece).await?;
                }
            }
            Fit::Move(mover) => {
                for piece in mover.pass(&bytes) {
                    progress.bytes_in.fetch_add(piece.len() as u64, Relaxed);
                    sink.write(piece).await?;
                }
                if mover.is_done() {
                    return Ok(());
                }
            }
        }
        progress.news();
    }
}
