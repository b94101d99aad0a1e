//! `writer --hls`: a playlist beside the growing object that points into it by byte range, so that browsers can play it
//! while it grows and every player afterwards, without a second copy.
//!
//! ```text
//! bytes on their way to the store -> feed (fragments) --+
//! what the store holds (after --resume) -> walk --------+-> editor: recording -> playlists -> publish
//! bytes that the store holds without a gap -------------+
//! ```
//!
//! The upload never waits for any of this: it hands over what it took and what is stored, and goes on.
//!
//! | module | job |
//! |---|---|
//! | [`playlist`], [`clock`] | playlists as text and back; pure |
//! | [`segments`] | the segments of a recording in little room; pure |
//! | [`segmenter`] | fragments to segments; pure |
//! | [`unfit`] | what cannot be played by a playlist, and why; pure |
//! | [`recording`] | what has been recorded, and how much of it can be listed; pure |
//! | [`pending`] | of one object, the segments that cannot be listed yet; pure |
//! | [`pieces`] | the segments of an object with live objects beside it; pure |
//! | [`live_names`] | how a playlist refers to live objects; pure |
//! | [`target`] | the target duration; pure |
//! | [`stream_info`] | what the multivariant playlist tells of a stream; pure |
//! | [`news`] | what the editor is told |
//! | [`feed`] | the writer's side: a tap |
//! | [`walk`] | finds fragments in what the store holds |
//! | [`editor`] | which playlist shows what, and when |
//! | [`views`] | which segments each shows; pure |
//! | [`shown`] | the playlist, and beside one that slides that of all |
//! | [`readability`] | what can be read of open uploads |
//! | [`restore`] | goes on with the playlist of a killed writer, by live objects |
//! | [`release`] | when no player needs live objects any more |
//! | [`ending`] | the last versions |
//! | [`publish`] | writes a playlist until the store has the newest version |
//! | [`rendition`] | what is known of one rendition, as text and back; pure |
//! | [`master`] | the multivariant playlist |
//! | [`own_rendition`] | this stream in it |
//! | [`claim`] | whether another recording writes the same playlist |
//! | [`rebuild`] | the playlist of a recording that has none |

pub mod claim;
pub mod clock;
pub mod editor;
pub mod ending;
pub mod feed;
pub mod live_names;
pub mod master;
pub mod news;
pub mod own_rendition;
pub mod pending;
pub mod pieces;
pub mod playlist;
pub mod publish;
pub mod readability;
pub mod rebuild;
pub mod recording;
pub mod release;
pub mod rendition;
pub mod restore;
pub mod segmenter;
pub mod segments;
pub mod shown;
pub mod stream_info;
pub mod target;
pub mod unfit;
pub mod views;
pub mod walk;

use std::time::Duration;

use crate::protocol::key::split_extension;

pub use ending::Ending;
pub use feed::Hls;

/// What playlists to write, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The playlist's key.
    pub key: String,
    /// About how long a segment is.
    pub time: Duration,
    /// Show no more than this while the recording goes on.
    pub window: Option<Duration>,
    /// The part size of the upload, in bytes.
    pub part_size: u64,
    /// The longest that input waits for a part to fill, where that is limited.
    pub max_latency: Option<Duration>,
    /// The multivariant playlist that the stream belongs to.
    pub membership: Option<rendition::Membership>,
    /// What to type to have the playlist written later.
    pub remedy: String,
}

/// `KEY` with `.m3u8` in place of its extension.
#[must_use]
pub fn key_for(key: &str) -> String {
    format!("{}.m3u8", split_extension(key).0)
}

/// The key of the playlist of a whole long recording, beside the one that slides: `live.dvr.m3u8` for `live.m3u8`.
#[must_use]
pub fn dvr_key_for(playlist: &str) -> String {
    format!("{}.dvr.m3u8", split_extension(playlist).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playlist_is_beside_the_object() {
        assert_eq!(key_for("a/live.mp4"), "a/live.m3u8");
        assert_eq!(key_for("a.b/live"), "a.b/live.m3u8");
        assert_eq!(key_for(".live"), ".live.m3u8");
        assert_eq!(dvr_key_for("a/live.m3u8"), "a/live.dvr.m3u8");
    }
}
