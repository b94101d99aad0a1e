//! A stream with its keys, as it is kept. Pure: the time is told.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::KeysError;
use super::network::Network;
use super::rungs::Rungs;
use super::secret::{KeyHash, StreamKey};
use super::terms::{Protocol, Terms};

/// The longest name of a stream.
const LONGEST: usize = 64;
/// Keys of one stream.
const MOST_KEYS: usize = 16;
/// Uses are noted at most so often, in seconds: each is a write.
const NOTED: i64 = 60;

/// Somebody who may publish, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Of its name: the same name is the same id.
    pub id: String,
    /// Its name, which is in the names of its objects.
    pub stream: String,
    /// Any of these is good.
    pub keys: Vec<Credential>,
    /// The template of its objects, in place of the usual one.
    pub object: Option<String>,
    /// Seconds since 1970.
    pub created: i64,
    /// When it last began to publish.
    pub last_used: Option<i64>,
    /// What may be done with its keys.
    #[serde(flatten)]
    pub terms: Terms,
}

/// What a stream is to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The template of its objects, in place of the usual one.
    pub object: Option<String>,
    /// What may be done with its keys.
    pub terms: Terms,
    /// Until when its first key is good, in seconds since 1970; none: for ever.
    pub expires: Option<i64>,
}

/// What is to be another of a stream; the rest stays. `Some(None)` takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::option_option, reason = "to leave it and to take it away are two")]
pub struct Change {
    /// See [`Stream::object`].
    pub object: Option<Option<String>>,
    /// See [`Terms`].
    pub enabled: Option<bool>,
    /// See [`Terms`].
    pub allow_ip: Option<Vec<Network>>,
    /// See [`Terms`].
    pub protocols: Option<Vec<Protocol>>,
    /// See [`Terms`].
    pub max_bitrate: Option<Option<u64>>,
    /// See [`Terms`].
    pub max_duration: Option<Option<u64>>,
    /// See [`Terms`].
    pub ladder: Option<Option<Rungs>>,
    /// See [`Terms`].
    pub reconnect: Option<Option<u64>>,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Of this stream.
    pub id: String,
    /// The first characters of the key.
    pub prefix: String,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// Seconds since 1970; none: never.
    pub expires: Option<i64>,
}

impl Stream {
    /// A stream without a key.
    ///
    /// # Errors
    /// In words, where the name cannot be part of a key, or what it is to be like makes no sense.
    pub fn new(name: &str, wish: &Wish, now: i64) -> Result<Self, KeysError> {
        check_name(name).map_err(KeysError::Unfit)?;
        let (id, stream) = (id_of(name), name.to_owned());
        let (object, terms) = (wish.object.clone(), wish.terms.clone());
        Self { id, stream, keys: Vec::new(), object, created: now, last_used: None, terms }.fit()
    }

    /// Changes it.
    ///
    /// # Errors
    /// In words, where it would make no sense any more.
    pub fn change(&mut self, change: &Change) -> Result<(), KeysError> {
        let Change { object, enabled, allow_ip, protocols, max_bitrate, max_duration, ladder, reconnect } =
            change.clone();
        let Terms { enabled: was_enabled, .. } = self.terms;
        let terms = Terms {
            enabled: enabled.unwrap_or(was_enabled),
            allow_ip: allow_ip.unwrap_or_else(|| self.terms.allow_ip.clone()),
            protocols: protocols.unwrap_or_else(|| self.terms.protocols.clone()),
            max_bitrate: max_bitrate.unwrap_or(self.terms.max_bitrate),
            max_duration: max_duration.unwrap_or(self.terms.max_duration),
            ladder: ladder.unwrap_or_else(|| self.terms.ladder.clone()),
            reconnect: reconnect.unwrap_or(self.terms.reconnect),
        };
        let object = object.unwrap_or_else(|| self.object.clone());
        *self = Self { object, terms, ..self.clone() }.fit()?;
        Ok(())
    }

    fn fit(self) -> Result<Self, KeysError> {
        self.terms.check().map_err(KeysError::Unfit)?;
        Ok(self)
    }

    /// Gives it a key more. With `until`, those that it has are good until then at the latest.
    ///
    /// # Errors
    /// Where it has too many.
    pub fn add(
        &mut self,
        key: &StreamKey,
        expires: Option<i64>,
        until: Option<i64>,
        now: i64,
    ) -> Result<(), KeysError> {
        self.keys.retain(|key| key.is_good(now));
        if self.keys.len() >= MOST_KEYS {
            let name = &self.stream;
            return Err(KeysError::Unfit(format!(
                "the stream {name} has {MOST_KEYS} keys already: revoke some of them"
            )));
        }
        if let Some(until) = until {
            for key in &mut self.keys {
                key.expires = Some(key.expires.map_or(until, |expires| expires.min(until)));
            }
        }
        let hash = key.hash().to_hex();
        let id = hash.chars().take(8).collect();
        self.keys.push(Credential { id, prefix: key.prefix(), hash, expires });
        Ok(())
    }

    /// Takes a key away; false if there is none of this id.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|has| has.id != key);
        self.keys.len() < before
    }

    /// The key of this hash, where it is good now. All are compared, whichever it is.
    #[must_use]
    pub fn key(&self, hash: KeyHash, now: i64) -> Option<&Credential> {
        let mut found = None;
        for key in &self.keys {
            if KeyHash::from_hex(&key.hash).is_some_and(|has| has == hash) && key.is_good(now) {
                found = Some(key);
            }
        }
        found
    }

    /// Notes that it is used; false where that need not be written down.
    pub fn is_used(&mut self, now: i64) -> bool {
        let news = self.last_used.is_none_or(|last| !(last..last + NOTED).contains(&now));
        if news {
            self.last_used = Some(now);
        }
        news
    }
}

impl Credential {
    /// Whether somebody may begin with it now.
    #[must_use]
    pub fn is_good(&self, now: i64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// The id of a stream of this name.
#[must_use]
pub fn id_of(name: &str) -> String {
    hex::encode(Sha256::digest(name.as_bytes())).chars().take(12).collect()
}

/// What a stream may be called: it becomes part of keys of objects.
///
/// # Errors
/// In words.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
        && !name.starts_with('.')
        && !name.contains("..")
        // It would be taken for a key.
        && !name.starts_with("lr_");
    if fits {
        return Ok(());
    }
    Err(format!(
        "the name of a stream has 1 to {LONGEST} letters (without accents), digits, and - _ . in it, begins with no dot and not \
         with lr_"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::secret::hash_of;

    fn key() -> StreamKey {
        StreamKey::new().expect("random bits")
    }

    #[test]
    fn names_are_fit_for_objects() {
        for name in ["a", "cam-1", "Cam_1.left", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".a", "a..b", "a/b", "ä", "a b", "a\n", "{x}", "lr_abc", "a%2fb", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(id_of("cam"), id_of("cam"));
        assert_ne!(id_of("cam"), id_of("cam2"));
    }

    #[test]
    fn keys_are_good_until_they_expire_or_are_exchanged() {
        let (first, second) = (key(), key());
        let mut stream = Stream::new("cam", &Wish::default(), 100).expect("a stream");
        stream.add(&first, None, None, 100).expect("room");
        assert!(stream.key(first.hash(), i64::MAX).is_some() && stream.key(second.hash(), 100).is_none());
        stream.add(&second, Some(1000), Some(200), 100).expect("room");
        for (key, now, good) in
            [(&first, 199, true), (&first, 200, false), (&second, 999, true), (&second, 1000, false)]
        {
            assert_eq!(stream.key(key.hash(), now).is_some(), good, "{now}");
        }
        // What is over is forgotten with the next one.
        stream.add(&key(), None, None, 500).expect("room");
        assert_eq!(stream.keys.len(), 2);
        let id = stream.keys[0].id.clone();
        assert!(stream.remove(&id) && !stream.remove(&id) && stream.key(second.hash(), 1).is_none());
    }

    #[test]
    fn what_earlier_versions_kept_is_read_and_everything_is_allowed_by_it() {
        let kept = r#"{"id":"i","stream":"cam","keys":[],"object":null,"created":1,"last_used":null}"#;
        let stream: Stream = serde_json::from_str(kept).expect("a stream");
        assert_eq!((&stream.terms, stream.created), (&Terms::default(), 1));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let terms = Terms { max_bitrate: Some(1_000_000), max_duration: Some(60), ..Terms::default() };
        let mut stream = Stream::new("cam", &Wish { terms, ..Wish::default() }, 0).expect("a stream");
        let change = Change { enabled: Some(false), max_duration: Some(None), ..Change::default() };
        stream.change(&change).expect("it makes sense");
        let wanted = Terms { enabled: false, max_bitrate: Some(1_000_000), ..Terms::default() };
        assert_eq!((&stream.terms, &stream.object), (&wanted, &None));
        stream.change(&Change { object: Some(Some("{session}.mp4".into())), ..Change::default() }).expect("a template");
        let before = stream.clone();
        for bad in [
            Change { max_bitrate: Some(Some(1)), enabled: Some(true), ..Change::default() },
            Change { max_duration: Some(Some(0)), object: Some(None), ..Change::default() },
        ] {
            assert!(matches!(stream.change(&bad), Err(KeysError::Unfit(_))), "{bad:?}");
        }
        assert_eq!(stream, before);
        stream.change(&Change { object: Some(None), ..Change::default() }).expect("none is fine");
        assert_eq!(stream.object, None);
    }

    #[test]
    fn there_are_not_too_many_keys_and_uses_are_noted_now_and_then() {
        let mut stream = Stream::new("cam", &Wish::default(), 0).expect("a stream");
        for _ in 0..MOST_KEYS {
            stream.add(&key(), Some(10), None, 0).expect("room");
        }
        assert!(stream.add(&key(), None, None, 9).is_err());
        assert!(stream.add(&key(), None, None, 10).is_ok());
        let noted: Vec<_> = [0, 1, 59, 60, 61, 30].map(|now| stream.is_used(now)).into();
        assert_eq!(noted, [true, false, false, true, false, true]);
    }

    proptest! {
        #[test]
        fn only_the_very_key_is_good(offered in "(lr_)?[1-9A-Za-z]{0,24}") {
            let key = key();
            let mut stream = Stream::new("cam", &Wish::default(), 0).expect("a stream");
            stream.add(&key, None, None, 0).expect("room");
            prop_assert_eq!(stream.key(hash_of(&offered), 0).is_some(), offered == key.reveal());
            let kept = serde_json::to_string(&stream).expect("JSON");
            prop_assert!(!kept.contains(key.reveal()));
            prop_assert_eq!(serde_json::from_str::<Stream>(&kept).expect("the same"), stream);
        }
    }
}
