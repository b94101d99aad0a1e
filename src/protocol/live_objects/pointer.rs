//! The pointer: which recording of a key is being made. Pure.

use serde::{Deserialize, Serialize};

use super::{DocumentError, RecordingId, VERSION, read, written};

/// What lies at `_live/KEY/now`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    v: u32,
    /// The recording that was started last.
    pub recording: RecordingId,
}

impl Pointer {
    /// To `recording`.
    #[must_use]
    pub fn new(recording: RecordingId) -> Self {
        Self { v: VERSION, recording }
    }

    /// Reads what a store gave.
    ///
    /// # Errors
    /// [`DocumentError`] for anything that this program does not understand.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        read(bytes)
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        written(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_again_and_what_is_new_in_it_is_passed_over() {
        let pointer = Pointer::new(RecordingId::new(1_795_271_629, 7));
        assert_eq!(pointer.to_bytes(), b"{\"v\":1,\"recording\":\"20261121T143349Z-00000007\"}\n");
        assert_eq!(Pointer::parse(&pointer.to_bytes()), Ok(pointer.clone()));
        let more = br#"{"recording":"20261121T143349Z-00000007","v":1,"host":"x","more":{"a":[1]}}"#;
        assert_eq!(Pointer::parse(more), Ok(pointer));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let newer = br#"{"v":2,"recordings":[]}"#;
        assert_eq!(Pointer::parse(newer), Err(DocumentError::Newer(2)));
        assert_eq!(Pointer::parse(&vec![b' '; 70_000]), Err(DocumentError::TooLong));
        for bytes in [
            &b""[..],
            b"<html>",
            b"{}",
            b"[1]",
            br#"{"v":1}"#,
            br#"{"v":0,"recording":"20261121T143349Z-00000007"}"#,
            br#"{"v":1,"recording":"../../other"}"#,
            br#"{"v":1,"recording":7}"#,
            br#"{"v":-1,"recording":"20261121T143349Z-00000007"}"#,
            br#"{"v":1,"recording":"20261121T143349Z-00000007""#,
        ] {
            assert!(Pointer::parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
