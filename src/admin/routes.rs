//! Which paths there are, and what each does. Pure.

use http::Method;

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Do {
    ListStreams,
    AddStream,
    ShowStream,
    ChangeStream,
    RevokeStream,
    AddKey,
    RevokeKey,
    ListSessions,
    EndSession,
    Metrics,
    Healthy,
    Document,
    Docs,
}

/// A method and a path; a part of it in braces is any.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) does: Do,
    /// Whether everybody may ask, who can.
    pub(super) is_open: bool,
}

const fn route(method: Method, path: &'static str, does: Do) -> Route {
    Route { method, path, does, is_open: matches!(does, Do::Healthy | Do::Document | Do::Docs) }
}

/// All of them; openapi.json tells people about them.
pub(super) static ROUTES: [Route; 13] = [
    route(Method::GET, "/v1/streams", Do::ListStreams),
    route(Method::POST, "/v1/streams", Do::AddStream),
    route(Method::GET, "/v1/streams/{id}", Do::ShowStream),
    route(Method::PATCH, "/v1/streams/{id}", Do::ChangeStream),
    route(Method::DELETE, "/v1/streams/{id}", Do::RevokeStream),
    route(Method::POST, "/v1/streams/{id}/keys", Do::AddKey),
    route(Method::DELETE, "/v1/streams/{id}/keys/{key}", Do::RevokeKey),
    route(Method::GET, "/v1/sessions", Do::ListSessions),
    route(Method::POST, "/v1/sessions/{id}/end", Do::EndSession),
    route(Method::GET, "/metrics", Do::Metrics),
    route(Method::GET, "/healthz", Do::Healthy),
    route(Method::GET, "/openapi.json", Do::Document),
    route(Method::GET, "/docs", Do::Docs),
];

/// What they are, for programs that make clients of it.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A route, and what stands in the place of its braces.
    Route(&'static Route, Vec<&'a str>),
    /// It is asked for in other ways.
    OtherMethods(Vec<&'static Method>),
    Nothing,
}

/// The route of a request.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let there: Vec<_> = ROUTES.iter().filter_map(|route| Some((route, parts(route.path, path)?))).collect();
    let methods: Vec<_> = there.iter().map(|(route, _)| &route.method).collect();
    if methods.is_empty() {
        return Found::Nothing;
    }
    match there.into_iter().find(|(route, _)| route.method == *method) {
        Some((route, parts)) => Found::Route(route, parts),
        None => Found::OtherMethods(methods),
    }
}

/// What stands in the place of the braces, if the path fits.
fn parts<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut wanted, mut given, mut parts) = (pattern.split('/'), path.split('/'), Vec::new());
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => parts.push(given),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_path_has_one_route() {
        let does = |method: Method, path| match find(&method, path) {
            Found::Route(route, parts) => Some((route.does, parts.join(" "))),
            _ => None,
        };
        for (method, path, wanted) in [
            (Method::GET, "/v1/streams", Some((Do::ListStreams, ""))),
            (Method::PATCH, "/v1/streams/ab", Some((Do::ChangeStream, "ab"))),
            (Method::DELETE, "/v1/streams/ab/keys/cd", Some((Do::RevokeKey, "ab cd"))),
            (Method::POST, "/v1/sessions/ab/end", Some((Do::EndSession, "ab"))),
            (Method::GET, "/v1/streams/", None),
            (Method::GET, "/v1/streams/a/b", None),
            (Method::PUT, "/v1/streams", None),
            (Method::GET, "/", None),
        ] {
            let wanted = wanted.map(|(does, parts)| (does, parts.to_owned()));
            assert_eq!(does(method, path), wanted, "{path}");
        }
        let Found::OtherMethods(methods) = find(&Method::PUT, "/v1/streams") else { panic!("it is there") };
        assert_eq!(methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(), ["GET", "POST"]);
    }

    #[test]
    fn the_document_tells_of_all_routes_and_of_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let mut told = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                if method == "parameters" {
                    continue;
                }
                assert!(operation["operationId"].is_string() && operation["responses"].is_object(), "{method} {path}");
                told.insert((method.to_uppercase(), path.clone()));
                let open = operation["security"].as_array().is_some_and(Vec::is_empty);
                let route =
                    ROUTES.iter().find(|route| route.path == path && route.method.as_str() == method.to_uppercase());
                assert_eq!(route.map(|route| route.is_open), Some(open), "{method} {path}");
                // Each part in braces is a parameter.
                let braces = path.matches('{').count();
                let named = methods["parameters"].as_array().map_or(0, Vec::len);
                assert_eq!(named, braces, "{path}");
            }
        }
        let there: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
        assert_eq!(told, there);
        for (at, _) in DOCUMENT.match_indices("\"#/components/") {
            let pointer = DOCUMENT[at + 2..].split('"').next().expect("a pointer");
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
