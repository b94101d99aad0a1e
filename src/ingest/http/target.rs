//! What the URL of a push means: which stream, which of its sources, and whether the request is the whole of it or a file
//! among others. Pure.
//!
//! ```text
//! /live/KEY                        the stream, from one source
//! /live/KEY/init.mp4, /seg-7.m4s   the same in files: what is left of a name without its number is the source
//! /live/KEY/video/1.m4s            the source is called video
//! /live/KEY.isml/Streams(video)    the same, as Smooth Streaming has it
//! /live/KEY.isml/a.ism?stream_id=video.ismv   and so it has it in older words
//! ```
//!
//! Where no key is asked for, it is the same without it; what a presentation is called there is of no interest.

use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;

use crate::rtmp::session::{Publish, Urls};
use crate::tool::authorization::{Presented, presented};

/// The longest name of an encoder, and of a source.
const NAME: usize = 64;
/// Files that are pushed, by what their names end in.
const MEDIA: [&str; 9] = ["mp4", "m4s", "m4v", "m4a", "m4i", "cmfv", "cmfa", "cmft", "cmfi"];
const LISTS: [&str; 2] = ["mpd", "m3u8"];
/// Words in names of files that tell what they are, and not of which source.
const WORDS: [&str; 13] = [
    "init", "dashinit", "header", "seg", "segment", "chunk", "frag", "fragment", "part", "media", "live", "dash",
    "index",
];

/// How a source sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One request that lasts.
    Long,
    /// A request for each segment.
    Files,
}

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The stream, and who publishes, as RTMP has it.
    pub(super) publish: Publish,
    /// Which of the stream's sources.
    pub(super) source: String,
    pub(super) way: Way,
    /// It is a list of what is pushed, which is nothing that is recorded.
    pub(super) is_list: bool,
    /// All of the stream is to be ended.
    pub(super) closes: bool,
}

impl Target {
    /// Of a request to the application `app`, which may be open to all who can come.
    pub(super) fn of(head: &Parts, app: &str, open: bool) -> Self {
        let encoder = head.headers.get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
        let encoder = encoder.chars().filter(|c| !c.is_control()).take(NAME).collect();
        let pairs = || head.uri.query().unwrap_or_default().split('&');
        let asked = |name: &str| pairs().find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        let beside = key(head);
        let mut path: Vec<&str> = head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let depth = app.split('/').filter(|part| !part.is_empty()).count();
        let (mut source, mut way, mut is_list) = (String::new(), Way::Long, false);
        // A key has to stay, unless it comes beside the path.
        let named = usize::from(!open);
        let mut shortest = depth + usize::from(!open && beside.is_none() && asked("key").is_none());
        let mut stays = depth + named;
        // A presentation of Smooth Streaming: behind it come documents of it, a source, or files.
        let is_below = path.get(..depth).is_some_and(|above| above.join("/") == app);
        let from = if is_below { depth } else { depth.saturating_sub(1) };
        let point = path.iter().skip(from).position(|part| presentation(part).is_some()).map(|at| at + from);
        if let Some(at) = point {
            (shortest, stays) = (at + 1, at + 1);
            while path.get(at + 1).is_some_and(|part| presentation(part).is_some()) {
                path.remove(at + 1);
            }
        }
        let mut is_presentation = point.is_some();
        if path.len() > shortest {
            let last = path.last().copied().unwrap_or_default();
            let file = last.rsplit_once('.').map(|(stem, end)| (stem, end.to_ascii_lowercase()));
            if let Some(name) = smooth(last) {
                name.clone_into(&mut source);
                is_presentation = true;
                path.truncate(path.len() - 1);
            } else if let Some((stem, end)) = file {
                is_list = LISTS.contains(&end.as_str());
                if is_list || MEDIA.contains(&end.as_str()) {
                    path.truncate(path.len() - 1);
                    let folders = path.split_off(path.len().min(stays));
                    let parts = folders.into_iter().map(str::to_owned).chain([source_of(stem)]);
                    source = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
                    way = Way::Files;
                }
            }
        }
        if let Some((_, name)) = asked("stream_id") {
            let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            name.clone_into(&mut source);
        }
        if let Some(name) = point.and_then(|at| path.get_mut(at)) {
            *name = presentation(name).unwrap_or(name);
        }
        // What it is called is of no interest where no key is asked for, nor below the path of a stream.
        if (open && is_presentation && path.len() == depth + 1) || (!open && point == Some(depth + 1)) {
            path.pop();
        }
        let source = source.chars().filter(|c| !c.is_control()).take(NAME).collect();
        let closes = pairs().any(|pair| pair == "close" || pair.starts_with("close="));
        let path = path.join("/");
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let (above, last) = path.rsplit_once('/').unwrap_or(("", &path));
        let (app, name) = match beside {
            _ if open => (path, String::new()),
            Some(key) if path == app => (app.to_owned(), key),
            Some(key) => (above.to_owned(), format!("{last}?key={key}")),
            None if path == app && !query.is_empty() => (app.to_owned(), query_key(&query)),
            None => (above.to_owned(), format!("{last}{query}")),
        };
        Self { publish: Publish { app, name, encoder, urls: Urls::default() }, source, way, is_list, closes }
    }
}

/// The key in a query, as a name.
fn query_key(query: &str) -> String {
    query.trim_start_matches('?').split('&').find_map(|pair| pair.strip_prefix("key=")).unwrap_or_default().to_owned()
}

/// The name of a presentation, `NAME.isml`, or of a document of it, `NAME.ism`.
fn presentation(part: &str) -> Option<&str> {
    let (name, end) = part.rsplit_once('.')?;
    (end.eq_ignore_ascii_case("isml") || end.eq_ignore_ascii_case("ism")).then_some(name)
}

/// The name in `Streams(NAME)`.
fn smooth(part: &str) -> Option<&str> {
    let head = part.get(..8).filter(|head| head.eq_ignore_ascii_case("streams("))?;
    part.get(head.len()..)?.strip_suffix(')')
}

/// The source of a file: its name without what says that it is the header, or which segment.
fn source_of(stem: &str) -> String {
    let mut words: Vec<&str> = stem.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    let plain = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let is_header = words.iter().any(|word| plain(word).ends_with("init") || plain(word) == "header");
    if !is_header && words.last().is_some_and(|last| plain(last).is_empty()) {
        words.pop();
    }
    words.retain(|word| !WORDS.contains(&plain(word).as_str()));
    words.join("-")
}

/// A key beside the path: a token, or the password of whatever user.
fn key(head: &Parts) -> Option<String> {
    match presented(head.headers.get(AUTHORIZATION)?.to_str().ok()?)? {
        Presented::Bearer(token) => Some(token.to_owned()),
        Presented::Basic(pair) => Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn target(path: &str, field: Option<String>) -> Target {
        let mut request = Request::post(path);
        if let Some(field) = field {
            request = request.header(AUTHORIZATION, field);
        }
        let head = request.header(USER_AGENT, "Lavf/1").body(()).expect("a request").into_parts().0;
        Target::of(&head, "live", false)
    }

    #[test]
    fn a_key_is_in_the_path_or_beside_it() {
        let basic = |pair: &str| format!("Basic {}", aws_smithy_types::base64::encode(pair));
        for (path, field, app, name) in [
            ("/live/key", None, "live", "key"),
            ("/live/key.mp4", None, "live", "key.mp4"),
            ("/a/live/key?x=y", None, "a/live", "key?x=y"),
            ("/live/cam?key=k", None, "live", "cam?key=k"),
            ("/live?key=k", None, "live", "k"),
            ("/live", Some("Bearer k".to_owned()), "live", "k"),
            ("/live/", Some(basic("anybody:k:1")), "live", "k:1"),
            ("/live/cam", Some("bearer k".to_owned()), "live", "cam?key=k"),
            ("/live/cam", Some("Digest k".to_owned()), "live", "cam"),
            ("/live/key.isml", None, "live", "key"),
            ("/", None, "", ""),
        ] {
            let Target { publish, source, way, is_list, closes } = target(path, field);
            assert_eq!((publish.app.as_str(), publish.name.as_str()), (app, name), "{path}");
            assert_eq!((publish.encoder.as_str(), source.as_str(), way), ("Lavf/1", "", Way::Long), "{path}");
            assert!(!is_list && !closes);
        }
    }

    #[test]
    fn without_a_key_the_path_is_all() {
        for (app, path, wanted, source, way) in [
            ("", "/", "", "", Way::Long),
            ("", "/init.mp4", "", "", Way::Files),
            ("", "/video/7.m4s", "", "video", Way::Files),
            ("", "/Streams(video)", "", "video", Way::Long),
            ("", "/live.isml/Streams(video)", "", "video", Way::Long),
            ("", "/?stream_id=sound", "", "sound", Way::Long),
            ("", "/other", "other", "", Way::Long),
            ("live", "/live", "live", "", Way::Long),
            ("live", "/live/seg-7.m4s", "live", "", Way::Files),
            ("live", "/live.isml/Streams(video)", "live", "video", Way::Long),
            ("live", "/live/cam.isml/Streams(video)", "live", "video", Way::Long),
            ("", "/oceans.isml/oceans.ism?stream_id=oceans-400k-64k.ismv", "", "oceans-400k-64k", Way::Long),
            ("live", "/live/oceans.isml/oceans.ism?stream_id=oceans-200k.ismv", "live", "oceans-200k", Way::Long),
            ("live", "/live.isml/oceans.ism?stream_id=a.ismv", "live", "a", Way::Long),
            ("a.isml", "/a.isml/oceans.ism?stream_id=a.ismv", "a.isml", "a", Way::Long),
            ("a.isml", "/a.isml?stream_id=a.ismv", "a.isml", "a", Way::Long),
            ("", "/oceans.isml/oceans.ism", "", "", Way::Long),
            ("", "/oceans.isml/oceans.ism/Streams(video)", "", "video", Way::Long),
            ("", "/oceans.isml/video/7.m4s", "", "video", Way::Files),
            ("", "/oceans.isml/more", "oceans/more", "", Way::Long),
            ("live", "/live/other", "live/other", "", Way::Long),
            ("live", "/", "", "", Way::Long),
            ("live", "/other/init.mp4", "other", "", Way::Files),
        ] {
            let head = Request::post(path).body(()).expect("a request").into_parts().0;
            let found = Target::of(&head, app, true);
            assert_eq!((found.publish.app.as_str(), found.publish.name.as_str()), (wanted, ""), "{app}: {path}");
            assert_eq!((found.source.as_str(), found.way), (source, way), "{app}: {path}");
        }
    }

    #[test]
    fn a_source_has_a_name_and_files_are_of_one() {
        let bearer = || Some("Bearer k".to_owned());
        for (path, field, name, source, way) in [
            ("/live/key/init.mp4", None, "key", "", Way::Files),
            ("/live/key/seg-17.m4s", None, "key", "", Way::Files),
            ("/live/key/live0.m4s", None, "key", "", Way::Files),
            ("/live/key/init-stream0.m4s", None, "key", "stream0", Way::Files),
            ("/live/key/chunk-stream0-00001.m4s", None, "key", "stream0", Way::Files),
            ("/live/key/video_dashinit.mp4", None, "key", "video", Way::Files),
            ("/live/key/video_dash12.m4s", None, "key", "video", Way::Files),
            ("/live/key/a/b/3.CMFA", None, "key", "a/b", Way::Files),
            ("/live/key/a/b/init.cmfa", None, "key", "a/b", Way::Files),
            ("/live/cam/init.mp4?key=k", None, "cam?key=k", "", Way::Files),
            ("/live/init.mp4", bearer(), "k", "", Way::Files),
            ("/live/cam/audio-1.m4s", bearer(), "cam?key=k", "audio", Way::Files),
            ("/live/key.isml/Streams(video)", None, "key", "video", Way::Long),
            ("/live/key/streams(a-1)", None, "key", "a-1", Way::Long),
            ("/live/key.ism?stream_id=sound.ismv", None, "key?stream_id=sound.ismv", "sound", Way::Long),
            ("/live/Streams(x)", bearer(), "k", "x", Way::Long),
            ("/live/key.isml/a.ism?stream_id=a-1.ismv", None, "key?stream_id=a-1.ismv", "a-1", Way::Long),
            ("/live/key/a.ism?stream_id=a-1.ismv", None, "key?stream_id=a-1.ismv", "a-1", Way::Long),
            ("/live/key.ISML/A.ISM/Streams(x)", None, "key", "x", Way::Long),
            ("/live/key.isml/init.mp4", None, "key", "", Way::Files),
            ("/live/cam.isml/a.ism?stream_id=a-1.ismv", bearer(), "cam?key=k", "a-1", Way::Long),
            ("/live/cam/a.isml/a.ism?stream_id=a-1.ismv", bearer(), "cam?key=k", "a-1", Way::Long),
        ] {
            let found = target(path, field);
            assert_eq!((found.publish.app.as_str(), found.publish.name.as_str()), ("live", name), "{path}");
            assert_eq!((found.source.as_str(), found.way, found.is_list), (source, way, false), "{path}");
        }
        assert!(target("/live/key/manifest.MPD", None).is_list && target("/live/key/a.m3u8", None).is_list);
        assert!(
            target("/live/key.isml/a.ism?close", None).closes
                && target("/live/key?close", None).closes
                && !target("/live/key?closed=1", None).closes
        );
    }
}
