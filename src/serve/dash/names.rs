//! What follows `/dash/` in a path: manifests, and segments of one track of one version. Pure.

use crate::serve::name::{Unnamed, decoded, key_and_version, number};
use crate::serve::renditions::{self, Member};

/// The manifest of the newest version.
const MANIFEST: &str = "manifest.mpd";
/// What the name of that of one version ends in, beside the other: a player goes on there.
pub(crate) const UPDATE: &str = ".mpd";
/// The time of day.
pub(crate) const NOW: &str = "now";
/// The header of a track.
pub(crate) const INIT: &str = "init.mp4";
/// What the name of a segment ends in.
pub(crate) const SEGMENT: &str = ".m4s";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `KEY/manifest.mpd`
    Manifest { key: String },
    /// `SET.mpd`: of certain versions of renditions that are beside the multivariant playlist `master`.
    Several { master: String, members: Vec<Member> },
    /// Something of one version.
    Version { key: String, version: String, what: What },
}

/// Something of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// `VERSION.mpd`
    Manifest,
    /// `now`
    Now,
    /// `ERA-TRACK/init.mp4`
    Init { era: usize, track: u32 },
    /// `ERA-TRACK/TIME.m4s`
    Segment { era: usize, track: u32, time: u64 },
}

/// What a path asks for; none where it asks for nothing.
///
/// # Errors
/// [`Unnamed`].
pub(crate) fn asked(path: &str) -> Result<Option<Asked>, Unnamed> {
    let Some((above, name)) = path.rsplit_once('/') else { return Ok(None) };
    let of_version = |folder: &str, what: What| {
        Ok(key_and_version(folder)?.map(|(key, version)| Asked::Version { key, version, what }))
    };
    match name {
        MANIFEST => return Ok(Some(Asked::Manifest { key: decoded(above)? })),
        NOW => return of_version(above, What::Now),
        _ => {}
    }
    if let Some(version) = name.strip_suffix(UPDATE).filter(|version| !version.is_empty()) {
        let key = decoded(above)?;
        if let Some(members) = renditions::named(&key, version)? {
            return Ok(Some(Asked::Several { master: key, members }));
        }
        let version = decoded(version)?;
        return Ok(Some(Asked::Version { key, version, what: What::Manifest }));
    }
    let of_track = || {
        let (folder, of) = above.rsplit_once('/')?;
        let (era, track) = of.split_once('-')?;
        let (era, track) = (usize::try_from(number(era)?).ok()?, u32::try_from(number(track)?).ok()?);
        let time = name.strip_suffix(SEGMENT).and_then(number);
        let what = match time {
            Some(time) => What::Segment { era, track, time },
            None if name == INIT => What::Init { era, track },
            None => return None,
        };
        Some((folder, what))
    };
    match of_track() {
        Some((folder, what)) => of_version(folder, what),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_ends() {
        let version = |key: &str, version: &str, what| {
            Some(Asked::Version { key: key.to_owned(), version: version.to_owned(), what })
        };
        for (path, want) in [
            ("a%20b/c.mp4/manifest.mpd", Some(Asked::Manifest { key: "a b/c.mp4".to_owned() })),
            ("a/c.mp4/v%2F1.mpd", version("a/c.mp4", "v/1", What::Manifest)),
            ("c/.mpd", None),
            (
                "a/c.m3u8/x.mp4@v%2F1.mpd",
                Some(Asked::Several {
                    master: "a/c.m3u8".to_owned(),
                    members: vec![Member { key: "a/x.mp4".to_owned(), version: "v/1".to_owned() }],
                }),
            ),
            ("c/v/now", version("c", "v", What::Now)),
            ("c/v/0-2/init.mp4", version("c", "v", What::Init { era: 0, track: 2 })),
            ("a/c/v/3-1/900.m4s", version("a/c", "v", What::Segment { era: 3, track: 1, time: 900 })),
            ("c/v/3-1/0900.m4s", None),
            ("c/v/3-1/-5.m4s", None),
            ("c/v/x-1/9.m4s", None),
            ("c/v/0-4294967296/9.m4s", None),
            ("c/v/0-1/18446744073709551616.m4s", None),
            ("v/0-1/9.m4s", None),
            ("v/now", None),
            ("manifest.mpd", None),
            ("c/v/0-1/9.mp4", None),
        ] {
            assert_eq!(asked(path), Ok(want), "{path}");
        }
        assert!(asked("%ff/manifest.mpd").is_err());
    }
}
