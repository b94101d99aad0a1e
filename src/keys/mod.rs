//! Stream keys: who may publish what, and what the object is called that comes of it.
//!
//! A key is 128 random bits, shown once, when it is made. What is kept of it is its SHA-256 (as random as that, a key needs no
//! slow hash) and its first characters, by which people know it again. A stream may have several keys at once, so that one
//! can be exchanged for another while an encoder publishes.
//!
//! | module | job |
//! |---|---|
//! | [`secret`] | a key itself: made, read, hashed; pure but for the random bits |
//! | [`record`] | a stream with its keys, and which of them are good; pure |
//! | [`terms`], [`network`] | from where, how, how fast and for how long it may be published, and what is made of it; pure |
//! | [`rungs`] | smaller renditions that are made of it; pure |
//! | [`template`] | keys of objects out of names and times; pure |
//! | [`book`] | all streams, wherever they are kept: what can be asked of them, and done to them |
//! | `file` | kept in a file of this machine |
//! | `redis_server` | kept in a Redis that several machines share |

pub mod book;
mod error;
mod file;
pub mod network;
pub mod record;
mod redis_server;
pub mod rungs;
pub mod secret;
pub mod template;
pub mod terms;

pub use error::KeysError;
