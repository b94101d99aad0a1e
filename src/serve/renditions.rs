//! Renditions of one program as writers tell of them, and as a URL names some of them: each by its key and version, so that any gateway can
//! answer for them. Pure.

use super::name::{Unnamed, decoded};
use crate::hls::rendition::Rendition;
use crate::protocol::escape;

/// What the key of a multivariant playlist ends in.
pub(crate) const PLAYLIST: &str = ".m3u8";

/// Of more than so many at once no program is made.
pub(crate) const MOST: usize = 16;

/// A rendition as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) version: String,
}

/// What a writer has told of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) rendition: Rendition,
    pub(crate) member: Member,
}

/// The folder of a key, with the slash at its end.
fn folder(key: &str) -> &str {
    key.rsplit_once('/').and_then(|(above, _)| key.get(..=above.len())).unwrap_or_default()
}

/// Renditions as one segment of a path, as seen from the folder of the multivariant playlist.
pub(crate) fn name(master: &str, members: &[Member]) -> String {
    let one = |member: &Member| {
        let beside = member.key.strip_prefix(folder(master)).filter(|rest| !rest.starts_with('/'));
        let key = beside.map_or_else(|| format!("/{}", member.key), str::to_owned);
        format!("{}@{}", escape::segment(&key), escape::segment(&member.version))
    };
    members.iter().map(one).collect::<Vec<_>>().join(",")
}

/// What [`name`] has named; none where a segment of a path, as it was sent, is no such name. No version is written with such letters.
///
/// # Errors
/// [`Unnamed`].
pub(crate) fn named(master: &str, name: &str) -> Result<Option<Vec<Member>>, Unnamed> {
    if !name.contains('@') {
        return Ok(None);
    }
    let one = |text: &str| {
        let Some((key, version)) = text.split_once('@') else {
            return Err(Unnamed::Wrong("a rendition is KEY@VERSION"));
        };
        let (key, version) = (decoded(key)?, decoded(version)?);
        let key = key.strip_prefix('/').map_or_else(|| format!("{}{key}", folder(master)), str::to_owned);
        Ok(Member { key, version })
    };
    let members: Vec<_> = name.split(',').map(one).collect::<Result<_, _>>()?;
    if members.len() > MOST {
        return Err(Unnamed::Wrong("these are more renditions than a program has"));
    }
    Ok(Some(members))
}

/// Those of one program out of all that writers have told of: one that had ended before another began has nothing to do with that.
/// The largest pictures come first, which are the source's, then whichever began first.
pub(crate) fn of_now(told: &[Told]) -> Vec<Told> {
    let mut sorted: Vec<&Told> = told.iter().collect();
    sorted.sort_by_key(|told| told.rendition.began);
    let (mut found, mut until): (Vec<Told>, u64) = (Vec::new(), 0);
    for one in sorted {
        if one.rendition.began > until {
            found.clear();
        }
        until = until.max(one.rendition.ended.unwrap_or(u64::MAX));
        found.push(one.clone());
    }
    found.sort_by(|a, b| {
        let size =
            |told: &Told| told.rendition.resolution().map_or(0, |(width, height)| u64::from(width) * u64::from(height));
        let order = |told: &Told| (std::cmp::Reverse(size(told)), told.rendition.began);
        order(a).cmp(&order(b)).then_with(|| a.rendition.name.cmp(&b.rendition.name))
    });
    found.truncate(MOST);
    found
}

/// The key that a decoded relative reference in the object `from` leads to.
pub(crate) fn resolved(from: &str, to: &str) -> String {
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for name in to.split('/') {
        match name {
            "." => {}
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &str, version: &str) -> Member {
        Member { key: key.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn a_reference_leads_to_a_key() {
        for (from, to, want) in [
            ("live.m3u8", "720p.m3u8", "720p.m3u8"),
            ("a/live.m3u8", "720p.mp4", "a/720p.mp4"),
            ("a/b/live.m3u8", "../c/x.mp4", "a/c/x.mp4"),
            ("live.m3u8", "../../x.mp4", "x.mp4"),
        ] {
            assert_eq!(resolved(from, to), want);
        }
    }

    #[test]
    fn what_is_named_in_a_path_is_found_again() {
        for (master, members, want) in [
            (
                "live.m3u8",
                vec![member("720p.mp4", "4_z1"), member("a,b@c.mp4", "x@y")],
                "720p.mp4@4_z1,a%2Cb%40c.mp4@x%40y",
            ),
            ("a/live.m3u8", vec![member("a/720p.mp4", "v"), member("b/x.mp4", "w/1")], "720p.mp4@v,%2Fb%2Fx.mp4@w%2F1"),
            ("a/live.m3u8", vec![member("a//x", "v")], "%2Fa%2F%2Fx@v"),
            ("live.m3u8", vec![member("/x", "v")], "%2F%2Fx@v"),
        ] {
            assert_eq!(name(master, &members), want);
            assert_eq!(named(master, want), Ok(Some(members)));
        }
        assert_eq!(named("live.m3u8", "4_z27"), Ok(None));
        assert!(named("live.m3u8", "a@b,c").is_err() && named("live.m3u8", &["a@b"; MOST + 1].join(",")).is_err());
    }

    #[test]
    fn what_had_ended_before_another_began_is_none_of_one_program_with_it() {
        let told = |name: &str, began: u64, ended: Option<u64>, side: Option<u32>| Told {
            rendition: Rendition {
                name: name.to_owned(),
                uri: String::new(),
                bandwidth: 1,
                average: 1,
                codecs: String::new(),
                width: side,
                height: side,
                frame_rate: None,
                sound: true,
                channels: 2,
                began,
                ended,
            },
            member: member(name, "v"),
        };
        let all = [
            told("old", 1, Some(9), Some(9)),
            told("sound", 10, None, None),
            told("b", 12, Some(20), Some(9)),
            told("a", 12, None, Some(9)),
            told("late", 20, None, Some(9)),
        ];
        let names = |all: &[Told]| of_now(all).into_iter().map(|told| told.rendition.name).collect::<Vec<_>>();
        assert_eq!(names(&all), ["a", "b", "late", "sound"]);
        assert_eq!(names(&all[..1]), ["old"]);
    }
}
