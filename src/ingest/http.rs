//! One encoder that pushes fragments by HTTP: a POST or PUT that lasts as long as the stream.
//!
//! ```text
//! head -> key -> first bytes -> the recording -> fragments, each handed on when it is whole -> the end -> answer
//! ```
//!
//! Encoders read the answer when they have sent all, or when they cannot send any more. So whoever is refused is told so at
//! once, and the connection closed; and nobody is told that all is well before it is in the uploader's hands.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};

use super::connection::{SILENCE, TO_PUBLISH, Visit};
use super::door::Lease;
use super::words::{BAD_NAME, Left, Refusal, Why};
use crate::media::fmp4::gather::{Gather, Gathered};
use crate::mux::Arrival;
use crate::mux::push::PushError;
use crate::rtmp::session::Publish;

/// The longest head, and the most fields in it.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_FIELDS: usize = 64;
/// How long the last words may take to be read.
const MOMENT: Duration = Duration::from_secs(1);
/// The longest name of an encoder.
const NAME: usize = 64;

/// What is answered.
type Answer = Response<Full<Bytes>>;

/// Does all that is to be done with a connection: one request.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, visit: Visit) {
    let visit = Mutex::new(Some(visit));
    let service = service_fn(|request| {
        let visit = visit.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            Ok::<_, Infallible>(match visit {
                Some(visit) => answer(visit, request).await,
                // There is no second one.
                None => told(StatusCode::SERVICE_UNAVAILABLE, "one request a connection"),
            })
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(TO_PUBLISH).max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS);
    match http.keep_alive(false).serve_connection(TokioIo::new(stream), service).without_shutdown().await {
        Ok(parts) => {
            // A connection that is closed with something unread would take the answer back.
            let (mut stream, mut some) = (parts.io.into_inner(), [0; 4096]);
            let last = async {
                if stream.shutdown().await.is_ok() {
                    while stream.read(&mut some).await.is_ok_and(|count| count > 0) {}
                }
            };
            drop(timeout(MOMENT, last).await);
        }
        Err(error) => tracing::debug!("a connection ended: {error}"),
    }
}

async fn answer(visit: Visit, request: Request<Incoming>) -> Answer {
    let Visit { peer, by, address, entrance, seat } = visit;
    let (head, mut body) = request.into_parts();
    if !matches!(head.method, Method::POST | Method::PUT) {
        let mut refusal = told(StatusCode::METHOD_NOT_ALLOWED, "streams are sent here, by POST or PUT");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, PUT"));
        return refusal;
    }
    let refused = |refusal: &Refusal| {
        entrance.turned_away().say(peer, &refusal.why);
        let mut answer = told(StatusCode::FORBIDDEN, &refusal.words);
        if refusal.code == BAD_NAME && !head.headers.contains_key(AUTHORIZATION) {
            // Some send what they have only when they are asked for it.
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"live-read\""));
        }
        answer
    };
    let publish = publish(&head, address.app());
    let checked = match entrance.check(&address, peer, &seat, &publish).await {
        Ok(checked) => checked,
        Err(refusal) => return refused(&refusal),
    };
    // The body is asked for only now, where the encoder waits for that.
    let first = match timeout_at(by, chunk(&mut body)).await {
        Ok(Ok(Some(first))) => first,
        // Somebody wants to know whether he may.
        Ok(Ok(None)) => return told(StatusCode::OK, "a stream may be sent here"),
        Ok(Err(why)) => {
            tracing::debug!("{peer} went away before it published: {why}");
            return told(StatusCode::BAD_REQUEST, "nothing came");
        }
        Err(_) => {
            entrance.turned_away().say(peer, "it did not publish in 10 s");
            return told(StatusCode::REQUEST_TIMEOUT, "nothing came");
        }
    };
    let lease = match checked.lease(peer, publish.encoder).await {
        Ok(lease) => lease,
        Err(refusal) => return refused(&refusal),
    };
    drop(seat);
    // What has been lent is to be given back, also where the connection is dropped with what waits for the answer.
    let pushed = tokio::spawn(async move {
        let mut lease = lease;
        let (left, answer) = Pushing { body, gather: Gather::default(), begun: false }.receive(first, &mut lease).await;
        lease.give_back(left);
        answer
    });
    pushed.await.unwrap_or_else(|_| told(StatusCode::INTERNAL_SERVER_ERROR, "this writer failed"))
}

/// The next bytes of the body that are any; none at its end.
async fn chunk(body: &mut Incoming) -> Result<Option<Bytes>, Why> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(Why::Socket(error.to_string())),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {}
            },
        }
    }
}

/// What somebody wants to publish, as RTMP has it: the key is the last part of the path, or comes beside it.
fn publish(head: &Parts, app: &str) -> Publish {
    let encoder = head.headers.get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let encoder = encoder.chars().filter(|c| !c.is_control()).take(NAME).collect();
    let path = head.uri.path().trim_matches('/');
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let (app, name) = match key(head) {
        Some(key) if path == app => (app.to_owned(), key),
        Some(key) => (above.to_owned(), format!("{last}?key={key}")),
        None => (above.to_owned(), format!("{last}{query}")),
    };
    Publish { app, name, encoder }
}

/// A key beside the path: a token, or the password of whatever user.
fn key(head: &Parts) -> Option<String> {
    let (scheme, value) = head.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(value.trim().to_owned()),
        "basic" => {
            let pair = aws_smithy_types::base64::decode(value.trim()).ok()?;
            Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
        }
        _ => None,
    }
}

/// A status, and words for people.
fn told(status: StatusCode, words: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{words}\n"))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// A body of which a recording is made.
struct Pushing {
    body: Incoming,
    gather: Gather,
    /// Its header has come.
    begun: bool,
}

impl Pushing {
    /// Takes fragments, until the encoder or the stage ends it; how it was, and what the encoder is told.
    async fn receive(&mut self, first: Bytes, lease: &mut Lease) -> (Left, Answer) {
        let (mut news, mut fragments) = (Some(first), 0u64);
        while let Some(bytes) = news {
            self.gather.feed(&bytes);
            loop {
                let found = match self.gather.whole() {
                    Ok(Some(found)) => found,
                    Ok(None) => break,
                    Err(error) => return unfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error.to_string()),
                };
                let arrival = Arrival { elapsed: lease.recording.began.elapsed(), at: SystemTime::now() };
                if fragments == 0 && matches!(found, Gathered::Fragment(_)) && !self.begun {
                    return unfit(StatusCode::PRECONDITION_FAILED, &PushError::NoHeader.to_string());
                }
                fragments += u64::from(matches!(found, Gathered::Fragment(_)));
                self.begun |= matches!(found, Gathered::Header(_));
                if let Err(error) = lease.recording.take_fragments(&found, arrival) {
                    return unfit(status_of(error), &error.to_string());
                }
                tokio::select! {
                    biased;
                    read = lease.recording.hand_on() => if !read { return over(Left::Unread) },
                    called = &mut lease.called_back => return over(called.unwrap_or(Left::Stopped)),
                }
            }
            news = tokio::select! {
                next = timeout(SILENCE, chunk(&mut self.body)) => match next.unwrap_or(Err(Why::Silence(SILENCE))) {
                    Ok(news) => news,
                    // It said that it was done, and did not wait.
                    Err(_) if self.gather.is_last() && fragments > 0 => None,
                    Err(why) => return (Left::Broken(why), told(StatusCode::BAD_REQUEST, "the stream broke off")),
                },
                called = &mut lease.called_back => return over(called.unwrap_or(Left::Stopped)),
            };
        }
        if !self.gather.is_whole() {
            let words = "the stream ended in the middle of a fragment";
            return (Left::Broken(Why::Closed), told(StatusCode::BAD_REQUEST, words));
        }
        if fragments == 0 {
            return (Left::Broken(Why::Closed), told(StatusCode::OK, "fragments are waited for"));
        }
        // What it has still waited with is to be in good hands, too.
        if lease.recording.end_of(&Left::Ended).await {
            (Left::Ended, told(StatusCode::OK, "all has been taken"))
        } else {
            over(Left::Unread)
        }
    }
}

/// What the encoder sends cannot be taken.
fn unfit(status: StatusCode, words: &str) -> (Left, Answer) {
    (Left::Unfit(words.to_owned()), told(status, words))
}

/// The recording is not this encoder's any more.
fn over(left: Left) -> (Left, Answer) {
    let words = match &left {
        Left::TakenOver => "another encoder has taken over",
        _ => "the recording is over",
    };
    let status = if left == Left::TakenOver { StatusCode::CONFLICT } else { StatusCode::SERVICE_UNAVAILABLE };
    (left, told(status, words))
}

fn status_of(error: PushError) -> StatusCode {
    match error {
        PushError::NoHeader => StatusCode::PRECONDITION_FAILED,
        PushError::NotFragmented | PushError::NoTrack => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        PushError::Broken => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_the_path_or_beside_it() {
        let basic = |pair: &str| format!("Basic {}", aws_smithy_types::base64::encode(pair));
        for (path, field, app, name) in [
            ("/live/key", None, "live", "key"),
            ("/a/live/key?x=y", None, "a/live", "key?x=y"),
            ("/live/cam?key=k", None, "live", "cam?key=k"),
            ("/live", Some("Bearer k".to_owned()), "live", "k"),
            ("/live/", Some(basic("anybody:k:1")), "live", "k:1"),
            ("/live/cam", Some("bearer k".to_owned()), "live", "cam?key=k"),
            ("/live/cam", Some("Digest k".to_owned()), "live", "cam"),
            ("/", None, "", ""),
        ] {
            let mut request = Request::post(path);
            if let Some(field) = field {
                request = request.header(AUTHORIZATION, field);
            }
            let head = request.header(USER_AGENT, "Lavf/1").body(()).expect("a request").into_parts().0;
            let found = publish(&head, "live");
            assert_eq!(
                (found.app.as_str(), found.name.as_str(), found.encoder.as_str()),
                (app, name, "Lavf/1"),
                "{path}"
            );
        }
    }
}
