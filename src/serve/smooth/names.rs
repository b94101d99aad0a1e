//! What a path of Smooth Streaming asks for: `KEY.isml/Manifest`, and fragments of one track, of the newest version, of one
//! certain, or of several renditions. Pure.

use crate::serve::name::{Unnamed, decoded, number};
use crate::serve::renditions::{self, Member, PLAYLIST};

/// What the folder of a presentation ends in.
const FOLDERS: [&str; 2] = [".isml", ".ism"];
const MANIFESTS: [&str; 2] = ["Manifest", "manifest"];
const LEVELS: &str = "QualityLevels";
const FRAGMENTS: &str = "Fragments";
/// The same without the samples.
const INFO: &str = "FragmentInfo";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) key: String,
    pub(crate) of: Of,
    pub(crate) what: What,
}

/// Of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    /// Of what is there now.
    Newest,
    Version(String),
    /// Of certain versions of several renditions.
    Several(Vec<Member>),
}

/// Something of a presentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Manifest,
    /// `KEY.m3u8`, of which only the last name counts: for players that know nothing of Smooth Streaming.
    Playlist,
    Fragment(Wanted),
}

/// `QualityLevels(RATE)/Fragments(TRACK=TIME)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) rate: u64,
    pub(crate) track: String,
    pub(crate) time: u64,
    /// All but the samples: `FragmentInfo`.
    pub(crate) bare: bool,
}

/// A path in pieces, as it was sent: key, version, level, and what of that.
type Pieces<'a> = (&'a str, Option<&'a str>, Option<&'a str>, &'a str);

fn pieces(path: &str) -> Option<Pieces<'_>> {
    let key = |folder: &'_ str| FOLDERS.iter().find_map(|ending| Some(folder.strip_suffix(ending)?.len()));
    let key = |folder| key(folder).and_then(|length| path.get(..length));
    let (above, name) = path.rsplit_once('/')?;
    if MANIFESTS.contains(&name) {
        return Some((key(above)?, None, None, name));
    }
    if let Some(name_alone) = name.strip_suffix(PLAYLIST)
        && let Some(key) = key(above)
    {
        let last = key.rsplit_once('/').map_or(key, |(_, last)| last);
        return (last == name_alone).then_some((key, None, None, name));
    }
    let (above, level) = above.rsplit_once('/')?;
    if !level.starts_with(LEVELS) || !(name.starts_with(FRAGMENTS) || name.starts_with(INFO)) {
        return None;
    }
    if let Some(key) = key(above) {
        return Some((key, None, Some(level), name));
    }
    let (folder, version) = above.rsplit_once('/')?;
    Some((key(folder)?, Some(version), Some(level), name))
}

/// Whether a path, without its first slash, is one of Smooth Streaming.
pub(crate) fn is_smooth(path: &str) -> bool {
    pieces(path).is_some()
}

/// What a path asks for; none where it asks for nothing.
///
/// # Errors
/// [`Unnamed`].
pub(crate) fn asked(path: &str) -> Result<Option<Asked>, Unnamed> {
    let Some((key, version, level, name)) = pieces(path) else { return Ok(None) };
    let what = match level {
        None if name.ends_with(PLAYLIST) => Some(What::Playlist),
        None => Some(What::Manifest),
        Some(level) => wanted(&decoded(level)?, &decoded(name)?).map(What::Fragment),
    };
    let key = decoded(key)?;
    let of = match version {
        None => Of::Newest,
        Some(version) => match renditions::named(&key, version)? {
            Some(members) => Of::Several(members),
            None => Of::Version(decoded(version)?),
        },
    };
    Ok(what.map(|what| Asked { key, of, what }))
}

fn wanted(level: &str, name: &str) -> Option<Wanted> {
    let in_brackets = |text: &'_ str| text.strip_prefix('(')?.strip_suffix(')').map(str::to_owned);
    let rate = number(&in_brackets(level.strip_prefix(LEVELS)?)?)?;
    let (bare, place) = match name.strip_prefix(INFO) {
        Some(place) => (true, place),
        None => (false, name.strip_prefix(FRAGMENTS)?),
    };
    let place = in_brackets(place)?;
    let (track, time) = place.split_once('=')?;
    Some(Wanted { rate, track: track.to_owned(), time: number(time)?, bare })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_ends() {
        let of = |key: &str, version: Option<&str>, what| {
            let of = version.map_or(Of::Newest, |version| Of::Version(version.to_owned()));
            Some(Asked { key: key.to_owned(), of, what })
        };
        let both = ["x.mp4", "y.mp4"].map(|name| Member { key: format!("a/{name}"), version: "v/1".to_owned() });
        let several = |what| Some(Asked { key: "a/c".to_owned(), of: Of::Several(both.to_vec()), what });
        let fragment =
            |rate, track: &str, time, bare| What::Fragment(Wanted { rate, track: track.to_owned(), time, bare });
        for (path, want) in [
            ("a%20b/c.mp4.isml/Manifest", of("a b/c.mp4", None, What::Manifest)),
            ("c.mp4.ism/manifest", of("c.mp4", None, What::Manifest)),
            ("hls/c.ism.isml/Manifest", of("hls/c.ism", None, What::Manifest)),
            ("c.isml/QualityLevels(70)/Fragments(video=0)", of("c", None, fragment(70, "video", 0, false))),
            ("c.isml/QualityLevels%2870%29/Fragments%28audio%3D12%29", of("c", None, fragment(70, "audio", 12, false))),
            ("a/c.isml/v%2F1/QualityLevels(7)/FragmentInfo(x=9)", of("a/c", Some("v/1"), fragment(7, "x", 9, true))),
            (
                "a/c.isml/x.mp4@v%2F1,y.mp4@v%2F1/QualityLevels(7)/Fragments(video=9)",
                several(fragment(7, "video", 9, false)),
            ),
            ("a%20b/c.mp4.isml/c.mp4.m3u8", of("a b/c.mp4", None, What::Playlist)),
            ("c.ism/c.m3u8", of("c", None, What::Playlist)),
            ("c.isml/QualityLevels(x)/Fragments(video=0)", None),
            ("c.isml/QualityLevels(-7)/Fragments(video=0)", None),
            ("c.isml/QualityLevels(07)/Fragments(video=0)", None),
            ("c.isml/QualityLevels(7/Fragments(video=0)", None),
            ("c.isml/QualityLevels(7)/Fragments(video=00)", None),
            ("c.isml/QualityLevels(7)/Fragments(video)", None),
            ("c.isml/QualityLevels(7)/Fragments(video=18446744073709551616)", None),
            ("c.isml/QualityLevels(18446744073709551616)/Fragments(video=1)", None),
        ] {
            assert!(is_smooth(path), "{path}");
            assert_eq!(asked(path), Ok(want), "{path}");
        }
        for other in [
            "c.isml",
            "c.mp4/Manifest",
            "Manifest",
            "c.isml/v/Manifest",
            "c.isml/Fragments(video=0)",
            "c.isml/QualityLevels(7)/x",
            "c.isml/other.m3u8",
            "c.isml/a/c.m3u8",
        ] {
            assert!(!is_smooth(other), "{other}");
            assert_eq!(asked(other), Ok(None), "{other}");
        }
        assert!(asked("%ff.isml/Manifest").is_err());
    }
}
