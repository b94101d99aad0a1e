//! Whether the playlist's key is free, or another recording writes its playlist there.
//!
//! A playlist that has not ended is one of a recording that goes on, or what a crash has left. The time of day of its last
//! segment tells most of them apart; what may go on is looked at until its next version would have come. So a recording is
//! only ever taken for alive when it has been seen to be, and a restart after a crash takes its playlist's place.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::playlist::{Written, reference};
use super::walk::PLAYLIST_MAX;
use crate::protocol::key::split_extension;
use crate::store::Store;
use crate::tool::clock;

/// How long to ask what is there.
const ASK: Duration = Duration::from_secs(10);

/// How often to look whether there is a new version.
const LOOK: Duration = Duration::from_secs(1);

/// More than the next version may be late.
const LATE: Duration = Duration::from_secs(2);

/// Whose the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody's, or the recording's own.
    Free,
    /// It holds the playlist of another object, which nobody writes any more.
    Replaces(String),
    /// Another recording writes its playlist there.
    Taken(String),
}

/// Whose the key is, as far as that is known. Nothing is written while it is being found out.
#[derive(Debug, Default)]
pub(super) enum Ownership {
    /// Nobody's, or not asked yet.
    #[default]
    Free,
    Asked(JoinHandle<Claim>),
    /// The recording's own now: another one wrote there before.
    Replaces,
    /// Another recording's.
    Taken,
}

impl Ownership {
    /// Asks whose the key `playlist` is, for a recording that begins with the object `key`.
    pub(super) fn ask(&mut self, store: Store, playlist: String, key: String) {
        *self = Self::Asked(tokio::spawn(look(store, playlist, key)));
    }

    /// Waits for the answer; for ever if nobody asks. A task that fails is no reason to write nothing. Dropping the future
    /// loses nothing.
    pub(super) async fn answer(&mut self) -> Claim {
        let Self::Asked(asked) = self else { return std::future::pending().await };
        let claim = asked.await.unwrap_or(Claim::Free);
        *self = Self::Free;
        claim
    }

    /// This is the answer.
    pub(super) fn take(&mut self, claim: &Claim) {
        *self = match claim {
            Claim::Free => Self::Free,
            Claim::Replaces(_) => Self::Replaces,
            Claim::Taken(_) => Self::Taken,
        };
    }

    /// Whether an answer is on its way.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self, Self::Asked(_))
    }

    /// Whether nobody wrote there when it was asked last.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    /// Whether another recording writes there.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Taken)
    }

    /// Whether this recording may.
    pub(super) fn may_write(&self) -> bool {
        matches!(self, Self::Free | Self::Replaces)
    }
}

/// What a playlist tells of its writer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sight {
    Own,
    /// Over, or left long ago.
    Left(String),
    /// If its writer is alive, there is a new version after this time.
    Fresh(String, Duration),
}

/// Finds out whose the key `playlist` is, for a recording that begins with the object `key`.
pub(super) async fn look(store: Store, playlist: String, key: String) -> Claim {
    let own = reference(&playlist, &key, None);
    let Some(first) = read(&store, &playlist).await else { return Claim::Free };
    let (by, wait) = match sight(&first, &own) {
        Sight::Own => return Claim::Free,
        Sight::Left(by) => return Claim::Replaces(by),
        Sight::Fresh(by, wait) => (by, wait),
    };
    let end = Instant::now() + wait;
    while Instant::now() < end {
        sleep(LOOK).await;
        let Some(text) = read(&store, &playlist).await.filter(|text| *text != first) else { continue };
        return match sight(&text, &own) {
            Sight::Own => Claim::Free,
            Sight::Left(by) => Claim::Replaces(by),
            Sight::Fresh(by, _) => Claim::Taken(by),
        };
    }
    Claim::Replaces(by)
}

/// What is there; nothing also where that cannot be told: a key that may only write is no reason to write nothing.
async fn read(store: &Store, playlist: &str) -> Option<Bytes> {
    match timeout(ASK, store.get_small(playlist, PLAYLIST_MAX)).await {
        Ok(Ok(found)) => found.map(|found| found.bytes),
        Ok(Err(error)) => {
            tracing::debug!("{error}");
            None
        }
        Err(_) => None,
    }
}

fn sight(text: &[u8], own: &str) -> Sight {
    // What this program has not written is nobody's it knows of.
    std::str::from_utf8(text)
        .ok()
        .and_then(Written::read)
        .map_or(Sight::Own, |written| judge(&written, own, clock::micros()))
}

/// What a playlist tells at the moment `now`, in microseconds since 1970, to a recording whose first object is `own`.
fn judge(written: &Written, own: &str, now: i64) -> Sight {
    let object = written.timeline.objects.last().map_or("", |object| object.uri.as_str());
    let path = object.split_once('?').map_or(object, |(path, _)| path);
    if is_of(path, own) {
        return Sight::Own;
    }
    let by = path.to_owned();
    if written.view.ended {
        return Sight::Left(by);
    }
    let target = Duration::from_secs(written.view.target.min(600));
    let last = written.timeline.segments.last();
    let edge = last.and_then(|last| last.date?.checked_add_unsigned(last.micros));
    // Of a living one it is a part and a version old; clocks may differ.
    let old =
        edge.is_some_and(|edge| u128::from(now.abs_diff(edge)) > (4 * target + Duration::from_secs(10)).as_micros());
    if old { Sight::Left(by) } else { Sight::Fresh(by, target * 3 / 2 + LATE) }
}

/// Whether `path` is `own`, or what `--rollover` has continued it in.
fn is_of(path: &str, own: &str) -> bool {
    let (stem, extension) = split_extension(own);
    let number = path.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension));
    let continued = number.and_then(|number| number.strip_prefix('-'));
    path == own
        || continued.is_some_and(|digits| digits.len() >= 4 && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::playlist::{Object, PlaylistKind, Timeline, View};
    use super::super::segments::Segment;
    use super::*;

    #[tokio::test]
    async fn nothing_is_written_before_it_is_known_whose_the_key_is() {
        // Whether it may be written then, and whether it is asked once more.
        for (claim, may_write, is_free) in [
            (Claim::Free, true, true),
            (Claim::Replaces("old.mp4".to_owned()), true, false),
            (Claim::Taken("other.mp4".to_owned()), false, false),
        ] {
            let mut ownership = Ownership::Asked(tokio::spawn(std::future::ready(claim.clone())));
            assert!(ownership.is_asked() && !ownership.may_write() && !ownership.is_free());
            let answer = ownership.answer().await;
            assert_eq!(answer, claim);
            ownership.take(&answer);
            assert_eq!((ownership.may_write(), ownership.is_free()), (may_write, is_free), "{claim:?}");
            assert_eq!(ownership.is_taken(), !may_write, "{claim:?}");
        }
    }

    #[test]
    fn only_what_another_may_be_writing_now_is_looked_at_again() {
        let (began, second) = (1_795_258_800_000_000, 1_000_000);
        let written = |path: &str, ended: bool| {
            let mut timeline = Timeline::default();
            timeline.objects.push(Object {
                uri: format!("{path}?versionId=1"),
                header: 0,
                header_len: 100,
                live: None,
            });
            timeline.segments.push(Segment { object: 0, first: 100, len: 9, micros: 2_000_000, date: Some(began) });
            Written { timeline, view: View { target: 4, kind: PlaylistKind::Event, from: 0, ended } }
        };
        let (dup, ms) = ("dup.m4a".to_owned(), Duration::from_millis);
        for (path, ended, after, want) in [
            ("dup.m4a", false, 5, Sight::Fresh(dup.clone(), ms(8_000))),
            // Its clock is ahead.
            ("dup.m4a", false, -20, Sight::Fresh(dup.clone(), ms(8_000))),
            ("dup.m4a", true, 5, Sight::Left(dup.clone())),
            ("dup.m4a", false, 60, Sight::Left(dup.clone())),
            ("dup.mp4", false, 5, Sight::Own),
            ("dup-0012.mp4", false, 5, Sight::Own),
            ("dup-2.mp4", false, 60, Sight::Left("dup-2.mp4".to_owned())),
        ] {
            assert_eq!(judge(&written(path, ended), "dup.mp4", began + after * second), want, "{path} {ended} {after}");
        }
    }
}
