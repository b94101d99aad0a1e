//! A stream key: `lr_` and 128 random bits in 22 characters that cannot be taken for one another.

use rustls::crypto::ring;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::KeysError;

/// What each key begins with.
const BEGINNING: &str = "lr_";
/// Base 58: no 0, O, I and l.
const LETTERS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Characters for 128 bits.
const LENGTH: usize = 22;
/// Characters of a key by which people know it again.
const SHOWN: usize = 6;

/// A key, which only whoever it is made for may see.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(String);

impl std::fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamKey(***)")
    }
}

/// What is kept of a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl PartialEq for KeyHash {
    /// In a time that does not depend on where they differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl StreamKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bits.
    pub fn new() -> Result<Self, KeysError> {
        let mut bits = [0; 16];
        random(&mut bits)?;
        Ok(Self::of(u128::from_be_bytes(bits)))
    }

    fn of(mut bits: u128) -> Self {
        let mut letters: Vec<u8> = Vec::with_capacity(LENGTH);
        for _ in 0..LENGTH {
            let digit = usize::try_from(bits % 58).unwrap_or(0);
            letters.extend(LETTERS.get(digit));
            bits /= 58;
        }
        Self(BEGINNING.chars().chain(letters.into_iter().rev().map(char::from)).collect())
    }

    /// For whoever it is made for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its first characters.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.0.chars().take(SHOWN).collect()
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        hash_of(&self.0)
    }
}

/// What would be kept of anything that somebody offers as a key.
#[must_use]
pub fn hash_of(offered: &str) -> KeyHash {
    KeyHash(Sha256::digest(offered.as_bytes()).into())
}

impl KeyHash {
    /// As it is written down.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// As it was written down.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

/// A short name for something, at random.
///
/// # Errors
/// When the system has no random bits.
pub fn short_id() -> Result<String, KeysError> {
    let mut bits = [0; 5];
    random(&mut bits)?;
    Ok(hex::encode(bits))
}

fn random(bits: &mut [u8]) -> Result<(), KeysError> {
    let provider = ring::default_provider();
    let filled = provider.secure_random.fill(bits);
    filled.map_err(|_| KeysError::Unfit("the system has no random bits to make a key of".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_of_one_form_and_differ() {
        let keys: BTreeSet<_> = (0..100).map(|_| StreamKey::new().expect("random bits").reveal().to_owned()).collect();
        assert_eq!(keys.len(), 100);
        for key in &keys {
            let rest = key.strip_prefix("lr_").expect(key);
            assert!(rest.len() == 22 && rest.bytes().all(|letter| LETTERS.contains(&letter)), "{key}");
        }
        assert_eq!(StreamKey::of(0).reveal(), "lr_1111111111111111111111");
        assert_eq!(StreamKey::of(u128::MAX).reveal(), "lr_YcVfxkQb6JRzqk5kF2tNLv");
    }

    #[test]
    fn a_key_is_not_shown_by_accident() {
        let key = StreamKey::new().expect("random bits");
        assert!(!format!("{key:?}").contains(key.reveal()));
        assert_eq!((key.prefix().len(), key.reveal().starts_with(&key.prefix())), (6, true));
        assert!(!key.hash().to_hex().contains(&key.reveal()[3..]));
    }

    proptest! {
        #[test]
        fn no_two_numbers_are_one_key(one: u128, other: u128) {
            let (a, b) = (StreamKey::of(one), StreamKey::of(other));
            prop_assert_eq!(one == other, a.reveal() == b.reveal());
            prop_assert_eq!(a.hash() == b.hash(), one == other);
            prop_assert_eq!(KeyHash::from_hex(&a.hash().to_hex()), Some(a.hash()));
        }

        #[test]
        fn whatever_is_offered_has_a_hash(offered: String) {
            prop_assert_eq!(hash_of(&offered), hash_of(&offered));
            prop_assert!(KeyHash::from_hex(&offered).is_none() || offered.len() == 64);
        }
    }
}
