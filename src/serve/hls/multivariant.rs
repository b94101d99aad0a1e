//! The playlist that leads to all others: of one object, or of the renditions that writers have told of in the bucket.

use std::fmt::Write;

use http::{Response, StatusCode, request};

use super::answer::playlist;
use super::indexed::{State, Text};
use super::names::{KEY_FRAMES, MEDIA};
use super::waiting::wait;
use crate::hls::master;
use crate::hls::playlist::reference;
use crate::hls::rendition::{Membership, Rendition};
use crate::media::fmp4::TrackKind;
use crate::protocol::escape;
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::Gateway;
use crate::serve::name::Query;
use crate::serve::programs::told;
use crate::serve::refusal::Refusal;
use crate::serve::renditions::{Told, of_now};

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
    if let Some(record) = record {
        gateway.bucket(query)?.clone_into(&mut record.bucket);
        written.clone_into(&mut record.key);
    }
    let told = told(gateway, written, query, parts).await?;
    let program = of_now(&told).into_iter().map(|told| told.member).collect();
    gateway.siblings.put(gateway.bucket(query)?, program);
    let found = told.into_iter().map(|Told { rendition, member }| {
        let version = escape::segment(&member.version);
        Rendition { uri: format!("{}/{version}/{MEDIA}{suffix}", reference(written, &member.key, None)), ..rendition }
    });
    Ok(master::text(&found.collect::<Vec<_>>()))
}
