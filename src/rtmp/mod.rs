//! The publisher's half of RTMP, as a server meets it: bytes in, events and bytes out. Pure: no socket, no clock.
//!
//! ```text
//! bytes -> handshake -> chunk::Reader -> messages -> session::Session -> events: publish?, sound, pictures, the end
//!                                                          |
//!                                     answers (bytes) <----+
//! ```
//!
//! What a stranger can send before a stream key has been looked at is bounded in each layer: chunk streams, messages under
//! way, bytes of a message, depth of values. Memory grows with bytes that have come, never with what a count claims.
//!
//! Section numbers are those of Adobe's "Real Time Messaging Protocol" 1.0; "enhanced" is Enhanced RTMP v2 (Veovera).

pub mod amf0;
pub mod chunk;
pub mod command;
pub mod fault;
mod handshake;
pub mod session;

pub use fault::Fault;
pub use session::{Event, Session};

/// Kinds of messages (5.4, 6.2, 7.1).
pub(crate) mod kind {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW: u8 = 5;
    pub(crate) const PEER_BANDWIDTH: u8 = 6;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const DATA_AMF3: u8 = 15;
    pub(crate) const COMMAND_AMF3: u8 = 17;
    pub(crate) const DATA: u8 = 18;
    pub(crate) const COMMAND: u8 = 20;
}
