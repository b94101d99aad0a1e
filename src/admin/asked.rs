//! What requests say, in JSON.

use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Deserializer};

use super::answer::Refused;
use crate::human::times::read_of_day;
use crate::keys::network::Network;
use crate::keys::record::{Change, Wish};
use crate::keys::rungs::Rungs;
use crate::keys::terms::{Protocol, Terms};

/// The longest body of a request.
const MOST: usize = 64 << 10;

/// What is sent to make a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStream {
    pub(super) stream: String,
    object: Option<String>,
    expires: Option<String>,
    enabled: Option<bool>,
    allow_ip: Option<Vec<Network>>,
    protocols: Option<Vec<Protocol>>,
    max_bitrate: Option<u64>,
    max_duration: Option<u64>,
    ladder: Option<Rungs>,
    reconnect: Option<u64>,
}

/// What is sent to change one: what is not there stays, and null takes away.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::option_option, reason = "null and nothing are two")]
pub(super) struct StreamChange {
    #[serde(deserialize_with = "named")]
    object: Option<Option<String>>,
    #[serde(deserialize_with = "named")]
    enabled: Option<Option<bool>>,
    #[serde(deserialize_with = "named")]
    allow_ip: Option<Option<Vec<Network>>>,
    #[serde(deserialize_with = "named")]
    protocols: Option<Option<Vec<Protocol>>>,
    #[serde(deserialize_with = "named")]
    max_bitrate: Option<Option<u64>>,
    #[serde(deserialize_with = "named")]
    max_duration: Option<Option<u64>>,
    #[serde(deserialize_with = "named")]
    ladder: Option<Option<Rungs>>,
    #[serde(deserialize_with = "named")]
    reconnect: Option<Option<u64>>,
}

/// What is sent to give it another key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    pub(super) expires: Option<String>,
    pub(super) overlap: Option<u64>,
}

impl NewStream {
    /// What it is to be like.
    pub(super) fn wish(self) -> Result<Wish, Refused> {
        let usual = Terms::default();
        let terms = Terms {
            enabled: self.enabled.unwrap_or(usual.enabled),
            allow_ip: self.allow_ip.unwrap_or(usual.allow_ip),
            protocols: self.protocols.unwrap_or(usual.protocols),
            max_bitrate: self.max_bitrate,
            max_duration: self.max_duration,
            ladder: self.ladder,
            reconnect: self.reconnect,
        };
        Ok(Wish { object: self.object, terms, expires: moment(self.expires.as_deref())? })
    }
}

impl From<StreamChange> for Change {
    fn from(asked: StreamChange) -> Self {
        let usual = Terms::default();
        Self {
            object: asked.object,
            enabled: asked.enabled.map(|enabled| enabled.unwrap_or(usual.enabled)),
            allow_ip: asked.allow_ip.map(Option::unwrap_or_default),
            protocols: asked.protocols.map(Option::unwrap_or_default),
            max_bitrate: asked.max_bitrate,
            max_duration: asked.max_duration,
            ladder: asked.ladder,
            reconnect: asked.reconnect,
        }
    }
}

/// A field that is there, if only as null.
#[allow(clippy::option_option, reason = "null and nothing are two")]
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// What a request says.
pub(super) async fn read<T: for<'de> Deserialize<'de>>(body: Incoming) -> Result<T, Refused> {
    let read = Limited::new(body, MOST).collect().await;
    let body = read.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "the request is too long, or broke off".to_owned()))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("the request is no JSON as it should be: {error}")))
}

/// A time of day, in seconds since 1970.
pub(super) fn moment(text: Option<&str>) -> Result<Option<i64>, Refused> {
    let read = |text: &str| {
        let seconds = read_of_day(text).and_then(|nanos| i64::try_from(nanos / 1_000_000_000).ok());
        seconds.ok_or_else(|| (StatusCode::BAD_REQUEST, "expires is no time such as 2026-12-31T00:00:00Z".to_owned()))
    };
    text.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_that_are_known_are_taken() {
        let new = |text| serde_json::from_str::<NewStream>(text);
        assert!(new(r#"{"stream":"cam"}"#).is_ok() && new(r#"{"stream":"cam","expires":null}"#).is_ok());
        assert!(new(r#"{"name":"cam"}"#).is_err() && new(r#"{"stream":"cam","key":"chosen"}"#).is_err());
        assert!(new(r#"{"stream":"cam","allow_ip":["here"]}"#).is_err());
        assert_eq!(moment(Some("1970-01-01T00:00:05Z")).ok(), Some(Some(5)));
        assert!(moment(Some("soon")).is_err() && moment(None).is_ok());
        let wish = new(r#"{"stream":"cam","allow_ip":["::1"],"max_duration":60}"#).expect("a stream").wish();
        let terms =
            Terms { allow_ip: vec!["::1".parse().expect("an address")], max_duration: Some(60), ..Terms::default() };
        assert_eq!(wish.expect("a wish"), Wish { terms, ..Wish::default() });
    }

    #[test]
    fn what_is_null_is_taken_away_and_what_is_not_there_stays() {
        let change = |text| serde_json::from_str::<StreamChange>(text).map(Change::from);
        assert_eq!(change("{}").expect("nothing"), Change::default());
        let all = r#"{"object":null,"enabled":null,"allow_ip":null,"protocols":["http"],"max_bitrate":null,"max_duration":5,
            "ladder":"none","reconnect":null}"#;
        let wanted = Change {
            object: Some(None),
            enabled: Some(true),
            allow_ip: Some(Vec::new()),
            protocols: Some(vec![Protocol::Http]),
            max_bitrate: Some(None),
            max_duration: Some(Some(5)),
            ladder: Some(Some(Rungs::default())),
            reconnect: Some(None),
        };
        assert_eq!(change(all).expect("a change"), wanted);
        for bad in [r#"{"stream":"other"}"#, r#"{"enabled":"yes"}"#, r#"{"max_bitrate":-1}"#] {
            assert!(change(bad).is_err(), "{bad}");
        }
    }
}
