//! What a reader says of the upload that it reads, each thing once.

use std::time::Duration;

use tracing::Span;

use crate::message::fields::{self, millis};
use crate::object::ending::Newer;
use crate::object::reading::{FollowError, News};
use crate::object::wanted::Located;

/// What is going to be read.
pub(crate) fn reading(object: &str, located: &Located) {
    const FOUND: &str = "found";
    let bytes = located.finished;
    if let Some(recording) = &located.recording {
        let id = &recording.id;
        tracing::info!(event = FOUND, "reading {object} while it is written, by its live objects, recording {id}");
        return;
    }
    match (&located.version, located.is_open()) {
        (Some(id), true) => tracing::info!(event = FOUND, "reading {object} while it is written, upload id {id}"),
        (None, true) => tracing::info!(event = FOUND, "reading {object} while it is written"),
        (_, false) => tracing::info!(event = FOUND, bytes, "reading {object}, which is complete"),
    }
}

/// Why nothing new may have come.
pub(crate) fn silence(unanswered: bool, complete: bool, absent: bool) -> &'static str {
    match (unanswered, complete, absent) {
        (true, ..) => "the store has not answered, or sends nothing",
        (_, true, _) => "it is complete, but the store does not give the rest",
        (_, _, true) => "the store does not let it be read before it is complete",
        _ => "it is still open, so its writer has stopped or lost its connection",
    }
}

/// What has been said, and of which upload.
#[derive(Debug)]
pub(crate) struct Said {
    span: Span,
    unreadable: bool,
    newer: Option<Newer>,
}

impl Said {
    /// Nothing yet, of an upload of `key` whose id may not be known.
    pub(crate) fn nothing_of(key: &str, upload: Option<&str>) -> Self {
        Self { span: fields::upload(key, upload), unreadable: false, newer: None }
    }

    /// What messages about the upload happen in.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// What comes of the upload next, behind its byte `offset`, for who follows by the fields.
    pub(crate) fn came(&self, news: &Result<News, FollowError>, offset: u64) {
        if matches!(news, Ok(News::Bytes(_))) {
            return;
        }
        let _within = self.span.enter();
        match news {
            Ok(News::Bytes(_)) => {}
            Ok(News::Edge) => tracing::debug!(event = "edge", offset, "at the live edge"),
            Ok(News::Behind) => tracing::debug!(event = "behind", offset, "behind the live edge"),
            Ok(News::Ended) => tracing::debug!(event = "ended", bytes = offset, "read to its end"),
            Err(error) => tracing::debug!(event = "failed", offset, "{error}"),
        }
    }

    /// It is looked at again after this time.
    pub(crate) fn waits(&self, offset: u64, wait: Duration) {
        let wait_ms = millis(wait);
        let _within = self.span.enter();
        tracing::debug!(event = "waits", offset, wait_ms, "nothing new yet; looking again in {wait_ms} ms");
    }

    /// An answer has told which upload it is.
    pub(crate) fn pinned(&self, upload: &str) {
        fields::learned(&self.span, upload);
        tracing::debug!("pinned to version {upload}");
    }

    /// It goes over to a newer one, before a byte was read.
    pub(crate) fn moving(&self, object: &str, upload: &str, newer: &Newer) {
        const MOVED: &str = "moved";
        let _within = self.span.enter();
        match newer {
            Newer::Open(newer) => {
                fields::learned(&self.span, &newer.id);
                let id = &newer.id;
                tracing::info!(
                    event = MOVED,
                    "nothing has come of upload {upload}; reading {object} from the newer upload {id}"
                );
            }
            Newer::Finished(head) => {
                fields::learned(&self.span, head.version.as_deref().unwrap_or_default());
                tracing::info!(
                    event = MOVED,
                    "nothing has come of upload {upload}; reading {object} as it was completed since"
                );
            }
        }
    }

    /// Why nothing can be seen of an upload that is there.
    pub(crate) fn unreadable(&mut self, object: &str) {
        if !std::mem::replace(&mut self.unreadable, true) {
            tracing::warn!(
                "the upload of {object} is open, but the store answers 404 to every live read of it: it was started without \
                 Live Read, or Live Read is not enabled for this account or bucket. Nothing can be read before the upload is \
                 complete; waiting for that"
            );
        }
    }

    /// Something newer is there than what has fallen silent.
    pub(crate) fn newer(&mut self, object: &str, upload: &str, newer: &Newer) {
        if self.newer.as_ref() == Some(newer) {
            return;
        }
        let what = match newer {
            Newer::Open(newer) => format!("a newer upload of it, {}, has begun", newer.id),
            Newer::Finished(_) => "a newer object of it is complete".to_owned(),
        };
        tracing::warn!(
            "nothing more has come of upload {upload} of {object}, and {what}. This output stays with upload {upload}, as it \
             never mixes two; start another reader for the newer one"
        );
        self.newer = Some(newer.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::captured;
    use crate::store::OpenUpload;

    #[test]
    fn lines_name_the_upload_from_when_it_is_known() {
        let lines = captured::json(|| {
            let said = Said::nothing_of("k", None);
            said.came(&Ok(News::Edge), 0);
            said.pinned("u1");
            said.waits(0, Duration::from_millis(7));
            said.moving("s3://b/k", "u1", &Newer::Open(OpenUpload { id: "u2".to_owned(), started: None }));
            said.came(&Ok(News::Bytes(bytes::Bytes::new())), 3);
            said.came(&Ok(News::Ended), 7);
        });
        let told: Vec<_> = lines.iter().filter(|line| line["event"].is_string()).collect();
        let told: Vec<_> =
            told.iter().map(|line| [&line["event"], &line["span"]["upload_id"], &line["span"]["key"]]).collect();
        assert_eq!(
            json!(told),
            json!([["edge", null, "k"], ["waits", "u1", "k"], ["moved", "u2", "k"], ["ended", "u2", "k"]])
        );
        assert_eq!((&lines[2]["wait_ms"], &lines[2]["offset"]), (&json!(7), &json!(0)));
    }
}
