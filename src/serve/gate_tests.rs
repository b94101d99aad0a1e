//! Every route without a token, names of other sites, and their pages.

use http::Request;

use super::*;
use crate::serve::routes::ROUTES;

const TOKEN: &str = "Bearer viewer-token-0123456789";

fn gate(tokens: Option<&str>) -> Gate {
    Gate { tokens: tokens.map(|text| Tokens::parse(text).expect("tokens")), ..Gate::default() }
}

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().method(method).uri(uri);
    let has_host = headers.iter().any(|(name, _)| *name == "host");
    for (name, value) in headers.iter().chain([("host", "127.0.0.1:8080")].iter().filter(|_| !has_host)) {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// The status of a refusal; 200 where there is none.
fn status(gate: &Gate, method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
    let parts = parts(method, uri, headers);
    gate.check(&parts).map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
}

#[test]
fn no_route_is_open_without_a_token_but_those_two() {
    let gate = gate(Some("watch viewer-token-0123456789\nadmin other-token-0123456789"));
    let mut open = Vec::new();
    for route in ROUTES {
        let path = route.example();
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "NONSENSE"] {
            for query in ["", "?v=a.mp4", "?token=viewer-token-0123456789"] {
                let status = status(&gate, method, &format!("{path}{query}"), &[]);
                match route.right {
                    Some(_) => assert_eq!(status, 401, "{method} {path}{query}"),
                    None => open.push(route.path),
                }
            }
        }
        if route.right == Some(Right::Watch) {
            assert_eq!(status(&gate, "GET", &path, &[("authorization", TOKEN)]), 200, "{path}");
            let other = [("authorization", "Bearer other-token-0123456789")];
            assert_eq!(status(&gate, "GET", &path, &other), 403, "{path}");
            assert_eq!(status(&gate, "POST", &path, &[("authorization", TOKEN)]), 405, "{path}");
        }
    }
    open.dedup();
    assert_eq!(open, ["/healthz", "/readyz"]);
    for path in ["/nothing", "//watch", "/WATCH", "/watch/", "/%77atch", "/live", "/healthz/", "//healthz"] {
        assert_eq!(status(&gate, "GET", path, &[]), 401, "{path}");
        assert_eq!(status(&gate, "GET", path, &[("authorization", TOKEN)]), 404, "{path}");
    }
    let parts = parts("GET", "/watch", &[]);
    let refusal = gate.check(&parts).expect_err("no token");
    let ways: Vec<_> = refusal.headers.iter().map(|(_, value)| value.to_str().expect("text")).collect();
    assert!(ways[0].starts_with("Basic ") && ways[1].starts_with("Bearer "), "{ways:?}");
}

#[test]
fn pages_of_other_sites_do_not_reach_it_under_their_own_names() {
    let mut gate = gate(None);
    gate.hosts = vec!["tv.example".to_owned()];
    for (host, answer) in [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("a.localhost", 200),
        ("127.0.0.1", 200),
        ("127.1.2.3:80", 200),
        ("[::1]:8080", 200),
        ("tv.example:99", 200),
        ("TV.example.", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("xlocalhost", 403),
        ("10.0.0.1", 403),
        ("0.0.0.0", 403),
        ("", 403),
    ] {
        assert_eq!(status(&gate, "GET", "/watch?v=a", &[("host", host)]), answer, "{host}");
    }
    assert_eq!(status(&gate, "GET", "http://evil.example/watch?v=a", &[]), 403);
    assert_eq!(status(&gate, "GET", "/watch?v=a", &[("host", "localhost"), ("host", "evil.example")]), 400);
    assert_eq!(status(&gate, "GET", "/healthz", &[("host", "10.0.0.1")]), 200);
    let bare = Request::get("/watch").body(()).expect("a request").into_parts().0;
    assert_eq!(gate.check(&bare).expect_err("no host").status, 400);
    gate.tokens = Some(Tokens::parse("watch viewer-token-0123456789").expect("tokens"));
    let known = [("host", "evil.example"), ("authorization", TOKEN)];
    assert_eq!(status(&gate, "GET", "/watch?v=a", &known), 403, "a name was told");
    gate.hosts.clear();
    assert_eq!(status(&gate, "GET", "/watch?v=a", &known), 200);
}

/// What a page of `origin` is told.
fn shared(gate: &Gate, origin: Option<&str>, preflight: bool) -> HeaderMap {
    let mut asked = HeaderMap::new();
    if let Some(origin) = origin {
        asked.insert(header::ORIGIN, origin.parse().expect("a header"));
    }
    let mut answer = HeaderMap::new();
    gate.share(&asked, &mut answer, preflight);
    answer
}

#[test]
fn pages_of_other_sites_read_what_was_allowed_to_them() {
    let mut gate = gate(Some("watch viewer-token-0123456789"));
    let preflight = [("origin", "https://tv.example"), ("access-control-request-method", "GET")];
    assert!(shared(&gate, Some("https://tv.example"), false).is_empty());
    assert_eq!(status(&gate, "OPTIONS", "/watch?v=a", &preflight), 401);
    gate.origins = vec!["https://tv.example".to_owned()];
    assert_eq!(status(&gate, "OPTIONS", "/watch?v=a", &preflight), 200);
    assert_eq!(status(&gate, "OPTIONS", "/watch?v=a", &preflight[..1]), 401);
    let other = [("origin", "https://evil.example"), preflight[1]];
    assert_eq!(status(&gate, "OPTIONS", "/watch?v=a", &other), 401);
    for (origin, allowed) in [
        (Some("https://tv.example"), Some("https://tv.example")),
        (Some("https://tv.example.evil.example"), None),
        (Some("http://tv.example"), None),
        (Some("null"), None),
        (None, None),
    ] {
        for preflight in [false, true] {
            let answer = shared(&gate, origin, preflight);
            let value = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().expect("text"));
            assert_eq!(value, allowed, "{origin:?}");
            assert_eq!(answer[header::VARY], "Origin", "{origin:?}");
            assert_eq!(answer.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), allowed.is_some());
            assert_eq!(answer.contains_key(header::ACCESS_CONTROL_MAX_AGE), allowed.is_some() && preflight);
        }
    }
    gate.origins = vec!["*".to_owned()];
    let answer = shared(&gate, Some("https://any.example"), false);
    assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(!answer.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    assert!(answer[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text").contains("Content-Range"));
}

#[test]
fn nothing_is_written_without_tokens_or_by_pages_of_other_sites() {
    let put = |gate: &Gate, headers: &[(&str, &str)]| status(gate, "PUT", "/buckets/b/objects/k", headers);
    assert_eq!(put(&gate(None), &[]), 403);
    let gate = gate(Some("write viewer-token-0123456789\nlist other-token-0123456789"));
    let token = ("authorization", TOKEN);
    for (headers, answer) in [
        (&[][..], 401),
        (&[("authorization", "Bearer other-token-0123456789")], 403),
        (&[token], 200),
        (&[token, ("sec-fetch-site", "none")], 200),
        (&[token, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")], 200),
        (&[token, ("origin", "https://tv.example"), ("host", "tv.example")], 200),
        (&[token, ("sec-fetch-site", "cross-site")], 403),
        (&[token, ("sec-fetch-site", "same-site")], 403),
        (&[token, ("origin", "https://evil.example")], 403),
        (&[token, ("origin", "http://127.0.0.1:8081")], 403),
        (&[token, ("origin", "null")], 403),
        (&[token, ("origin", "")], 403),
    ] {
        assert_eq!(put(&gate, headers), answer, "{headers:?}");
        let deletes = status(&gate, "DELETE", "/buckets/b/objects/k", headers);
        assert!(deletes >= 401, "nothing is deleted here: {deletes}");
    }
}

#[test]
fn a_link_leads_to_what_can_be_watched_and_nowhere_else() {
    let file = "watch,list,write,admin viewer-token-0123456789";
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let tokens = Tokens::parse(file).expect("tokens");
    let grant = |until| Grant { bucket: "b".to_owned(), key: "a/".to_owned(), is_prefix: true, until };
    let (good, over) = (tokens.secret().sign(&grant(now + 60)), tokens.secret().sign(&grant(now - 1)));
    let (good, over) = (good.expect("a token"), over.expect("a token"));
    let gate = gate(Some(file));
    let mut led = Vec::new();
    for route in ROUTES {
        let path = route.example();
        for method in ["GET", "PUT", "DELETE"] {
            let by_link = status(&gate, method, &format!("/s/{good}{path}"), &[]);
            match method {
                "GET" if by_link == 200 => led.push(route.path),
                _ => assert!(matches!(by_link, 403 | 405), "{method} {path}: {by_link}"),
            }
            // Whoever has a token as well gets no more by a bad link.
            for token in [over.as_str(), &good[1..], "", "..", TOKEN] {
                let bad = format!("/s/{token}{path}");
                if bad.parse::<http::Uri>().is_ok() {
                    assert_eq!(status(&gate, method, &bad, &[("authorization", TOKEN)]), 403, "{bad}");
                }
            }
        }
    }
    for route in ["/watch", "/live/", "/", "/play/", "/page/", "/*.isml/"] {
        assert!(led.contains(&route), "{route} in {led:?}");
    }
    for route in ["/buckets", "/buckets/", "/metrics"] {
        assert!(!led.contains(&route), "{route} in {led:?}");
    }
    assert_eq!(status(&gate, "GET", &format!("/s/{good}/nothing"), &[]), 404);
    assert_eq!(status(&gate, "GET", &format!("/s/{good}/s/{good}/watch"), &[]), 404);
    assert_eq!(status(&gate, "GET", &format!("/s/{good}"), &[]), 401);
    assert_eq!(status(&Gate::default(), "GET", &format!("/s/{good}/watch"), &[]), 403, "nobody signs here");
}
