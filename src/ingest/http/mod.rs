//! Encoders that push fragments by HTTP: in a POST or PUT that lasts as long as the stream, or in one for each segment.
//!
//! ```text
//! head -> target -> key -> first bytes -> the stream's point -> fragments, each handed on when it is whole -> the end -> answer
//! ```
//!
//! Encoders read the answer when they have sent all, or when they cannot send any more. So whoever is refused is told so at
//! once, and the connection closed; and nobody is told that all is well before it is in the uploader's hands.
//!
//! | module | job |
//! |---|---|
//! | `target` | what the URL means |
//! | `points`, `point` | who has the recording of a stream while somebody pushes |
//! | `body`, `room` | what comes in one request, and room for it |
//! | `answer` | what is answered |

mod answer;
mod body;
mod point;
pub(super) mod points;
mod room;
mod target;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::Instrument;

use self::answer::{Answer, told};
use self::body::{Pushing, chunk};
use self::points::{NoEntry, Points};
use self::target::{Target, Way};
use super::connection::{TO_PUBLISH, Visit};
use super::words::{BAD_NAME, Refusal, Why};

/// The longest head, and the most fields in it.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_FIELDS: usize = 64;
/// How long somebody with a key may be silent between two requests.
const BETWEEN: Duration = Duration::from_secs(60);
/// How long the last words may take to be read.
const MOMENT: Duration = Duration::from_secs(1);
/// The longest list of what is pushed.
const LIST: usize = 1 << 20;

/// What the requests of a connection share.
#[derive(Debug)]
struct Guest {
    visit: Visit,
    points: Arc<Points>,
    /// He has shown a key.
    known: AtomicBool,
}

/// Does all that is to be done with a connection.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, visit: Visit, points: Arc<Points>) {
    let by = visit.by;
    let guest = Arc::new(Guest { visit, points, known: AtomicBool::new(false) });
    let service = service_fn(|request| {
        let guest = guest.clone();
        async move {
            // Some close the connection as soon as they have sent all, and do not wait for the answer: what came is taken.
            let answered = tokio::spawn(async move { guest.answer(request).await }.in_current_span()).await;
            let failed = |_| told(StatusCode::INTERNAL_SERVER_ERROR, "this writer failed");
            Ok::<_, Infallible>(answered.unwrap_or_else(failed))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(BETWEEN).max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS);
    http.half_close(true);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service).without_shutdown());
    let served = tokio::select! {
        served = &mut serving => Some(served),
        () = sleep_until(by + MOMENT) => if guest.known.load(Relaxed) { Some(serving.await) } else { None },
    };
    match served {
        Some(Ok(parts)) => {
            // A connection that is closed with something unread would take the answer back.
            let (mut stream, mut some) = (parts.io.into_inner(), [0; 4096]);
            let last = async {
                if stream.shutdown().await.is_ok() {
                    while stream.read(&mut some).await.is_ok_and(|count| count > 0) {}
                }
            };
            drop(timeout(MOMENT, last).await);
        }
        Some(Err(error)) => tracing::debug!("a connection ended: {error}"),
        None => guest.visit.entrance.turned_away().say(guest.visit.peer, "it did not publish in 10 s"),
    }
}

impl Guest {
    /// Answers a request. Whoever is refused is not to send any more.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let mut answer = match self.attend(request).await {
            Ok(answer) | Err(answer) => answer,
        };
        if !answer.status().is_success() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn attend(&self, request: Request<Incoming>) -> Result<Answer, Answer> {
        let Visit { peer, by, address, entrance, seat } = &self.visit;
        let (head, mut body) = request.into_parts();
        let Target { publish, source, way, is_list, closes } = Target::of(&head, address.app(), address.is_open());
        if !address.has(&publish.app, &publish.name) {
            // Who looks around has guessed at no key.
            entrance.turned_away().say(*peer, "it has a path at which nothing is published");
            let path = format!("/{}{}", address.app(), if address.is_open() { "" } else { "/KEY" });
            return Err(told(
                StatusCode::NOT_FOUND,
                &format!("nothing is published at this path: streams are sent to {path}"),
            ));
        }
        if !matches!(head.method, Method::POST | Method::PUT | Method::DELETE) {
            let mut refusal = told(StatusCode::METHOD_NOT_ALLOWED, "streams are sent here, by POST or PUT");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, PUT, DELETE"));
            return Err(refusal);
        }
        let refused = |refusal: &Refusal| {
            entrance.turned_away().say(*peer, &refusal.why);
            let mut answer = told(StatusCode::FORBIDDEN, &refusal.words);
            if let Some(later) = refusal.later {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                answer.headers_mut().insert(RETRY_AFTER, later.as_secs().max(1).into());
            } else if refusal.code == BAD_NAME && !head.headers.contains_key(AUTHORIZATION) {
                // Some send what they have only when they are asked for it.
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"live-read\""));
            }
            answer
        };
        let checked = entrance.check(address, *peer, seat, &publish).await.map_err(|refusal| refused(&refusal))?;
        if head.method == Method::DELETE || closes {
            if way == Way::Long && !is_list {
                self.points.close(&checked, true).await;
                return Ok(told(StatusCode::OK, "the stream is ended"));
            }
            // What has become old in a playlist stays in the recording.
            return Ok(told(StatusCode::OK, "nothing is deleted: it is a recording"));
        }
        // The body is asked for only now, where the encoder waits for that.
        let by = if self.known.load(Relaxed) { Instant::now() + TO_PUBLISH } else { *by };
        let first = match timeout_at(by, chunk(&mut body)).await {
            Ok(Ok(Some(first))) => first,
            // Somebody wants to know whether he may.
            Ok(Ok(None)) => {
                self.known.store(true, Relaxed);
                return Ok(told(StatusCode::OK, "a stream may be sent here"));
            }
            Ok(Err(why)) => {
                tracing::debug!("{peer} went away before it published: {why}");
                return Err(told(StatusCode::BAD_REQUEST, "nothing came"));
            }
            Err(_) => {
                entrance.turned_away().say(*peer, "it did not publish in 10 s");
                return Err(told(StatusCode::REQUEST_TIMEOUT, "nothing came"));
            }
        };
        self.known.store(true, Relaxed);
        let good = if head.method == Method::PUT && way == Way::Files { StatusCode::CREATED } else { StatusCode::OK };
        if is_list {
            if tells_the_end(first, &mut body).await.map_err(|_| told(StatusCode::BAD_REQUEST, "the list broke off"))? {
                self.points.close(&checked, false).await;
            }
            return Ok(told(good, "lists are made here anew: this one is not kept"));
        }
        let entry = match self.points.enter(checked, (*peer, publish.encoder), &source, way).await {
            Ok(entry) => entry,
            Err(NoEntry::Refused(refusal)) => {
                refusal.note(seat);
                return Err(refused(&refusal));
            }
            Err(NoEntry::Taken) => {
                let words = "another encoder is publishing, and --takeover refuse keeps it";
                return Err(told(StatusCode::CONFLICT, words));
            }
            Err(NoEntry::Full) => {
                let mut answer =
                    told(StatusCode::SERVICE_UNAVAILABLE, "there are too many requests for one stream at once");
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return Err(answer);
            }
        };
        seat.give_up();
        let pushing = Pushing { body, way, named: !source.is_empty(), good };
        Ok(pushing.receive(first, entry).await)
    }
}

/// Whether a list of what is pushed says that no more comes.
async fn tells_the_end(first: Bytes, body: &mut Incoming) -> Result<bool, Why> {
    let mut list = first.to_vec();
    while let Some(more) = timeout(TO_PUBLISH, chunk(body)).await.unwrap_or(Err(Why::Silence(TO_PUBLISH)))? {
        if list.len() + more.len() > LIST {
            return Ok(false);
        }
        list.extend_from_slice(&more);
    }
    let list = String::from_utf8_lossy(&list);
    Ok(list.contains("#EXT-X-ENDLIST") || (list.contains("<MPD") && list.contains("type=\"static\"")))
}
