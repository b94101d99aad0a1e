//! The answers: to what is asked about streams and recordings, and what is told about them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::{Answer, Refused, json, nothing, of_keys, refusal, text};
use super::metrics;
use super::register::Recording;
use super::routes::{self, DOCUMENT, Do, Found};
use crate::human::times::{read_of_day, show_of_day};
use crate::keys::KeysError;
use crate::keys::record::Stream;
use crate::keys::secret::StreamKey;
use crate::tool::stats::round;

/// The longest body of a request.
const MOST: usize = 64 << 10;

/// What is sent to make a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStream {
    stream: String,
    object: Option<String>,
    expires: Option<String>,
}

/// What is sent to give it another key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    expires: Option<String>,
    overlap: Option<u64>,
}

impl Admin {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let found = routes::find(&parts.method, parts.uri.path());
        let is_open = matches!(&found, Found::Route(route, _) if route.is_open);
        if let Err((status, why)) = self.gate.check(&parts, is_open) {
            let mut answer = refusal(status, why);
            if status == StatusCode::UNAUTHORIZED {
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            return answer;
        }
        match found {
            Found::Route(route, named) => {
                self.done(route.does, &named, body).await.unwrap_or_else(|(status, why)| refusal(status, &why))
            }
            Found::OtherMethods(methods) => {
                let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "this is asked for in another way");
                let methods: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
                if let Ok(methods) = HeaderValue::from_str(&methods.join(", ")) {
                    answer.headers_mut().insert(header::ALLOW, methods);
                }
                answer
            }
            Found::Nothing => {
                refusal(StatusCode::NOT_FOUND, "there is nothing here; /openapi.json tells what there is")
            }
        }
    }

    async fn done(&self, does: Do, named: &[&str], body: Incoming) -> Result<Answer, Refused> {
        let (first, second) = (named.first().copied().unwrap_or_default(), named.get(1).copied().unwrap_or_default());
        let keys = |error: KeysError| of_keys(&error);
        Ok(match does {
            Do::ListStreams => {
                let streams = self.book.list().await.map_err(keys)?;
                json(StatusCode::OK, &streams.iter().map(stream).collect())
            }
            Do::AddStream => {
                let NewStream { stream, object, expires } = read(body).await?;
                let (stream, key) =
                    self.book.create(&stream, object, moment(expires.as_deref())?).await.map_err(keys)?;
                with_key(&stream, &key)
            }
            Do::ShowStream => {
                let streams = self.book.list().await.map_err(keys)?;
                let found = streams.iter().find(|stream| stream.id == first);
                json(StatusCode::OK, &stream(found.ok_or_else(|| of_keys(&KeysError::NoStream(first.to_owned())))?))
            }
            Do::RevokeStream => {
                self.book.revoke(first).await.map_err(keys)?;
                nothing(StatusCode::NO_CONTENT)
            }
            Do::AddKey => {
                let NewKey { expires, overlap } = read(body).await?;
                let overlap = overlap.map(Duration::from_secs);
                let (stream, key) =
                    self.book.rotate(first, moment(expires.as_deref())?, overlap).await.map_err(keys)?;
                with_key(&stream, &key)
            }
            Do::RevokeKey => {
                self.book.revoke_key(first, second).await.map_err(keys)?;
                nothing(StatusCode::NO_CONTENT)
            }
            Do::ListSessions => {
                json(StatusCode::OK, &self.register.all().iter().map(|(id, of)| session(id, of)).collect())
            }
            Do::EndSession if self.sessions.end(first) => nothing(StatusCode::ACCEPTED),
            Do::EndSession => {
                return Err((StatusCode::NOT_FOUND, "nothing of this name is being published".to_owned()));
            }
            Do::Metrics => {
                text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics::text(&self.register))
            }
            Do::Healthy => text(StatusCode::OK, "text/plain; charset=utf-8", "well\n".to_owned()),
            Do::Document => text(StatusCode::OK, "application/json", DOCUMENT.to_owned()),
        })
    }
}

/// What a request says, in JSON.
async fn read<T: for<'de> Deserialize<'de>>(body: Incoming) -> Result<T, Refused> {
    let read = Limited::new(body, MOST).collect().await;
    let body = read.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "the request is too long, or broke off".to_owned()))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("the request is no JSON as it should be: {error}")))
}

/// A time of day, in seconds since 1970.
fn moment(text: Option<&str>) -> Result<Option<i64>, Refused> {
    let read = |text: &str| {
        let seconds = read_of_day(text).and_then(|nanos| i64::try_from(nanos / 1_000_000_000).ok());
        seconds.ok_or_else(|| (StatusCode::BAD_REQUEST, "expires is no time such as 2026-12-31T00:00:00Z".to_owned()))
    };
    text.map(read).transpose()
}

fn stream(stream: &Stream) -> Value {
    let time = |seconds: Option<i64>| seconds.map(show_of_day);
    let keys: Vec<_> = stream
        .keys
        .iter()
        .map(|key| json!({ "id": key.id, "prefix": key.prefix, "expires": time(key.expires) }))
        .collect();
    json!({
        "id": stream.id, "stream": stream.stream, "keys": keys, "object": stream.object,
        "created": show_of_day(stream.created), "last_used": time(stream.last_used),
    })
}

/// The one answer with a key in it.
fn with_key(of: &Stream, key: &StreamKey) -> Answer {
    let mut body = stream(of);
    if let Value::Object(fields) = &mut body {
        fields.insert("key".to_owned(), json!(key.reveal()));
    }
    json(StatusCode::CREATED, &body)
}

fn session(id: &str, of: &Recording) -> Value {
    let progress = &of.progress;
    json!({
        "id": id, "stream": of.stream, "object": of.object, "started": show_of_day(of.started),
        "bytes_taken": progress.bytes_in.load(Relaxed), "bytes_stored": progress.bytes_out.load(Relaxed),
        "parts_stored": progress.parts.load(Relaxed), "bytes_on_disk": progress.spooled.load(Relaxed),
        "newest_came": round(progress.silence()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The document names exactly the fields that there are.
    #[test]
    fn what_is_answered_has_the_fields_of_the_document() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        let told = |name: &str| {
            let schema = &document["components"]["schemas"][name];
            let mut required: Vec<_> = schema["required"]
                .as_array()
                .expect("names")
                .iter()
                .map(|name| name.as_str().expect("a name").to_owned())
                .collect();
            required.sort();
            assert_eq!(required, fields(&schema["properties"]), "{name}");
            required
        };
        let mut cam = Stream::new("cam", None, 0).expect("a stream");
        cam.add(&StreamKey::new().expect("random bits"), None, None, 0).expect("room");
        let shown = stream(&cam);
        assert_eq!((fields(&shown), fields(&shown["keys"][0])), (told("Stream"), told("Key")));
        let of = Recording { stream: "cam".into(), object: "k".into(), started: 0, progress: Arc::default() };
        assert_eq!(fields(&session("5e55", &of)), told("Session"));
        assert!(!shown.to_string().contains(&cam.keys[0].hash));
    }

    #[test]
    fn only_fields_that_are_known_are_taken() {
        let new = |text| serde_json::from_str::<NewStream>(text);
        assert!(new(r#"{"stream":"cam"}"#).is_ok() && new(r#"{"stream":"cam","expires":null}"#).is_ok());
        assert!(new(r#"{"name":"cam"}"#).is_err() && new(r#"{"stream":"cam","key":"chosen"}"#).is_err());
        assert_eq!(moment(Some("1970-01-01T00:00:05Z")).ok(), Some(Some(5)));
        assert!(moment(Some("soon")).is_err() && moment(None).is_ok());
    }
}
