//! A stream with its keys, as it is kept. Pure: the time is told.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::KeysError;
use super::secret::{KeyHash, StreamKey};

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
    /// In words, where the name cannot be part of a key.
    pub fn new(name: &str, object: Option<String>, now: i64) -> Result<Self, KeysError> {
        check_name(name).map_err(KeysError::Unfit)?;
        let stream = name.to_owned();
        Ok(Self { id: id_of(name), stream, keys: Vec::new(), object, created: now, last_used: None })
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
        let mut stream = Stream::new("cam", None, 100).expect("a stream");
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
    fn there_are_not_too_many_keys_and_uses_are_noted_now_and_then() {
        let mut stream = Stream::new("cam", None, 0).expect("a stream");
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
            let mut stream = Stream::new("cam", None, 0).expect("a stream");
            stream.add(&key, None, None, 0).expect("room");
            prop_assert_eq!(stream.key(hash_of(&offered), 0).is_some(), offered == key.reveal());
            let kept = serde_json::to_string(&stream).expect("JSON");
            prop_assert!(!kept.contains(key.reveal()));
            prop_assert_eq!(serde_json::from_str::<Stream>(&kept).expect("the same"), stream);
        }
    }
}
