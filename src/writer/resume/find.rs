//! Which upload to go on with, and its part size.

use super::ResumeError;
use crate::protocol::live_objects::{Names, Prefix};
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::{Fetched, Kind, Patient, Piece, StoreError, StoredPart};
use crate::writer::live_objects;

/// What to go on with.
#[derive(Debug, Clone)]
pub struct Sought<'a> {
    /// The object's key.
    pub key: &'a str,
    /// One certain upload, instead of the newest.
    pub upload_id: Option<&'a str>,
    /// The part size that the person asked for.
    pub part_size: Option<PartSize>,
    /// What the names of its live objects begin with, if it may have some.
    pub live: Option<&'a Prefix>,
}

/// The newest open upload.
pub(super) async fn newest(store: &Patient, wanted: &Sought<'_>, object: &str) -> Result<Option<String>, ResumeError> {
    let uploads = store
        .open_uploads(wanted.key)
        .await
        .map_err(|error| if error.may_not_list() { ResumeError::Unlisted(error) } else { error.into() })?;
    let Some((newest, others)) = uploads.split_last() else { return Ok(None) };
    if !others.is_empty() {
        let ids: Vec<&str> = others.iter().map(|upload| upload.id.as_str()).collect();
        tracing::warn!(
            "{object} has {} open uploads; going on with the newest. The others are {}: take one of them up with \
             --resume --upload-id ID, or cancel it with --abort --upload-id ID",
            uploads.len(),
            ids.join(", ")
        );
    }
    Ok(Some(newest.id.clone()))
}

/// The part size of an upload: as the store tells it, else as its parts show it, else as asked for.
pub(super) async fn part_size(
    store: &Patient,
    wanted: &Sought<'_>,
    default: PartSize,
    id: &str,
    parts: &[StoredPart],
) -> Result<PartSize, ResumeError> {
    let object = store.object(wanted.key);
    let told = told_part_size(store, wanted, id, parts).await?;
    let told = if told.is_some() { told } else { part_size_in_head(store, wanted, id).await };
    // A part that was the last when it was stored may be short although others follow it now, so the largest counts.
    let shown = || parts.split_last().and_then(|(_, others)| others.iter().map(|part| part.size).max());
    let Some(has) = told.or_else(shown) else {
        let part_size = wanted.part_size.unwrap_or(default);
        let from = if wanted.part_size.is_some() { "as given with --part-size" } else { "the default" };
        tracing::warn!(
            "the upload {id} of {object} does not show the part size that it was begun with; taking {part_size} bytes, {from}. If the store refuses parts of this size, give the right one with --part-size"
        );
        return Ok(part_size);
    };
    match (PartSize::new(has), wanted.part_size) {
        (_, Some(asked)) if asked.get() != has => {
            Err(ResumeError::OtherPartSize { object, id: id.to_owned(), has, wanted: asked })
        }
        (Ok(part_size), _) => Ok(part_size),
        (Err(_), _) => Err(ResumeError::NotAPartSize { object, id: id.to_owned(), has }),
    }
}

/// The part size as the head of its live objects names it, where it has some.
async fn part_size_in_head(store: &Patient, wanted: &Sought<'_>, id: &str) -> Option<u64> {
    let names = Names::new(wanted.live?, wanted.key).ok()?;
    match live_objects::find(store, &names, id).await {
        Ok(head) => head.map(|head| head.part_size),
        Err(error) => {
            tracing::debug!("{error}");
            None
        }
    }
}

/// The part size as the store names it in its answer to a live read; `None` if it names none or the key may not read.
async fn told_part_size(
    store: &Patient,
    wanted: &Sought<'_>,
    id: &str,
    parts: &[StoredPart],
) -> Result<Option<u64>, StoreError> {
    let begin = Piece::Range { first: 0, last: 0 };
    let behind_a_gap = parts.first().filter(|part| part.number != PartNumber::FIRST);
    let pieces = parts.first().map(|_| begin).into_iter().chain(behind_a_gap.map(|part| Piece::Part(part.number)));
    for piece in pieces {
        match store.fetch(wanted.key, Some(id), piece, true).await {
            Ok(Fetched::Data(body)) if body.part_size.is_some() => return Ok(body.part_size),
            Ok(_) => {}
            Err(error) if matches!(error.kind, Kind::Denied | Kind::Refused) => tracing::debug!("{error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
