//! What is said to an encoder: answers to its commands, in the words that encoders wait for (7.2, and "Enhancing
//! NetConnection connect Command" of enhanced RTMP).

use bytes::{Bytes, BytesMut};

use super::amf0::{self, Value};
use super::chunk::{self, Message};
use super::kind;

/// Bytes of the chunks that we send.
pub(super) const CHUNK_SIZE: usize = 4096;
/// After how many bytes each side is to acknowledge.
pub(super) const WINDOW: u32 = 2_500_000;

/// The chunk stream for what is about the connection.
const CONTROL: u8 = 2;
/// The one for commands.
const COMMANDS: u8 = 3;
/// The codecs that are taken, by their names in enhanced RTMP.
pub(super) const VIDEO: [&str; 4] = ["avc1", "hvc1", "av01", "vp09"];
/// The same for sound.
pub(super) const AUDIO: [&str; 2] = ["mp4a", "Opus"];
/// A codec can be forwarded as it is.
const CAN_FORWARD: f64 = 4.0;
/// Several tracks are understood, and extensions of the header.
const MULTITRACK_AND_MODIFIERS: f64 = 6.0;

/// The bit of a client that comes back when it is asked to.
const RECONNECTS: u32 = 1;

/// Whether a client's `capsEx` says that it comes back when it is asked to.
pub(super) fn reconnects(extensions: f64) -> bool {
    // Whatever else somebody may send there, it is no such number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut off, and zero at the least")]
    let bits = extensions as u32;
    bits & RECONNECTS != 0
}

/// Collects what is to be sent.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) bytes: BytesMut,
    /// The chunk size has been told.
    told: bool,
}

impl Answers {
    fn message(&mut self, chunk_stream: u8, kind: u8, stream: u32, body: impl Into<Bytes>) {
        let size = if self.told { CHUNK_SIZE } else { 128 };
        let message = Message { kind, stream, time: 0, body: body.into() };
        chunk::write(&mut self.bytes, chunk_stream, &message, size);
    }

    fn control(&mut self, kind: u8, body: &[u8]) {
        self.message(CONTROL, kind, 0, Bytes::copy_from_slice(body));
    }

    fn command(&mut self, stream: u32, values: &[Value]) {
        let mut body = BytesMut::new();
        amf0::write(&mut body, values);
        self.message(COMMANDS, kind::COMMAND, stream, body.freeze());
    }

    /// So many bytes have come in all.
    pub(super) fn acknowledge(&mut self, total: u64) {
        // Counts modulo 2^32, as all do.
        let low = total.to_be_bytes();
        self.control(kind::ACKNOWLEDGEMENT, low.get(4..).unwrap_or_default());
    }

    /// The answer to a ping.
    pub(super) fn pong(&mut self, time: [u8; 4]) {
        let [a, b, c, d] = time;
        self.control(kind::USER_CONTROL, &[0, 7, a, b, c, d]);
    }

    pub(super) fn connected(&mut self, transaction: f64) {
        self.control(kind::WINDOW, &WINDOW.to_be_bytes());
        let [a, b, c, d] = WINDOW.to_be_bytes();
        // The last byte: the client may take the limit or leave it.
        self.control(kind::PEER_BANDWIDTH, &[a, b, c, d, 2]);
        let size = u32::try_from(CHUNK_SIZE).unwrap_or(128);
        self.control(kind::SET_CHUNK_SIZE, &size.to_be_bytes());
        self.told = true;
        let map = |names: &[&str]| {
            Value::Object(names.iter().map(|name| ((*name).to_owned(), Value::Number(CAN_FORWARD))).collect())
        };
        let codecs = VIDEO.iter().chain(&AUDIO).map(|name| Value::of(name)).collect();
        let server = [("fmsVer", Value::of("FMS/3,0,1,123")), ("capabilities", Value::Number(31.0))];
        let mut info = status("status", "NetConnection.Connect.Success", "connected");
        info.extend([
            ("objectEncoding".to_owned(), Value::Number(0.0)),
            ("fourCcList".to_owned(), Value::Array(codecs)),
            ("videoFourCcInfoMap".to_owned(), map(&VIDEO)),
            ("audioFourCcInfoMap".to_owned(), map(&AUDIO)),
            ("capsEx".to_owned(), Value::Number(MULTITRACK_AND_MODIFIERS)),
        ]);
        let server = server.map(|(name, value)| (name.to_owned(), value)).to_vec();
        self.command(
            0,
            &[Value::of("_result"), Value::Number(transaction), Value::Object(server), Value::Object(info)],
        );
    }

    /// A connection that is not taken.
    pub(super) fn not_connected(&mut self, transaction: f64, why: &str) {
        let info = Value::Object(status("error", "NetConnection.Connect.Rejected", why));
        self.command(0, &[Value::of("_error"), Value::Number(transaction), Value::Null, info]);
    }

    /// Done; `value` is what came of it.
    pub(super) fn result(&mut self, transaction: f64, value: Value) {
        // Nobody waits for the answer to a command without a number.
        if transaction != 0.0 {
            self.command(0, &[Value::of("_result"), Value::Number(transaction), Value::Null, value]);
        }
    }

    pub(super) fn fc_publish(&mut self, name: &str) {
        let info = Value::Object(status("status", "NetStream.Publish.Start", name));
        self.command(0, &[Value::of("onFCPublish"), Value::Number(0.0), Value::Null, info]);
    }

    /// Says how it stands with a stream.
    pub(super) fn on_status(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        let info = Value::Object(status(level, code, description));
        self.command(stream, &[Value::of("onStatus"), Value::Number(0.0), Value::Null, info]);
    }

    /// Whoever understands it is to connect anew.
    pub(super) fn reconnect(&mut self, why: &str) {
        self.on_status(0, "status", "NetConnection.Connect.ReconnectRequest", why);
    }

    /// A stream begins.
    pub(super) fn stream_begins(&mut self, stream: u32) {
        let [a, b, c, d] = stream.to_be_bytes();
        self.control(kind::USER_CONTROL, &[0, 0, a, b, c, d]);
    }
}

fn status(level: &str, code: &str, description: &str) -> Vec<(String, Value)> {
    [("level", level), ("code", code), ("description", description)]
        .map(|(name, text)| (name.to_owned(), Value::of(text)))
        .to_vec()
}
