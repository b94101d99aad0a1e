//! What a recording is called, and whose it is; as text and back, for whoever goes on with it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::keys::book::Permit;
use crate::keys::template::Names;
use crate::keys::terms::Terms;
use crate::mux::split::SOURCE;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// Whose it is.
    pub permit: Permit,
    /// The application of the URL.
    pub app: String,
    /// Its name, which no other recording has.
    pub session: String,
    /// When it began, in seconds since 1970: no other of the stream in this second.
    pub start: i64,
    /// Which recording of the stream it is.
    pub number: u64,
}

impl Title {
    /// What the names of its objects are made of.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names {
            app: &self.app,
            stream: &self.permit.stream,
            rendition: SOURCE,
            session: &self.session,
            start: self.start,
            number: self.number,
        }
    }

    /// The template of its objects, where its stream has one of its own.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.permit.object.as_deref()
    }

    /// As text. There is no key in it.
    pub(super) fn write(&self) -> String {
        let Permit { id, key, stream, object, terms } = &self.permit;
        json!({
            "id": id, "key_id": key, "stream": stream, "object": object, "app": self.app, "session": self.session,
            "start": self.start, "number": self.number, "terms": terms,
        })
        .to_string()
    }

    /// Reads it back; `None` for anything else.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        // Earlier versions did not write them down.
        let terms = value.get("terms").and_then(|terms| Terms::deserialize(terms).ok()).unwrap_or_default();
        let permit =
            Permit { id: text("id")?, key: text("key_id")?, stream: text("stream")?, object: text("object"), terms };
        Some(Self {
            permit,
            app: text("app")?,
            session: text("session")?,
            start: value.get("start")?.as_i64()?,
            number: value.get("number")?.as_u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        for object in [None, Some("own/{session}.mp4".to_owned())] {
            let text = str::to_owned;
            let terms = Terms { ladder: "90p:1M".parse().ok(), max_duration: Some(7), ..Terms::default() };
            let permit = Permit { id: text("i"), key: text("k"), stream: text("cam \"1\""), object, terms };
            let title = Title { permit, app: text("live"), session: text("5e55"), start: -1, number: u64::MAX };
            assert_eq!(Title::read(title.write().as_bytes()), Some(title));
        }
        let earlier = br#"{"id":"i","key_id":"k","stream":"cam","app":"live","session":"5e55","start":1,"number":2}"#;
        assert_eq!(Title::read(earlier).map(|title| title.permit.terms), Some(Terms::default()));
        for bad in [&b""[..], b"{}", b"[1]", br#"{"id": 1}"#] {
            assert_eq!(Title::read(bad), None);
        }
    }
}
