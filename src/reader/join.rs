//! Joins a recording late, and cuts clips out of it: what to send first, where to begin, and where to end.
//!
//! The looking is done by [`seek`], the copying from there on by [`copy`] as for a whole
//! object, with a [`Mover`] in between that fits the fragments to their new place.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::sleep;

use crate::human::times::{show, show_of_day};
use crate::media::fmp4::{Fragment, Mover};
use crate::media::mpeg_ts;
use crate::object::locate::{beside, locate};
use crate::object::place::{Place, When};
use crate::object::ranges::{Answer, Ranges};
use crate::object::reading::Reading;
use crate::object::seek::{self, Opened, SeekError, Seeker};
use crate::object::stretch::Target;
use crate::object::wanted::{Located, Wanted};
use crate::reader::copy::{self, Begin};
use crate::reader::error::ReadError;
use crate::reader::sink::Sink;
use crate::store::Patient;
use crate::tool::progress::Progress;

/// The first and the longest stretch of a transport stream that is searched backwards for an entrance.
const TS_LOOK: (u64, u64) = (1 << 20, 64 << 20);

/// What to copy of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    /// Where to begin; `None`: at the start.
    pub from: Option<Place>,
    /// Where to end; `None`: where the recording ends.
    pub to: Option<When>,
    /// Move times so that the copy begins at zero.
    pub rebase: bool,
}

impl Excerpt {
    /// Whether it begins at the live edge, or so much before.
    fn is_live(&self) -> bool {
        matches!(self.from, Some(Place::Live { .. }))
    }
}

/// Copies an excerpt of the object to `sink`; returns the bytes written.
///
/// # Errors
/// [`ReadError`].
pub async fn read(
    store: &Patient,
    reading: &Reading,
    excerpt: &Excerpt,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<u64, ReadError> {
    let prepared =
        copy::prepare(store, &reading.wanted, sink, progress, Box::pin(prepare(store, reading, excerpt))).await;
    let result = match prepared {
        Ok(prepared) => copy(store, reading, prepared, sink, progress).await,
        Err(error) => Err(error),
    };
    // Whatever ended the reading, what was fetched in order belongs to the output.
    let written = sink.finish().await;
    result?;
    written?;
    Ok(progress.bytes_out.load(Relaxed))
}

/// What to copy and how.
struct Prepared {
    located: Located,
    /// What the copy begins with.
    opening: bytes::Bytes,
    begin: Begin,
}

async fn copy(
    store: &Patient,
    reading: &Reading,
    prepared: Prepared,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<(), ReadError> {
    let Prepared { located, opening, begin } = prepared;
    progress.news();
    progress.bytes_in.fetch_add(opening.len() as u64, Relaxed);
    sink.write(opening).await?;
    copy::from(store, reading, located, begin, sink, progress).await
}

/// Opens the object that `wanted` names, which must be there.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn open<'a>(
    store: &'a Patient,
    wanted: &Wanted,
) -> Result<(Located, Result<Opened<'a>, SeekError>), ReadError> {
    let mut located = locate(store, &Wanted { wait: false, ..wanted.clone() }).await?;
    if let Some(recording) = located.recording.clone() {
        let opened = seek::open_in(Ranges::of_objects(store, &wanted.key, *recording), None).await;
        return Ok((located, opened));
    }
    let target = Target {
        key: wanted.key.clone(),
        version: located.version.clone(),
        etag: None,
        // Even of a finished object: only an answer to this header names the part size.
        live: true,
        hold: located.hold.clone(),
    };
    let opened = seek::open(store, target, located.finished).await;
    if let Err(SeekError::Absent(_)) = &opened
        && located.is_open()
        && let Some(beside) = beside(store, wanted).await?
        && let Some(recording) = beside.recording.clone()
    {
        let opened = seek::open_in(Ranges::of_objects(store, &wanted.key, *recording), None).await;
        return Ok((beside, opened));
    }
    if let Ok(Opened::Fragments(seeker)) = &opened {
        located.version = located.version.or(seeker.ranges.target.version.clone());
    } else if let Ok(Opened::TransportStream { ranges, .. }) = &opened {
        located.version = located.version.or(ranges.target.version.clone());
    }
    Ok((located, opened))
}

/// Finds the places.
async fn prepare(store: &Patient, reading: &Reading, excerpt: &Excerpt) -> Result<Prepared, ReadError> {
    let mut wanted = reading.wanted.clone();
    let mut too_early = false;
    let (located, opened) = loop {
        let (located, opened) = open(store, &wanted).await?;
        match opened {
            // Whatever comes first is newer than now.
            Err(SeekError::TooEarly(object)) if excerpt.is_live() && located.is_open() => {
                if !std::mem::replace(&mut too_early, true) {
                    tracing::info!("{object} has no fragment yet; waiting for the first one");
                }
                wanted.upload_id = located.version.or(wanted.upload_id);
                sleep(wanted.poll_interval).await;
            }
            opened => break (located, opened?),
        }
    };
    if too_early && excerpt.to.is_none() {
        return Ok(Prepared { located, opening: bytes::Bytes::new(), begin: Begin::default() });
    }
    match opened {
        Opened::Fragments(seeker) => fragments(located, *seeker, excerpt).await,
        Opened::TransportStream { ranges, edge, beginning } => match excerpt {
            Excerpt { from: Some(Place::Live { back: Duration::ZERO }), to: None, .. } => {
                transport_stream(located, ranges, edge, &beginning).await
            }
            _ => Err(SeekError::TransportStream(ranges.object()).into()),
        },
    }
}

async fn fragments(located: Located, mut seeker: Seeker<'_>, excerpt: &Excerpt) -> Result<Prepared, ReadError> {
    let live = matches!(excerpt.from, Some(Place::Live { back: Duration::ZERO })) && excerpt.to.is_none();
    if !live {
        seeker.is_timed()?;
    }
    let (zero, edge) = (seeker.zero(), seeker.edge);
    let start = match excerpt.from {
        None => seeker.lead.clone(),
        Some(Place::Live { back: Duration::ZERO }) => seeker.key_before(edge, i64::MAX).await?,
        Some(Place::Live { back }) => {
            seeker.look_at_end().await?;
            let back = i64::try_from(back.as_nanos()).unwrap_or(i64::MAX);
            let time = seeker.reaches().saturating_sub(back);
            start_at(&mut seeker, time).await?
        }
        Some(Place::At(when)) => {
            let time = Clock::of(&seeker).time(&seeker, when)?;
            let start = start_at(&mut seeker, time).await?;
            if !seeker.has_beyond(time).await? {
                let asked = show(time.saturating_sub(zero));
                let length = show(seeker.reaches().saturating_sub(zero));
                return Err(SeekError::Beyond { object: seeker.ranges.object(), length, asked }.into());
            }
            start
        }
    };
    let shown = seeker.main_run(&start).map_or(0, |run| run.nanos(run.earliest));
    let to = excerpt.to.map(|to| Clock::of(&seeker).time(&seeker, to)).transpose()?;
    if let Some(to) = to.filter(|to| *to <= shown) {
        let (begin, end) = (show(shown.saturating_sub(zero)), show(to.saturating_sub(zero)));
        return Err(SeekError::Nothing { object: seeker.ranges.object(), begin, end }.into());
    }
    // Until there nothing has to be read with care: the end comes later.
    let sure = match to {
        Some(to) => {
            let last = seeker.last_by(to.saturating_sub(1)).await?;
            let within = seeker.has_beyond(to.saturating_sub(1)).await?;
            Some(if within { last.data_end.unwrap_or(last.moof_end).min(edge) } else { edge })
        }
        None => None,
    };
    let first = if excerpt.from.is_some() { seeker.with_company(&start).await? } else { seeker.header.end };
    let back = if excerpt.rebase && seeker.lead.timed { seeker.earliest_from(first).await? } else { 0 };
    let shown = seeker.main_run(&start).map_or(0, |run| run.nanos(run.first));
    tracing::info!("beginning at {}, byte {first}", show(shown.saturating_sub(zero)));
    tracing::debug!(requests = seeker.ranges.requests, bytes = seeker.ranges.bytes, edge, "found the place");
    let opening = seeker.header.bytes.clone();
    let mover = Mover::new(seeker.header.movie.clone(), first, opening.len() as u64).back(back).until(to);
    let Ranges { part_size, target, .. } = seeker.ranges;
    let begin = Begin { at: first, part_size, etag: target.etag, sure, mover: Some(mover) };
    Ok(Prepared { located, opening, begin })
}

/// The fragment to begin with for a time, the first one for any before that.
async fn start_at(seeker: &mut Seeker<'_>, time: i64) -> Result<Fragment, SeekError> {
    if time <= seeker.zero() { Ok(seeker.lead.clone()) } else { seeker.start_for(time).await }
}

/// How times of day become times of the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Nanoseconds since 1970 at time zero of the stream's own clock; `None` where nothing tells.
    pub(crate) origin: Option<i64>,
    /// Whether that is the stream's own word, and not just when its upload began.
    pub(crate) exact: bool,
}

impl Clock {
    /// As the fragments seen tell it, else by when the upload began.
    pub(crate) fn of(seeker: &Seeker<'_>) -> Self {
        let told = seeker.seen.values().find_map(|fragment| {
            let wall = fragment.wall?;
            let track = seeker.header.movie.track(wall.track)?;
            let media = i64::try_from(wall.media_time).ok()?.saturating_add(track.edit_offset);
            Some(wall.unix_nanos().saturating_sub(crate::media::fmp4::moof::nanos(media, track.timescale)))
        });
        let began = seeker.ranges.started.map(|seconds| seconds.saturating_mul(1_000_000_000));
        let exact = told.is_some();
        Self { origin: told.or_else(|| began.map(|began| began.saturating_sub(seeker.zero()))), exact }
    }

    /// A time in nanoseconds of the stream's own clock.
    fn time(self, seeker: &Seeker<'_>, when: When) -> Result<i64, SeekError> {
        match (when, self.origin) {
            (When::After(nanos), _) => Ok(seeker.zero().saturating_add(nanos)),
            (When::OfDay(_), None) => Err(SeekError::NoClock(seeker.ranges.object())),
            (When::OfDay(nanos), Some(origin)) => {
                if !self.exact {
                    let began = show_of_day(origin.saturating_add(seeker.zero()).div_euclid(1_000_000_000));
                    tracing::warn!(
                        "the stream itself tells no time of day (no prft); going by the start of its upload, {began}, which is \
                         right to a few seconds at best"
                    );
                }
                Ok(nanos.saturating_sub(origin))
            }
        }
    }
}

/// Finds the newest random-access point of a transport stream.
async fn transport_stream(
    located: Located,
    mut ranges: Ranges<'_>,
    edge: u64,
    beginning: &[u8],
) -> Result<Prepared, ReadError> {
    let packet = mpeg_ts::PACKET as u64;
    let mut step = TS_LOOK.0;
    loop {
        let low = edge.saturating_sub(step) / packet * packet;
        let bytes = match ranges.read(low, edge).await? {
            Answer::Data(bytes) => bytes,
            Answer::Nothing => Vec::new(),
            Answer::Absent => return Err(SeekError::Absent(ranges.object()).into()),
        };
        let entrance = mpeg_ts::newest_entrance(beginning, &bytes);
        if entrance.is_none() && low > 0 && step < TS_LOOK.1 {
            step *= 4;
            continue;
        }
        let (at, opening) = match entrance {
            Some(entrance) => (low.saturating_add(entrance.at as u64), entrance.tables),
            None if low == 0 => (0, Vec::new()),
            None => return Err(SeekError::NoKeyFrame(ranges.object()).into()),
        };
        tracing::info!("beginning at byte {at} of a transport stream of {edge} bytes so far");
        tracing::debug!(requests = ranges.requests, bytes = ranges.bytes, edge, "found the place");
        let begin = Begin { at, part_size: ranges.part_size, etag: ranges.target.etag, sure: None, mover: None };
        return Ok(Prepared { located, opening: opening.into(), begin });
    }
}
