//! What a media playlist says of the other renditions of its program (`EXT-X-RENDITION-REPORT`): where each of them is, so that a player
//! who changes over asks for what is new there.
//!
//! Only of those that are followed by this gateway anyway is anything said: it is true at that moment, and costs no request.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::names::MEDIA;
use super::reload::There;
use crate::hls::playlist::reference;
use crate::protocol::escape;
use crate::serve::identity::hash;
use crate::serve::renditions::Member;
use crate::serve::viewing::Viewing;

/// Of so many versions it is kept which others are beside them.
const MOST: usize = 4_096;

/// The renditions of each program that a multivariant playlist has been made of of late, by each of them.
#[derive(Debug, Default)]
pub(crate) struct Siblings(Mutex<HashMap<[u8; 16], Arc<Vec<Member>>>>);

impl Siblings {
    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 16], Arc<Vec<Member>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are of one program.
    pub(super) fn put(&self, bucket: &str, members: Vec<Member>) {
        if members.len() < 2 {
            return;
        }
        let members = Arc::new(members);
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        for member in members.iter() {
            all.insert(hash(bucket, &member.key, &member.version), Arc::clone(&members));
        }
    }

    /// Those beside a version, that itself included.
    pub(super) fn of(&self, viewing: &Viewing) -> Option<Arc<Vec<Member>>> {
        self.all().get(&viewing.identity.hash).cloned()
    }
}

/// One of them; `own`: the key beside whose playlists this is.
pub(super) fn put(text: &mut String, own: &str, member: &Member, there: &There, suffix: &str) {
    let Some((newest, open)) = there.parts else { return };
    // The newest part: of the segment that is not whole, or the last of the one before.
    let (segment, count) =
        if open > 0 { (Some(there.segments), open) } else { (there.segments.checked_sub(1), newest) };
    let (Some(segment), Some(part)) = (segment, count.checked_sub(1)) else { return };
    let folder = reference(&format!("{own}/version/{MEDIA}"), &member.key, None);
    let version = escape::segment(&member.version);
    // A string takes whatever is written into it: the result is of no interest.
    let _ = writeln!(
        text,
        "#EXT-X-RENDITION-REPORT:URI=\"{folder}/{version}/{MEDIA}{suffix}\",LAST-MSN={segment},LAST-PART={part}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_part_is_named() {
        let told = |segments, parts| {
            let member = Member { key: "shows/low.mp4".to_owned(), version: "v/1".to_owned() };
            let mut text = String::new();
            put(&mut text, "shows/high.mp4", &member, &There { segments, parts, over: false }, "?bucket=b");
            text
        };
        let line =
            |rest: &str| format!("#EXT-X-RENDITION-REPORT:URI=\"../../low.mp4/v%2F1/media.m3u8?bucket=b\",{rest}\n");
        assert_eq!(told(9, Some((4, 2))), line("LAST-MSN=9,LAST-PART=1"));
        assert_eq!(told(9, Some((4, 0))), line("LAST-MSN=8,LAST-PART=3"));
        assert_eq!(told(0, Some((0, 1))), line("LAST-MSN=0,LAST-PART=0"));
        for (segments, parts) in [(0, Some((0, 0))), (9, Some((0, 0))), (9, None)] {
            assert_eq!(told(segments, parts), "");
        }
    }
}
