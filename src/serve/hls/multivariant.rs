//! The playlist that leads to all others: of one object, or of the renditions that writers have told of in the bucket.

use std::fmt::Write;

use http::{Response, StatusCode, request};
use tokio::time::{Instant, timeout_at};

use super::answer::playlist;
use super::indexed::{State, Text};
use super::names::{KEY_FRAMES, MEDIA};
use super::waiting::{FIRST, wait};
use crate::hls::master;
use crate::hls::playlist::{Object, reference};
use crate::hls::rendition::{Membership, Rendition};
use crate::hls::walk;
use crate::media::fmp4::TrackKind;
use crate::protocol::escape;
use crate::protocol::key::number_of;
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::{Gateway, may};
use crate::serve::name::{Query, decoded};
use crate::serve::recordings::of_store;
use crate::serve::refusal::Refusal;

/// Answers for that of `key`, or for the one with the key `written`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn answer(
    gateway: &Gateway,
    key: Option<&str>,
    written: &str,
    query: &Query<'_>,
    parts: &request::Parts,
    mut record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let suffix = gateway.suffix(query)?;
    let is_private = gateway.gate.tokens.is_some();
    let found = match key {
        Some(key) => gateway.find(query, key, record.as_deref_mut(), parts).await.map(Some),
        None => Ok(None),
    };
    let viewing = match found {
        Ok(Some((viewing, _))) => viewing,
        Err(refusal) if refusal.status != StatusCode::NOT_FOUND => return Err(refusal),
        _ => {
            let text = Text::of(renditions(gateway, written, (query, parts), &suffix, record).await?);
            return Ok(playlist(&text, false, is_private, parts));
        }
    };
    let indexed = gateway.indexes.of(&viewing);
    let version = escape::segment(&viewing.identity.version);
    let (text, over) = wait(gateway, &indexed, &viewing, |state| {
        let text = of_one(state, &version, &suffix);
        Some(text.map(|text| (Text::of(text), state.index.is_over())).ok_or_else(Refusal::not_there))
    })
    .await?;
    Ok(playlist(&text, over, is_private, parts))
}

/// What an index tells of its stream, as one rendition whose playlist is there.
fn rendition(state: &State, name: &str, uri: String) -> Option<Rendition> {
    let (info, membership) = (&state.index.info, Membership { master: String::new(), name: name.to_owned() });
    let movie = info.movie.as_ref()?;
    let average = state.index.timeline.average_rate();
    let bandwidth = info.peak.max(average);
    Some(Rendition { uri, bandwidth, average, ..Rendition::of(&membership, "", movie, info.frame_rate, 0) })
}

/// Of one object.
fn of_one(state: &State, version: &str, suffix: &str) -> Option<String> {
    let rendition = rendition(state, "main", format!("{version}/{MEDIA}{suffix}"))?;
    let mut text = master::text(std::slice::from_ref(&rendition));
    let movie = state.index.info.movie.as_ref()?;
    let pictures = movie.main().filter(|main| main.kind == TrackKind::Video)?;
    // A string takes whatever is written into it: the result is of no interest. The bit rate is that of all, which no key
    // frame is above.
    let _ = writeln!(
        text,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},URI=\"{version}/{KEY_FRAMES}{suffix}\"",
        rendition.bandwidth.max(1),
        pictures.codec,
        pictures.width,
        pictures.height
    );
    Some(text)
}

/// Of all renditions that writers have told of beside the multivariant playlist `written`.
async fn renditions(
    gateway: &Gateway,
    written: &str,
    (query, parts): (&Query<'_>, &request::Parts),
    suffix: &str,
    record: Option<&mut Record>,
) -> Result<String, Refusal> {
    let bucket = gateway.bucket(query)?;
    if let Some(record) = record {
        bucket.clone_into(&mut record.bucket);
        written.clone_into(&mut record.key);
    }
    gateway.names.check(written)?;
    may(parts, bucket, written)?;
    let store = gateway.recordings.store(bucket);
    let until = Instant::now() + FIRST;
    let look = async {
        let mut found = Vec::new();
        for mut rendition in master::told(&store, written).await.map_err(|error| of_store(&error))? {
            let beside = |from: &str, to: &str| decoded(to).ok().map(|to| resolved(from, &to));
            let Some(list) = beside(written, &rendition.uri) else { continue };
            let read = walk::read(&store, &list).await.map_err(|error| of_store(&error))?;
            let objects = read.map(|read| read.timeline.objects).unwrap_or_default();
            let named = |object: &Object| {
                let (path, version) = object.uri.split_once("?versionId=").unwrap_or((&object.uri, ""));
                Some((beside(&list, path)?, decoded(version).ok()?))
            };
            let (Some(first), Some(newest)) = (objects.first().and_then(named), objects.last().and_then(named)) else {
                continue;
            };
            // The playlist of the first object of a rollover goes on in all others; a window may begin with a later one.
            let (key, version) = if number_of(&first.0, &newest.0).is_some() { first } else { newest };
            if gateway.names.check(&key).is_err() || may(parts, bucket, &key).is_err() {
                continue;
            }
            let version = Some(version).filter(|version| !version.is_empty());
            let Ok(viewing) = gateway.recordings.find(bucket, &key, version.as_deref()).await else { continue };
            let version = escape::segment(&viewing.identity.version);
            rendition.uri = format!("{}/{version}/{MEDIA}{suffix}", reference(written, &key, None));
            found.push(rendition);
        }
        Ok::<_, Refusal>(found)
    };
    let found = timeout_at(until, look).await.unwrap_or_else(|_| Err(Refusal::busy("the store does not answer")))?;
    if found.is_empty() {
        return Err(Refusal::not_there());
    }
    Ok(master::text(&found))
}

/// The key that a decoded relative reference in the object `from` leads to.
fn resolved(from: &str, to: &str) -> String {
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for name in to.split('/') {
        match name {
            "." => {}
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_to_a_key() {
        for (from, to, want) in [
            ("live.m3u8", "720p.m3u8", "720p.m3u8"),
            ("a/live.m3u8", "720p.mp4", "a/720p.mp4"),
            ("a/b/live.m3u8", "../c/x.mp4", "a/c/x.mp4"),
            ("live.m3u8", "../../x.mp4", "x.mp4"),
        ] {
            assert_eq!(resolved(from, to), want);
        }
    }
}
