//! All URLs in one table: where they are, who may ask for them, and how. Pure.

use http::Method;

use super::smooth::names::is_smooth;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Read objects, finished and growing.
    Watch,
    /// List what there is.
    List,
    /// Make buckets and objects.
    Write,
    /// See how the gateway is doing.
    Admin,
}

/// What is done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Do {
    Watch,
    Live,
    /// What there is, for people.
    Front,
    /// The player.
    Play,
    /// What pages are made of.
    Asset,
    /// Which buckets there are.
    Buckets,
    /// What is in them.
    List,
    /// Makes a bucket, or an object.
    Write,
    Metrics,
    Describe,
    Docs,
    Hls,
    Dash,
    Smooth,
    Healthy,
    Ready,
}

/// See the module. What is read and what is written at one place are two rows.
#[derive(Debug)]
pub(crate) struct Route {
    /// What it begins with; of [`Do::Smooth`] alone what it is like, as there the key comes first.
    pub(crate) path: &'static str,
    /// A key follows the path.
    pub(crate) has_key: bool,
    pub(crate) methods: &'static [Method],
    /// None: open to everybody.
    pub(crate) right: Option<Right>,
    pub(crate) does: Do,
}

const READ: &[Method] = &[Method::GET, Method::HEAD];
const WRITE: &[Method] = &[Method::PUT];

/// See the module.
pub(crate) const ROUTES: &[Route] = &[
    // Before all others, whatever the key begins with.
    Route { path: "/*.isml/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Smooth },
    Route { path: "/watch", has_key: false, methods: READ, right: Some(Right::Watch), does: Do::Watch },
    Route { path: "/live/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Live },
    Route { path: "/", has_key: false, methods: READ, right: Some(Right::List), does: Do::Front },
    Route { path: "/play/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Play },
    Route { path: "/page/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Asset },
    Route { path: "/buckets", has_key: false, methods: READ, right: Some(Right::List), does: Do::Buckets },
    Route { path: "/buckets/", has_key: true, methods: READ, right: Some(Right::List), does: Do::List },
    Route { path: "/buckets/", has_key: true, methods: WRITE, right: Some(Right::Write), does: Do::Write },
    Route { path: "/metrics", has_key: false, methods: READ, right: Some(Right::Admin), does: Do::Metrics },
    Route { path: "/openapi.json", has_key: false, methods: READ, right: Some(Right::Watch), does: Do::Describe },
    Route { path: "/docs", has_key: false, methods: READ, right: Some(Right::Watch), does: Do::Docs },
    Route { path: "/hls/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Hls },
    Route { path: "/dash/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Dash },
    Route { path: "/healthz", has_key: false, methods: READ, right: None, does: Do::Healthy },
    Route { path: "/readyz", has_key: false, methods: READ, right: None, does: Do::Ready },
];

/// The route of a path as it was sent, and what follows it; where none is of this method, one of another.
pub(crate) fn find<'a>(path: &'a str, method: &Method) -> Option<(&'static Route, &'a str)> {
    let mut found = ROUTES.iter().filter_map(|route| {
        if route.does == Do::Smooth {
            return path.strip_prefix('/').filter(|rest| is_smooth(rest)).map(|rest| (route, rest));
        }
        let rest = path.strip_prefix(route.path)?;
        (rest.is_empty() != route.has_key).then_some((route, rest))
    });
    let first = found.next()?;
    let is_it = |(route, _): &(&Route, &str)| route.methods.contains(method);
    if is_it(&first) { Some(first) } else { found.find(is_it).or(Some(first)) }
}

/// The methods of a place, as a header names them.
pub(crate) fn allowed(route: &Route) -> String {
    let same = ROUTES.iter().filter(|other| other.path == route.path);
    let names: Vec<_> = same.flat_map(|route| route.methods).map(Method::as_str).chain(["OPTIONS"]).collect();
    names.join(", ")
}

/// Whether a request may change something.
pub(crate) fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl Route {
    /// A path that leads here.
    #[cfg(test)]
    pub(crate) fn example(&self) -> String {
        match self.does {
            Do::Smooth => "/a.mp4.isml/Manifest".to_owned(),
            _ if self.has_key => format!("{}a.mp4", self.path),
            _ => self.path.to_owned(),
        }
    }

    /// Whether a signed link can lead here: it allows one to watch, and to see what of that there is.
    pub(crate) fn is_by_link(&self) -> bool {
        self.right == Some(Right::Watch) || self.does == Do::Front
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_was_sent() {
        for (path, found) in [
            ("/watch", Some((Do::Watch, ""))),
            ("/live/a/b.mp4", Some((Do::Live, "a/b.mp4"))),
            ("/live/%2e%2e/x", Some((Do::Live, "%2e%2e/x"))),
            ("/live//a", Some((Do::Live, "/a"))),
            ("/hls/a/b.mp4/index.m3u8", Some((Do::Hls, "a/b.mp4/index.m3u8"))),
            ("/hls/", None),
            ("/a/b.mp4.isml/Manifest", Some((Do::Smooth, "a/b.mp4.isml/Manifest"))),
            ("/live/b.ism/manifest", Some((Do::Smooth, "live/b.ism/manifest"))),
            (
                "/b.isml/QualityLevels(1)/Fragments(video=0)",
                Some((Do::Smooth, "b.isml/QualityLevels(1)/Fragments(video=0)")),
            ),
            ("/a/b.mp4.isml/b.mp4.m3u8", Some((Do::Smooth, "a/b.mp4.isml/b.mp4.m3u8"))),
            ("/hls/b.isml/c.m3u8", Some((Do::Hls, "b.isml/c.m3u8"))),
            ("/live/b.isml", Some((Do::Live, "b.isml"))),
            ("/b.isml", None),
            ("/b.mp4/Manifest", None),
            ("/*.isml/", None),
            ("/healthz", Some((Do::Healthy, ""))),
            ("/live/", None),
            ("/live", None),
            ("/watch/", None),
            ("/watchx", None),
            ("//watch", None),
            ("/Watch", None),
            ("/%77atch", None),
            ("/", Some((Do::Front, ""))),
            ("/play/a.mp4", Some((Do::Play, "a.mp4"))),
            ("/buckets", Some((Do::Buckets, ""))),
            ("/buckets/b/objects/k", Some((Do::List, "b/objects/k"))),
            ("/buckets/", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(find(path, &Method::GET).map(|(route, rest)| (route.does, rest)), found, "{path}");
        }
        let write = find("/buckets/b", &Method::PUT).expect("a route").0;
        assert_eq!((write.does, allowed(write)), (Do::Write, "GET, HEAD, PUT, OPTIONS".to_owned()));
        let put = find("/buckets/b/objects/a.isml/Manifest", &Method::PUT).expect("a route");
        assert_eq!((put.0.does, put.1), (Do::Write, "b/objects/a.isml/Manifest"));
        assert_eq!(find("/buckets/b", &Method::DELETE).expect("a route").0.does, Do::List);
    }
}
