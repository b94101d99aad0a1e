//! All URLs in one table: where they are, who may ask for them, and how. Pure.

use http::Method;

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
    Healthy,
    Ready,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    /// A key follows the path.
    pub(crate) has_key: bool,
    pub(crate) methods: &'static [Method],
    /// None: open to everybody.
    pub(crate) right: Option<Right>,
    pub(crate) does: Do,
}

const READ: &[Method] = &[Method::GET, Method::HEAD];

/// See the module.
pub(crate) const ROUTES: &[Route] = &[
    Route { path: "/watch", has_key: false, methods: READ, right: Some(Right::Watch), does: Do::Watch },
    Route { path: "/live/", has_key: true, methods: READ, right: Some(Right::Watch), does: Do::Live },
    Route { path: "/healthz", has_key: false, methods: READ, right: None, does: Do::Healthy },
    Route { path: "/readyz", has_key: false, methods: READ, right: None, does: Do::Ready },
];

/// The route of a path as it was sent, and what follows it.
pub(crate) fn find(path: &str) -> Option<(&'static Route, &str)> {
    ROUTES.iter().find_map(|route| {
        let rest = path.strip_prefix(route.path)?;
        (rest.is_empty() != route.has_key).then_some((route, rest))
    })
}

/// The methods of a route, as a header names them.
pub(crate) fn allowed(route: &Route) -> String {
    let names: Vec<_> = route.methods.iter().map(Method::as_str).chain(["OPTIONS"]).collect();
    names.join(", ")
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
            ("/healthz", Some((Do::Healthy, ""))),
            ("/live/", None),
            ("/live", None),
            ("/watch/", None),
            ("/watchx", None),
            ("//watch", None),
            ("/Watch", None),
            ("/%77atch", None),
            ("/", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(find(path).map(|(route, rest)| (route.does, rest)), found, "{path}");
        }
    }
}
