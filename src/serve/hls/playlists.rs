//! `/hls/…`: which answer is asked for, and media playlists, held back until what a client waits for is there.

use http::{Response, request};

use super::answer::playlist;
use super::indexed::{Kind, Shape};
use super::names::{self, Asked, What};
use super::reload::{Directives, Verdict};
use super::{media, multivariant, pictures, render, series, siblings};
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::{self, Gateway, may};
use crate::serve::identity::hash;
use crate::serve::name::Unnamed;
use crate::serve::refusal::Refusal;
use crate::serve::renditions::Member;
use crate::serve::viewing::Viewing;

/// Answers `/hls/…`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn hls(
    gateway: &Gateway,
    path: &str,
    parts: &request::Parts,
    record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let query = gateway::query(parts);
    let asked = names::asked(path)?.ok_or_else(Refusal::not_there)?;
    let (key, version, follower, what) = match asked {
        Asked::Index { key, playlist } => {
            return Box::pin(multivariant::answer(gateway, key.as_deref(), &playlist, &query, parts, record)).await;
        }
        Asked::Version { key, version, follower, what } => (key, version, follower, what),
    };
    // In boxes, so that a playlist that is held back takes no room for what is not waited for.
    let viewing = match follower {
        Some(follower) => Box::pin(series::follower(gateway, &query, (&key, version), follower, record, parts)).await?,
        None => Box::pin(gateway.find_version(&query, &key, version, record, parts)).await?,
    };
    let kind = match what {
        What::Stretch { first, length } => {
            return Box::pin(media::stretch(gateway, viewing, first, length, parts)).await;
        }
        What::Part { first } => return Box::pin(media::part(gateway, viewing, first, parts)).await,
        What::Picture { first, length } => {
            return Box::pin(pictures::picture(gateway, viewing, first, length, parts)).await;
        }
        What::Media => Kind::All,
        What::KeyFrames => Kind::KeyFrames,
    };
    let (segment, part, skip) = (query.get("_HLS_msn")?, query.get("_HLS_part")?, query.get("_HLS_skip")?);
    let directives = Directives::read(segment.as_deref(), part.as_deref(), skip.as_deref());
    let directives = directives.map_err(Unnamed::Wrong)?;
    let suffix = gateway.suffix(&query)?;
    let far = || Unnamed::Wrong("_HLS_msn is far beyond the newest segment").into();
    let siblings = gateway.siblings.of(&viewing).filter(|_| kind == Kind::All);
    let reports = match siblings {
        None => String::new(),
        Some(siblings) => {
            // What is said of the others is of the moment of the answer, and they are not looked at while this one is.
            series::wait(gateway, &viewing, |now| match directives.judge(&now.there()) {
                Verdict::Now => Some(Ok(())),
                Verdict::TooFar => Some(Err(far())),
                Verdict::Hold => None,
            })
            .await?;
            reports(gateway, &viewing, &siblings, &suffix, parts)
        }
    };
    let (text, over) = series::wait(gateway, &viewing, |now| match directives.judge(&now.there()) {
        Verdict::Now => {
            let over = now.over;
            let kind = if kind == Kind::All && directives.skip && !over { Kind::Update } else { kind };
            let shape = Shape { kind, suffix: suffix.clone(), since: None, reports: reports.clone() };
            let made = now.text(shape, |row, promise| {
                let mut text = match kind {
                    Kind::Update => render::media(row, promise, render::skipped(row, promise), &suffix),
                    Kind::KeyFrames => return render::key_frames(row, promise, &suffix),
                    _ => render::media(row, promise, 0, &suffix),
                };
                if row.part(promise).is_some() {
                    text.push_str(&reports);
                }
                text
            });
            made.map(|text| Ok((text, over)))
        }
        Verdict::TooFar => Some(Err(far())),
        Verdict::Hold => None,
    })
    .await?;
    Ok(playlist(&text, over, gateway.gate.tokens.is_some(), parts))
}

/// What is said of the others, as far as whoever asks may have them.
fn reports(gateway: &Gateway, viewing: &Viewing, members: &[Member], suffix: &str, parts: &request::Parts) -> String {
    let bucket = viewing.store.bucket();
    let mut text = String::new();
    for member in members.iter().filter(|member| member.key != viewing.key) {
        let there = gateway.indexes.followed(hash(bucket, &member.key, &member.version));
        if let Some(there) = there.filter(|_| may(parts, bucket, &member.key).is_ok()) {
            siblings::put(&mut text, &viewing.key, member, &there, suffix);
        }
    }
    text
}
