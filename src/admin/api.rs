//! The answers: to what is asked about streams and recordings, and what is told about them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::Admin;
use super::answer::{Answer, Refused, json, nothing, of_keys, refusal, text};
use super::asked::{NewKey, NewStream, StreamChange, moment, read};
use super::docs;
use super::metrics;
use super::register::Recording;
use super::routes::{self, DOCUMENT, Do, Found};
use crate::human::times::show_of_day;
use crate::ingest::figures::Figures;
use crate::keys::KeysError;
use crate::keys::record::Stream;
use crate::keys::secret::StreamKey;
use crate::tool::stats::round;

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
            Found::Nothing => refusal(StatusCode::NOT_FOUND, "there is nothing here; /docs tells what there is"),
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
                let asked: NewStream = read(body).await?;
                let name = asked.stream.clone();
                let (stream, key) = self.book.create(&name, asked.wish()?).await.map_err(keys)?;
                with_key(&stream, &key)
            }
            Do::ShowStream => {
                let streams = self.book.list().await.map_err(keys)?;
                let found = streams.iter().find(|stream| stream.id == first);
                json(StatusCode::OK, &stream(found.ok_or_else(|| of_keys(&KeysError::NoStream(first.to_owned())))?))
            }
            Do::ChangeStream => {
                let asked: StreamChange = read(body).await?;
                json(StatusCode::OK, &stream(&self.book.change(first, asked.into()).await.map_err(keys)?))
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
            Do::Docs => docs::page(),
            Do::Document => text(StatusCode::OK, "application/json", DOCUMENT.to_owned()),
        })
    }
}

fn stream(stream: &Stream) -> Value {
    let time = |seconds: Option<i64>| seconds.map(show_of_day);
    let terms = &stream.terms;
    let keys: Vec<_> = stream
        .keys
        .iter()
        .map(|key| json!({ "id": key.id, "prefix": key.prefix, "expires": time(key.expires) }))
        .collect();
    json!({
        "id": stream.id, "stream": stream.stream, "keys": keys, "object": stream.object,
        "created": show_of_day(stream.created), "last_used": time(stream.last_used),
        "enabled": terms.enabled, "allow_ip": terms.allow_ip, "protocols": terms.protocols,
        "max_bitrate": terms.max_bitrate, "max_duration": terms.max_duration, "ladder": terms.ladder, "reconnect": terms.reconnect,
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
    let count = |which: fn(&Figures) -> &AtomicU64| of.figures.as_ref().map(|figures| which(figures).load(Relaxed));
    #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
    let drift = of.figures.as_ref().map(|figures| figures.drift.load(Relaxed) as f64 / 1000.0);
    #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
    let interval = count(|figures| &figures.key_interval).map(|millis| millis as f64 / 1000.0);
    json!({
        "id": id, "stream": of.stream, "object": of.object, "started": show_of_day(of.started),
        "bytes_taken": progress.bytes_in.load(Relaxed), "bytes_stored": progress.bytes_out.load(Relaxed),
        "parts_stored": progress.parts.load(Relaxed), "bytes_on_disk": progress.spooled.load(Relaxed),
        "newest_came": round(progress.silence()), "bytes_not_stored": progress.held(),
        "video_frames": count(|figures| &figures.video), "audio_frames": count(|figures| &figures.audio),
        "fragments": count(|figures| &figures.fragments), "frames_unusable": count(|figures| &figures.unusable),
        "messages_broken": count(|figures| &figures.broken), "key_frame_interval": interval, "drift": drift,
        "time_jumps": count(|figures| &figures.jumps), "reconnects": count(|figures| &figures.reconnects),
        "takeovers": count(|figures| &figures.takeovers), "ladder_restarts": count(|figures| &figures.ladder_restarts),
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
        let mut cam = Stream::new("cam", &crate::keys::record::Wish::default(), 0).expect("a stream");
        cam.add(&StreamKey::new().expect("random bits"), None, None, 0).expect("room");
        let shown = stream(&cam);
        assert_eq!((fields(&shown), fields(&shown["keys"][0])), (told("Stream"), told("Key")));
        let of =
            Recording { stream: "cam".into(), object: "k".into(), started: 0, progress: Arc::default(), figures: None };
        assert_eq!(fields(&session("5e55", &of)), told("Session"));
        assert!(!shown.to_string().contains(&cam.keys[0].hash));
    }
}
