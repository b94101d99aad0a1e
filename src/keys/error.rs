//! Why keys cannot be had, or not be changed so. No key is in any of these.

/// Why stream keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Where they are kept cannot be read or written.
    #[error("the stream keys in {place} cannot be {what}: {reason}")]
    Place {
        /// The file or the server, without a password.
        place: String,
        /// What was to be done.
        what: &'static str,
        /// Why that cannot be, and a remedy.
        reason: String,
    },
    /// There is a stream of this name.
    #[error(
        "there is a stream {name:?} already (id {id}): --rotate-key {id} gives it another key, --revoke-key {id} takes all its \
         keys away"
    )]
    Exists {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// There is no such stream.
    #[error("there is no stream with the id {0:?}; --list-keys shows which there are")]
    NoStream(String),
    /// The stream has no such key.
    #[error("the stream {stream} has no key with the id {key:?}")]
    NoKey {
        /// The stream's id.
        stream: String,
        /// The key's.
        key: String,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Unfit(String),
}
