//! The multivariant playlist (RFC 8216, 4.3.4) that several writers make together, each for its own rendition.
//!
//! No store needs to know conditional puts for this: each writer keeps one small object with what it knows of its rendition
//! (`MASTER.renditions/NAME`), makes the playlist of all of them, and looks again after it has written it. Whoever writes
//! last has looked last, so that in the end nobody is missing.

use std::fmt::Write;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::publish::{LANDING, holds, may_land, write_once};
use super::rendition::{BadRendition, Rendition};
use crate::protocol::escape;
use crate::store::retry::Retry;
use crate::store::{Kind, Patient, Store, StoreError};

/// How long one request may keep failing.
const RETRY: Retry = Retry { give_up_after: Duration::from_secs(60) };

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest object that tells of a rendition.
const ENTRY_MAX: u64 = 64 << 10;

/// How often the playlist is made anew because another writer was at it too.
const ROUNDS: u32 = 30;

/// How often to look whether an earlier version has landed.
const LOOK: Duration = Duration::from_secs(1);

/// Why the multivariant playlist does not know of a rendition.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The store refused, or was away for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rendition itself is beyond all measure.
    #[error(transparent)]
    Rendition(#[from] BadRendition),
}

/// The group of renditions that are only sound.
const GROUP: &str = "audio";

/// The text of a multivariant playlist.
#[must_use]
pub fn text(renditions: &[Rendition]) -> String {
    let mut sorted: Vec<&Rendition> = renditions.iter().collect();
    sorted.sort_by(|a, b| (a.bandwidth, &a.name).cmp(&(b.bandwidth, &b.name)));
    let pictures = sorted.iter().any(|rendition| rendition.resolution().is_some());
    // Sound alone is a rendition of its own only where there is nothing to see at all.
    let is_variant = |rendition: &Rendition| rendition.resolution().is_some() || !pictures;
    let group: Vec<&Rendition> = sorted.iter().copied().filter(|rendition| !is_variant(rendition)).collect();
    let loudest = |rate: fn(&Rendition) -> u64| group.iter().copied().map(rate).max().unwrap_or(0);
    let mut out = "#EXTM3U\n#EXT-X-VERSION:7\n".to_owned();
    // A string takes whatever is written into it: the results are of no interest.
    for (index, sound) in group.iter().enumerate() {
        let default = if index == 0 { "YES" } else { "NO" };
        let channels = if sound.channels > 0 { format!(",CHANNELS=\"{}\"", sound.channels) } else { String::new() };
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{GROUP}\",NAME=\"{}\",DEFAULT={default},AUTOSELECT=YES{channels},URI=\"{}\"",
            sound.name, sound.uri
        );
    }
    for variant in sorted.iter().copied().filter(|rendition| is_variant(rendition)) {
        let grouped = !variant.sound && !group.is_empty();
        let more = |rate: fn(&Rendition) -> u64| rate(variant).saturating_add(if grouped { loudest(rate) } else { 0 });
        let mut codecs: Vec<&str> = variant.codecs.split(',').collect();
        if grouped {
            codecs.extend(group.iter().flat_map(|sound| sound.codecs.split(',')));
        }
        let mut seen = Vec::new();
        codecs.retain(|codec| {
            !codec.is_empty() && !seen.contains(codec) && {
                seen.push(*codec);
                true
            }
        });
        let _ = write!(
            out,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}",
            more(|rendition| rendition.bandwidth).max(1),
            more(|rendition| rendition.average).max(1)
        );
        if !codecs.is_empty() {
            let _ = write!(out, ",CODECS=\"{}\"", codecs.join(","));
        }
        if let Some((width, height)) = variant.resolution().filter(|(width, height)| *width > 0 && *height > 0) {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
        }
        if let Some(rate) = variant.frame_rate {
            let _ = write!(out, ",FRAME-RATE={rate:.3}");
        }
        if grouped {
            let _ = write!(out, ",AUDIO=\"{GROUP}\"");
        }
        let _ = write!(out, "\n{}\n", variant.uri);
    }
    out
}

/// Puts `mine` into the multivariant playlist, in place of what was there of that name. As long as a write that got no
/// answer may land after its successor, it is looked at again, and mended.
///
/// # Errors
/// [`JoinError`] when the store refuses or is away for long; the key has to be one that may list objects.
pub async fn join(store: &Store, master: &str, mine: &Rendition) -> Result<(), JoinError> {
    let entry = format!("{}{}", folder(master), escape::segment(&mine.name));
    let json = Bytes::from(mine.to_json()?);
    let mut stray = None;
    write(&mut stray, || store.put_object(&entry, json.clone(), "application/json", "no-cache", PATIENCE)).await?;
    let mut written = None;
    for _ in 0..ROUNDS {
        let all = text(&renditions(&store.patient(RETRY), master, mine).await?);
        if written.as_ref() == Some(&all) {
            let Some(until) = stray else { return Ok(()) };
            let entry_stays = holds(store.clone(), entry.clone(), &json).await != Some(false);
            let playlist_stays = holds(store.clone(), master.to_owned(), all.as_bytes()).await != Some(false);
            if entry_stays && playlist_stays {
                let now = Instant::now();
                if now >= until {
                    return Ok(());
                }
                sleep_until(until.min(now + LOOK)).await;
                continue;
            }
            tracing::debug!("an earlier version of the multivariant playlist has landed after the newest");
            if !entry_stays {
                write(&mut stray, || store.put_object(&entry, json.clone(), "application/json", "no-cache", PATIENCE))
                    .await?;
            }
        }
        let finished = mine.ended.is_some();
        write(&mut stray, || write_once(store.clone(), master.to_owned(), all.clone(), finished)).await?;
        written = Some(all);
    }
    Ok(())
}

/// Writes until the store confirms it; `stray` becomes until when an attempt that got no answer may land.
async fn write<F, Fut>(stray: &mut Option<Instant>, mut attempt: F) -> Result<(), StoreError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), StoreError>>,
{
    let mut failures = RETRY.start();
    loop {
        let Err(error) = attempt().await else { break };
        if may_land(&error) {
            *stray = Some(Instant::now() + LANDING);
        }
        sleep(failures.next_wait(error)?).await;
    }
    failures.passed();
    Ok(())
}

/// Where writers tell of their renditions.
fn folder(master: &str) -> String {
    format!("{master}.renditions/")
}

/// All renditions there are, but for those of an earlier day.
async fn renditions(store: &Patient, master: &str, mine: &Rendition) -> Result<Vec<Rendition>, StoreError> {
    let mut found = told(store, master).await?;
    // One that had ended before this one began has nothing to do with it.
    let is_of_now = |other: &Rendition| other.ended.is_none_or(|ended| ended >= mine.began);
    found.retain(|other| other.name != mine.name && is_of_now(other));
    found.push(mine.clone());
    Ok(found)
}

/// All renditions that writers have told of.
///
/// # Errors
/// [`StoreError`] when the store refuses or is away for long; the key has to be one that may list objects.
pub async fn told(store: &Patient, master: &str) -> Result<Vec<Rendition>, StoreError> {
    let mut found = Vec::new();
    for key in store.objects(&folder(master)).await? {
        let rendition = match store.get_small(&key, ENTRY_MAX).await {
            Ok(None) => continue,
            Ok(Some(text)) => Rendition::from_json(&text.bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind == Kind::Refused => Err(error.cause),
            Err(error) => return Err(error),
        };
        let rendition = match rendition {
            Ok(rendition) => rendition,
            Err(cause) => {
                tracing::warn!(
                    "the multivariant playlist leaves out what {} tells of: {cause}. If no writer needs it, delete it",
                    store.object(&key)
                );
                continue;
            }
        };
        found.push(rendition);
    }
    Ok(found)
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod several;

#[cfg(test)]
mod tests {
    use super::super::rendition::tests::rendition;
    use super::*;
    use crate::store::scripted::{self, Op, Reply};

    #[tokio::test(start_paused = true)]
    async fn what_lands_late_does_not_take_the_place_of_the_newest() {
        let (store, shelf) = scripted::store();
        let earlier = rendition("360p", 800_000, Some((640, 360)), true);
        let later = Rendition { bandwidth: 900_000, ended: Some(earlier.began + 60), ..earlier.clone() };
        // The first writing of either object is given up after 5 s, and lands 7 s after it was sent.
        for lost in ["live.m3u8", "live.m3u8.renditions/360p"] {
            let mut first = true;
            shelf.script(move |asked, _| {
                let is_it = asked.op == Op::Put && asked.key == lost && std::mem::take(&mut first);
                if is_it { Reply::Stray(Duration::from_secs(7)) } else { Reply::Honest }
            });
            tokio::select! {
                joined = join(&store, "live.m3u8", &earlier) => joined.expect("it joins"),
                () = tokio::time::sleep(Duration::from_millis(5_500)) => {}
            }
            // As in a writer that ends meanwhile, whose last version comes before that one lands; it may get no answer either.
            let mut again = true;
            shelf.script(move |asked, _| {
                let is_it = asked.op == Op::Put && asked.key == lost && std::mem::take(&mut again);
                if is_it { Reply::Stray(Duration::from_secs(6)) } else { Reply::Honest }
            });
            join(&store, "live.m3u8", &later).await.expect("it joins");
            assert_eq!(shelf.object("live.m3u8").expect("it is there"), text(std::slice::from_ref(&later)));
            let entry = shelf.object("live.m3u8.renditions/360p").expect("it is there");
            assert_eq!(entry, later.to_json().expect("it is in range"));
        }
    }

    #[test]
    fn variants_rise_and_sound_alone_is_a_group() {
        let all = [
            rendition("720p", 3_000_000, Some((1280, 720)), true),
            rendition("360p", 800_000, Some((640, 360)), false),
            rendition("english", 130_000, None, true),
        ];
        let want = "#EXTM3U\n#EXT-X-VERSION:7\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"english\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"english.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=930000,AVERAGE-BANDWIDTH=465000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO=\"audio\"\n\
            360p.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=1500000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000\n\
            720p.m3u8\n";
        assert_eq!(text(&all), want);
        let alone = text(&all[2..]);
        assert!(
            alone.contains("BANDWIDTH=130000") && !alone.contains("RESOLUTION") && !alone.contains("MEDIA:"),
            "{alone}"
        );
    }
}
