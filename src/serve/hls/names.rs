//! What follows `/hls/` in a path: playlists, and stretches of one version under URLs of their own. Pure.

use crate::protocol::escape;
use crate::serve::name::{Unnamed, decoded, key_and_version, number};

/// Of the playlist that leads to all others.
const INDEX: &str = "index.m3u8";
/// Of one version.
pub(crate) const MEDIA: &str = "media.m3u8";
pub(crate) const KEY_FRAMES: &str = "iframes.m3u8";
/// Where single pictures are.
pub(crate) const PICTURES: &str = "iframe";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `KEY/index.m3u8`, or a multivariant playlist in the bucket, by its key.
    Index { key: Option<String>, playlist: String },
    /// Something of one version, or of one of the objects that go on it.
    Version { key: String, version: String, follower: Option<Follower>, what: What },
}

/// One of the objects that go on another: `NUMBER@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follower {
    /// From 2 on.
    pub(crate) number: u32,
    pub(crate) version: String,
}

impl Follower {
    /// The folder of its stretches, as seen from the playlist. No version is written with such a letter.
    pub(crate) fn folder(&self) -> String {
        format!("{}@{}/", self.number, escape::segment(&self.version))
    }

    /// What the last name of a path means, and what it follows.
    fn split(path: &str) -> Result<Option<(&str, Self)>, Unnamed> {
        let Some((above, name)) = path.rsplit_once('/') else { return Ok(None) };
        let Some((number_of, version)) = name.split_once('@') else { return Ok(None) };
        let number_of = number(number_of).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 1);
        number_of.map(|number| Ok((above, Self { number, version: decoded(version)? }))).transpose()
    }
}

/// Something of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// `media.m3u8`
    Media,
    /// `iframes.m3u8`
    KeyFrames,
    /// `OFFSET-LENGTH.m4s`, and `.mp4` for a header.
    Stretch { first: u64, length: u64 },
    /// `OFFSET-.m4s`: the part that begins there, once it is whole.
    Part { first: u64 },
    /// `iframe/OFFSET-LENGTH.m4s`: the first picture in there.
    Picture { first: u64, length: u64 },
}

/// What a path asks for; none where it asks for nothing.
///
/// # Errors
/// [`Unnamed`].
pub(crate) fn asked(path: &str) -> Result<Option<Asked>, Unnamed> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == INDEX {
        let key = (!above.is_empty()).then(|| decoded(above)).transpose()?;
        return Ok(Some(Asked::Index { key, playlist: decoded(path)? }));
    }
    let of_version = |folder: &str, what: What| {
        let (folder, follower) = match Follower::split(folder)? {
            // Playlists tell of all of them.
            Some(_) if matches!(what, What::Media | What::KeyFrames) => return Ok(None),
            Some((above, follower)) => (above, Some(follower)),
            None => (folder, None),
        };
        Ok(key_and_version(folder)?.map(|(key, version)| Asked::Version { key, version, follower, what }))
    };
    match name {
        MEDIA | KEY_FRAMES => {
            let what = if name == MEDIA { What::Media } else { What::KeyFrames };
            if let Some(found) = of_version(above, what)? {
                return Ok(Some(found));
            }
        }
        _ => {}
    }
    if let Some((first, length)) = place(name) {
        let pictures = above.strip_suffix(PICTURES).and_then(|above| above.strip_suffix('/'));
        return match (pictures, length) {
            (Some(folder), Some(length)) => of_version(folder, What::Picture { first, length }),
            (None, Some(length)) => of_version(above, What::Stretch { first, length }),
            (None, None) => of_version(above, What::Part { first }),
            (Some(_), None) => Ok(None),
        };
    }
    if name.rsplit_once('.').is_some_and(|(_, ending)| ending == "m3u8") {
        return Ok(Some(Asked::Index { key: None, playlist: decoded(path)? }));
    }
    Ok(None)
}

/// `OFFSET-LENGTH.m4s` or `OFFSET-.m4s`, in one way only, so that a cache keeps each once.
fn place(name: &str) -> Option<(u64, Option<u64>)> {
    let (place, ending) = name.split_once('.').filter(|(_, ending)| matches!(*ending, "m4s" | "mp4"))?;
    let (first, length) = place.split_once('-')?;
    let first = number(first)?;
    match length {
        "" if ending == "m4s" => Some((first, None)),
        length => {
            Some((first, Some(number(length).filter(|length| *length > 0 && first.checked_add(*length).is_some())?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_asks_for_one_thing() {
        let index = |key: Option<&str>, playlist: &str| {
            Some(Asked::Index { key: key.map(str::to_owned), playlist: playlist.to_owned() })
        };
        let named = |follower, what| {
            Some(Asked::Version { key: "a/b c.mp4".to_owned(), version: "4_z1".to_owned(), follower, what })
        };
        let of = |what| named(None, what);
        let second = |what| named(Some(Follower { number: 2, version: "4_z@2".to_owned() }), what);
        for (path, want) in [
            ("a/b%20c.mp4/index.m3u8", index(Some("a/b c.mp4"), "a/b c.mp4/index.m3u8")),
            ("index.m3u8", index(None, "index.m3u8")),
            ("a/live.m3u8", index(None, "a/live.m3u8")),
            ("media.m3u8", index(None, "media.m3u8")),
            ("a/b%20c.mp4/4_z1/media.m3u8", of(What::Media)),
            ("a%2Fb%20c.mp4/4_z1/iframes.m3u8", of(What::KeyFrames)),
            ("a/b%20c.mp4/4_z1/0-1272.mp4", of(What::Stretch { first: 0, length: 1272 })),
            ("a/b%20c.mp4/4_z1/1272-99.m4s", of(What::Stretch { first: 1272, length: 99 })),
            ("a/b%20c.mp4/4_z1/1272-.m4s", of(What::Part { first: 1272 })),
            ("a/b%20c.mp4/4_z1/iframe/1272-99.m4s", of(What::Picture { first: 1272, length: 99 })),
            ("a/b%20c.mp4/4_z1/iframe/1272-.m4s", None),
            ("a/b%20c.mp4/4_z1/2@4_z%402/0-1272.mp4", second(What::Stretch { first: 0, length: 1272 })),
            ("a/b%20c.mp4/4_z1/2@4_z@2/1272-.m4s", second(What::Part { first: 1272 })),
            ("a/b%20c.mp4/4_z1/2@4_z%402/iframe/1272-99.m4s", second(What::Picture { first: 1272, length: 99 })),
            ("2@4_z2/1-2.m4s", None),
            ("4_z1/2@4_z2/1-2.m4s", None),
            ("a/b%20c.mp4/4_z1/01-2.m4s", None),
            ("a/b%20c.mp4/4_z1/1-0.m4s", None),
            ("a/b%20c.mp4/4_z1/+1-2.m4s", None),
            ("a/b%20c.mp4/4_z1/18446744073709551615-2.m4s", None),
            ("a/b%20c.mp4/4_z1/1-2.ts", None),
            ("1-2.m4s", None),
            ("4_z1/1-2.m4s", None),
            ("a", None),
        ] {
            assert_eq!(asked(path), Ok(want), "{path}");
        }
        // Playlists are of the first object; 1 is that itself; and a key may have any letters.
        assert_eq!(
            asked("a.mp4/4_z1/2@4_z2/iframes.m3u8").map(|asked| matches!(asked, Some(Asked::Index { .. }))),
            Ok(true)
        );
        for path in ["a.mp4/1@4_z2/1-2.m4s", "a.mp4/02@4_z2/1-2.m4s", "a.mp4/x@4_z2/1-2.m4s"] {
            let Ok(Some(Asked::Version { key, follower, .. })) = asked(path) else { panic!("{path}") };
            assert_eq!((key.as_str(), follower), ("a.mp4", None), "{path}");
        }
        let folder = Follower { number: 12, version: "4_z@2".to_owned() }.folder();
        assert_eq!(folder, "12@4_z%402/");
        assert!(asked("%ff/index.m3u8").is_err());
    }
}
