//! A file that an earlier run kept, when its bytes have been the beginning of this one's input: removed once it is needed
//! no more, and spoken of where a stream goes on without it.

use std::path::{Path, PathBuf};

use crate::human::shell::shell_word;
use crate::protocol::part::PartSize;
use crate::writer::kept::{self, Kept, KeptFile};
use crate::writer::upload::{Ended, WriteError};

/// A kept file that was the beginning of the input.
#[derive(Debug)]
pub struct KeptBefore {
    path: PathBuf,
    whole: bool,
    /// The part size of the upload that it belongs to.
    pub part_size: PartSize,
}

/// What becomes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Its bytes are nowhere else yet.
    Stays,
    /// They are in an object, but not with those that went before them.
    StaysAside,
    /// All of it is elsewhere.
    Goes,
}

impl KeptBefore {
    /// What is to be remembered of `file`.
    #[must_use]
    pub fn of(file: &KeptFile) -> Self {
        Self { path: file.path.clone(), whole: file.is_whole(), part_size: file.label.part_size }
    }

    /// Removes it once all of it is in the object, or in the file that was kept this time. `resumed`: the object has the
    /// bytes too that had been stored before.
    pub fn clear_away(self, result: &Result<Ended, WriteError>, resumed: bool) {
        let path = self.path.display();
        let result = result.as_ref().copied().map_err(|error| error.kept.as_ref());
        match then(result, resumed || self.whole) {
            Then::Stays => tracing::info!("{path} is as it was"),
            Then::StaysAside => tracing::warn!(
                "{path} holds only the bytes of an object that had not been stored, and the object made of them has no others: \
                 it is left where it is; remove it when it is needed no more"
            ),
            Then::Goes => match std::fs::remove_file(&self.path) {
                Ok(()) => tracing::info!("{path} is needed no more and has been removed"),
                Err(error) => tracing::warn!("{path} is needed no more, but cannot be removed: {error}"),
            },
        }
    }
}

/// What becomes of a file after a run that ended so, or kept so much; `all_there`: what was made has all bytes of the
/// recording.
fn then(result: Result<Ended, Option<&Kept>>, all_there: bool) -> Then {
    let elsewhere = match result {
        Ok(ended) => matches!(ended, Ended::Completed { .. }),
        Err(kept) => matches!(kept, Some(Kept::In(_))),
    };
    match (elsewhere, all_there) {
        (false, _) => Then::Stays,
        (true, false) => Then::StaysAside,
        (true, true) => Then::Goes,
    }
}

/// Says when a stream goes on with an upload without what was taken before it.
pub fn warn_of_kept(dir: &Path, key: &str, upload_id: &str) {
    let Some(path) = kept::existing(dir, key, upload_id) else { return };
    tracing::warn!(
        "{} holds what an earlier run took and could not store; this one goes on without it, behind what the store holds. With \
         --kept {} it would come first",
        path.display(),
        shell_word(&path.to_string_lossy())
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::kept::Written;

    #[test]
    fn it_goes_only_when_all_of_it_is_elsewhere() {
        let again = Kept::In(Written { path: "/s/b.kept".into(), bytes: 7, lost: 0 });
        let lost = Kept::Lost { bytes: 7, dir: "/s".into(), cause: "full".to_owned() };
        let complete = Ended::Completed { bytes: 7, parts: 1 };
        for (result, all_there, wanted) in [
            (Ok(complete), true, Then::Goes),
            (Ok(complete), false, Then::StaysAside),
            (Ok(Ended::Empty), true, Then::Stays),
            (Err(None), true, Then::Stays),
            (Err(Some(&lost)), true, Then::Stays),
            (Err(Some(&again)), true, Then::Goes),
            (Err(Some(&again)), false, Then::StaysAside),
        ] {
            assert_eq!(then(result, all_there), wanted, "{result:?}, {all_there}");
        }
    }
}
