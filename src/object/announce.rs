//! What a reader says of the upload that it reads, each thing once.

use crate::object::ending::Newer;
use crate::object::locate::Located;

/// What is going to be read.
pub(crate) fn reading(object: &str, located: &Located) {
    match (&located.version, located.is_open()) {
        (Some(id), true) => tracing::info!("reading {object} while it is written, upload id {id}"),
        (None, true) => tracing::info!("reading {object} while it is written"),
        (_, false) => tracing::info!("reading {object}, which is complete"),
    }
}

/// It goes over to a newer one, before a byte was read.
pub(crate) fn moving(object: &str, upload: &str, newer: &Newer) {
    match newer {
        Newer::Open(newer) => {
            tracing::info!("nothing has come of upload {upload}; reading {object} from the newer upload {}", newer.id);
        }
        Newer::Finished(_) => {
            tracing::info!("nothing has come of upload {upload}; reading {object} as it was completed since");
        }
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

/// What has been said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    unreadable: bool,
    newer: Option<Newer>,
}

impl Said {
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
