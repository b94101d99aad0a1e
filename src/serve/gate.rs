//! Who is let in, before anything is looked at: the name that the gateway is called by, the token, and other sites' pages.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request};

use super::auth::{Denied, Tokens};
use super::link::{self, Grant};
use super::refusal::Refusal;
use super::routes::{self, Right, Route};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// None: everybody on this machine may watch.
    pub(crate) tokens: Option<Tokens>,
    /// Names that the gateway is called by, beside those of this machine itself; lower case.
    pub(crate) hosts: Vec<String>,
    /// Sites whose pages may read the answers; `*` is any.
    pub(crate) origins: Vec<String>,
}

/// What may be answered.
#[derive(Debug)]
pub(crate) enum Pass {
    /// This route, what follows it in the path, and what of it a link allows.
    Route(&'static Route, String, Option<Grant>),
    /// A page of another site may ask.
    Preflight,
}

/// What a page of another site may see of an answer.
const EXPOSED: &str =
    "Content-Range, Content-Length, Accept-Ranges, ETag, Last-Modified, Date, Retry-After, Content-Type";
const ALLOWED_HEADERS: &str =
    "Range, If-Range, If-Match, If-None-Match, Authorization, Prefer, Cache-Control, Content-Type";

impl Gate {
    /// Whether a request may go on.
    pub(crate) fn check(&self, request: &request::Parts) -> Result<Pass, Refusal> {
        let path = request.uri.path();
        let link = link::split(path);
        let path = link.map_or(path, |(_, path)| path);
        let found = routes::find(path, &request.method);
        let is_open = found.is_some_and(|(route, _)| route.right.is_none());
        self.check_host(request, is_open)?;
        if request.method == Method::OPTIONS
            && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.origin(&request.headers).is_some()
        {
            return Ok(Pass::Preflight);
        }
        let wanted = found.map(|(route, _)| route);
        let grant = link.map(|(token, _)| self.check_link(token, wanted)).transpose()?;
        if grant.is_none() {
            self.check_token(request, wanted)?;
        }
        let (route, rest) = found.ok_or_else(Refusal::not_there)?;
        if routes::is_write(&request.method) && !is_of_this_site(request) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "a page of another site changes nothing here"));
        }
        if !route.methods.contains(&request.method) {
            let mut refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this is asked for in another way");
            if let Ok(allowed) = HeaderValue::from_str(&routes::allowed(route)) {
                refusal.headers.push((header::ALLOW, allowed));
            }
            return Err(refusal);
        }
        Ok(Pass::Route(route, rest.to_owned(), grant))
    }

    /// What a link allows; why it allows nothing, nobody is told.
    fn check_link(&self, token: &str, route: Option<&Route>) -> Result<Grant, Refusal> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let grant = self.tokens.as_ref().and_then(|tokens| tokens.secret().read(token, now));
        let grant = grant.filter(|_| route.is_none_or(Route::is_by_link));
        grant.ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "this link does not lead here, or not any more"))
    }

    /// Whose request it is, where that matters.
    pub(crate) fn who(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        self.tokens.as_ref().and_then(|_| Tokens::who(headers))
    }

    /// A page of another site that has its own name resolved to this machine is told from one of ours by that name.
    fn check_host(&self, request: &request::Parts, is_open: bool) -> Result<(), Refusal> {
        let wrong = |text| Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        let mut named = request.headers.get_all(header::HOST).iter();
        let first = named.next();
        if named.next().is_some() {
            return wrong("the request names two hosts");
        }
        let named = match (request.uri.authority(), first) {
            (Some(authority), _) => Some(authority.as_str()),
            (None, Some(host)) => match host.to_str() {
                Ok(host) => Some(host),
                Err(_) => return wrong("the name of the host is none"),
            },
            (None, None) if request.version == Version::HTTP_11 => return wrong("the request names no host"),
            (None, None) => None,
        };
        let is_checked = !is_open && (self.tokens.is_none() || !self.hosts.is_empty());
        match named.map(host_of) {
            Some(host) if is_checked && !is_here(&host) && !self.hosts.contains(&host) => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the gateway is not called by this name: --host NAME of reader --serve tells it",
            )),
            _ => Ok(()),
        }
    }

    fn check_token(&self, request: &request::Parts, route: Option<&Route>) -> Result<(), Refusal> {
        let Some(tokens) = &self.tokens else {
            let is_writing = route.is_some_and(|route| route.right == Some(Right::Write));
            let refusal = || Refusal::new(StatusCode::FORBIDDEN, "nothing is written here without --auth FILE");
            return if is_writing { Err(refusal()) } else { Ok(()) };
        };
        let denied = match route.map(|route| route.right) {
            Some(None) => return Ok(()),
            Some(Some(right)) => tokens.check(&request.headers, right),
            // What there is, is not told to who is not known.
            None if tokens.knows(&request.headers) => Ok(()),
            None => Err(Denied::Unknown),
        };
        denied.map_err(|denied| match denied {
            Denied::Unknown => Refusal::new(StatusCode::UNAUTHORIZED, "this needs a token")
                .with(header::WWW_AUTHENTICATE, "Basic realm=\"live-read\", charset=\"UTF-8\"")
                .with(header::WWW_AUTHENTICATE, "Bearer realm=\"live-read\""),
            Denied::NotAllowed => Refusal::new(StatusCode::FORBIDDEN, "this token has no right to this"),
        })
    }

    /// What to answer as the origin that may read it.
    fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(text)).then(|| origin.clone())
    }

    /// What goes with an answer so that a page of another site may, or may not, read it.
    pub(crate) fn share(&self, asked: &HeaderMap, answer: &mut HeaderMap, preflight: bool) {
        if self.origins.is_empty() {
            return;
        }
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin(asked) else { return };
        let mut add = |name: HeaderName, value: &'static str| {
            answer.insert(name, HeaderValue::from_static(value));
        };
        if preflight {
            add(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS");
            add(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            add(header::ACCESS_CONTROL_MAX_AGE, "86400");
        } else {
            add(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        if origin != "*" && self.tokens.is_some() {
            add(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

/// Whether a request that changes something comes from no page, or from one of ours. Browsers say which, and no page can have
/// them say something else.
fn is_of_this_site(request: &request::Parts) -> bool {
    let one = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap_or("none of ours"));
    let is_near = one("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = request.uri.authority().map(http::uri::Authority::as_str).or_else(|| one("host"));
    let is_same = |origin: &str| {
        let named = origin.split_once("://").map(|(_, named)| named);
        named.zip(host).is_some_and(|(named, host)| named.eq_ignore_ascii_case(host))
    };
    is_near && one("origin").is_none_or(is_same)
}

/// The name in `NAME:PORT`, in lower case.
fn host_of(authority: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the name can be of this machine alone.
fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
