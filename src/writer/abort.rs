//! `writer --abort`: shows the open uploads of one key, asks, and cancels them. Also the word about an upload that is open
//! already when another begins.

use tracing::Instrument;

use crate::human::sizes::show_bytes;
use crate::message::fields;
use crate::object::live::Upload;
use crate::protocol::live_objects::{Names, Prefix};
use crate::store::{Kind, OpenUpload, Patient, StoreError};
use crate::writer::live_objects::{Stale, clean_all};

/// An open upload, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    started: Option<String>,
    /// Number and bytes of its parts, where the key may list them.
    parts: Option<(usize, u64)>,
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)?;
        if let Some(started) = &self.started {
            write!(f, ", begun {started}")?;
        }
        match self.parts {
            Some((1, bytes)) => write!(f, ", 1 part, {}", show_bytes(bytes)),
            Some((parts, bytes)) => write!(f, ", {parts} parts, {}", show_bytes(bytes)),
            None => Ok(()),
        }
    }
}

/// The open uploads of exactly `key`, or the one of them that is named.
///
/// # Errors
/// [`StoreError`]. A key that may not list can still name an upload.
pub async fn candidates(store: &Patient, key: &str, upload_id: Option<&str>) -> Result<Vec<Candidate>, StoreError> {
    let mut uploads = match (store.open_uploads(key).await, upload_id) {
        (Ok(uploads), _) => uploads,
        (Err(error), Some(id)) if error.may_not_list() => vec![OpenUpload { id: id.to_owned(), started: None }],
        (Err(error), _) => return Err(error),
    };
    uploads.retain(|upload| upload_id.is_none_or(|id| upload.id == id));
    let mut found = Vec::with_capacity(uploads.len());
    for upload in uploads {
        let parts = match store.parts(key, &upload.id).await {
            Ok(parts) => Some((parts.len(), parts.iter().map(|part| part.size).sum())),
            // Over since it was listed.
            Err(error) if error.kind == Kind::NoUpload => continue,
            Err(error) => {
                tracing::debug!("{error}");
                None
            }
        };
        found.push(Candidate { started: upload.started_at(), id: upload.id, parts });
    }
    Ok(found)
}

/// Cancels them all, and says so of each; false when one could not be.
pub async fn cancel(store: &Patient, key: &str, uploads: &[Candidate]) -> bool {
    let mut all = true;
    for Candidate { id, .. } in uploads {
        let span = fields::upload(key, Some(id));
        let aborted = store.abort_upload(key, id).instrument(span.clone()).await;
        let _within = span.enter();
        match aborted {
            Ok(()) => tracing::info!(event = "aborted", "cancelled the upload {id} of {}", store.object(key)),
            Err(error) => {
                all = false;
                tracing::error!("the upload {id} is still open: {error}");
            }
        }
    }
    all
}

/// Takes away the live objects of uploads that are cancelled: of the one that is named, or of all of the key, and says so.
pub async fn take_away_live_objects(store: &Patient, prefix: &Prefix, key: &str, upload_id: Option<&str>) {
    let Ok(names) = Names::new(prefix, key) else { return };
    let found = match clean_all(store, &names, key, upload_id).await {
        Ok(found) => found,
        Err(error) => return tracing::debug!("could not find out whether there are live objects: {error}"),
    };
    for one in found {
        if matches!(&one.stale, Stale::Swept(left) if left.is_nothing()) {
            tracing::info!("took away the live objects of the recording {}", one.recording);
        }
    }
}

/// Warns of uploads of the key that were open when this one began, and names both ways on. Says nothing where the
/// key may not list uploads.
pub async fn warn_of_others(upload: Upload) {
    look_for_others(&upload).instrument(upload.span().clone()).await;
}

async fn look_for_others(upload: &Upload) {
    let ours = upload.id();
    let others = match upload.store().once().open_uploads(upload.key()).await {
        Ok(mut uploads) => {
            uploads.retain(|upload| upload.id != ours);
            uploads
        }
        Err(error) => return tracing::debug!("could not find out whether other uploads are open: {error}"),
    };
    let ids: Vec<&str> = others.iter().map(|upload| upload.id.as_str()).collect();
    let (what, them) = match ids.len() {
        0 => return,
        1 => ("another upload", "it"),
        _ => ("other uploads", "one of them"),
    };
    tracing::warn!(
        "{} has {what} open: {}. The new upload {ours} goes on beside. To go on with {them} instead, stop and start again \
         with `--resume --upload-id ID`; to cancel {them}, use `--abort --upload-id ID`",
        upload.object(),
        ids.join(", ")
    );
}
