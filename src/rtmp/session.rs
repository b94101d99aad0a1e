//! One connection of an encoder: handshake, commands, and then sound and pictures.

use bytes::{Bytes, BytesMut};

use super::amf0::{self, Value};
use super::chunk::{ChunkError, LARGEST, Message, Reader};
use super::command::{Answers, WINDOW, reconnects};
use super::fault::{BEFORE, COMMAND_BEFORE, Fault};
use super::handshake::{FROM_CLIENT, Handshake};
use super::kind;

/// The longest command, and the longest data message that is looked into.
const COMMAND_MAX: usize = 64 << 10;
/// The longest application, stream name or name of an encoder.
const NAME_MAX: usize = 1024;

/// What happens on a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It wants to publish: to be [accepted](Session::accept) or [refused](Session::refuse); until then nothing else is read.
    Publish(Publish),
    /// What it says of the stream.
    Metadata(Metadata),
    /// The body of an audio message.
    Audio(u32, Bytes),
    /// The body of a video message.
    Video(u32, Bytes),
    /// It has said that the stream ends: it closes it as well, in a moment.
    Ending,
    /// It has closed the stream.
    End,
}

/// A wish to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The application: the path of the URL, but for its last part.
    pub app: String,
    /// The stream's name, which is its key, and what follows it behind a `?`.
    pub name: String,
    /// What the encoder calls itself.
    pub encoder: String,
    /// Where it says that it comes from.
    pub urls: Urls,
}

/// What an encoder says of where it was sent, and from where: none of it has to be so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Urls {
    /// Of the application.
    pub tc: String,
    /// Of what publishes.
    pub swf: String,
    /// Of the page that has that.
    pub page: String,
}

/// What `onMetaData` says, as far as anybody wants to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The picture's width and height.
    pub size: Option<(u16, u16)>,
    /// Whether there will be pictures.
    pub video: Option<bool>,
    /// Whether there will be sound.
    pub audio: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not publishing.
    Talking,
    /// It has asked, with this message stream.
    Asking(u32),
    Publishing(u32),
    Over,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Session {
    handshake: Handshake,
    random: Vec<u8>,
    input: BytesMut,
    reader: Reader,
    answers: Answers,
    phase: Phase,
    app: Option<String>,
    encoder: String,
    /// It comes back when it is asked to.
    reconnects: bool,
    urls: Urls,
    /// Bytes that have come in all, and how many of them the other side knows of.
    total: u64,
    acknowledged: u64,
    window: u64,
}

impl Session {
    /// A connection that begins; `random` are some bytes for the handshake.
    #[must_use]
    pub fn new(random: Vec<u8>) -> Self {
        Self {
            handshake: Handshake::Hello,
            random,
            input: BytesMut::new(),
            reader: Reader::new(COMMAND_BEFORE),
            answers: Answers::default(),
            phase: Phase::Talking,
            app: None,
            encoder: String::new(),
            reconnects: false,
            urls: Urls::default(),
            total: 0,
            acknowledged: 0,
            window: u64::from(WINDOW) / 2,
        }
    }

    /// Takes bytes that have come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.came(bytes.len());
    }

    /// Where the next bytes may be put without a copy, with room for so many; then it has to be told how many [came](Self::came).
    pub fn input(&mut self, room: usize) -> &mut BytesMut {
        self.input.reserve(room);
        &mut self.input
    }

    /// So many bytes were put into its [input](Self::input).
    pub fn came(&mut self, count: usize) {
        self.total += count as u64;
        if self.handshake == Handshake::Done && self.total - self.acknowledged >= self.window {
            self.acknowledged = self.total;
            self.answers.acknowledge(self.total);
        }
    }

    /// What is to be sent.
    pub fn answers(&mut self) -> Bytes {
        self.answers.bytes.split().freeze()
    }

    /// Messages that were begun and never ended.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.reader.abandoned()
    }

    /// What happens next; `None` until more has come, or until a wish to publish is answered.
    ///
    /// # Errors
    /// [`Fault`]: the connection is to be closed, once the [answers](Self::answers) are sent.
    pub fn next_event(&mut self) -> Result<Option<Event>, Fault> {
        self.handshake.step(&mut self.input, &self.random, &mut self.answers.bytes)?;
        if self.handshake != Handshake::Done {
            return Ok(None);
        }
        while !matches!(self.phase, Phase::Asking(_) | Phase::Over) {
            let talks = self.phase == Phase::Talking && self.total > (BEFORE + FROM_CLIENT) as u64;
            let Some(message) = self.reader.next(&mut self.input)? else {
                return if talks { Err(Fault::Talks) } else { Ok(None) };
            };
            if let Some(event) = self.heard(&message)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Lets it publish.
    pub fn accept(&mut self) {
        let Phase::Asking(stream) = self.phase else { return };
        self.phase = Phase::Publishing(stream);
        self.reader.allow(LARGEST);
        self.answers.stream_begins(stream);
        self.answers.on_status(stream, "status", "NetStream.Publish.Start", "the stream is being recorded");
    }

    /// Tells it why it may not publish, or not any longer; the connection is to be closed then.
    pub fn refuse(&mut self, code: &str, why: &str) {
        if let Phase::Asking(stream) | Phase::Publishing(stream) = self.phase {
            self.answers.on_status(stream, "error", code, why);
        }
        self.phase = Phase::Over;
    }

    /// Asks it to connect anew in a moment, if it understands that; the connection is to be closed then.
    pub fn ask_to_reconnect(&mut self, why: &str) {
        if self.reconnects {
            self.answers.reconnect(why);
        }
        self.phase = Phase::Over;
    }

    fn heard(&mut self, message: &Message) -> Result<Option<Event>, Fault> {
        let publishing = matches!(self.phase, Phase::Publishing(_));
        let body = message.body.clone();
        match message.kind {
            kind::WINDOW => {
                if let Some(window) = body.first_chunk().map(|four| u32::from_be_bytes(*four)).filter(|w| *w > 0) {
                    // In good time before it would wait for it.
                    self.window = (u64::from(window) / 2).clamp(1, u64::from(WINDOW));
                }
            }
            kind::USER_CONTROL => {
                if let Some(&[0, 6, a, b, c, d]) = body.first_chunk() {
                    self.answers.pong([a, b, c, d]);
                }
            }
            kind::COMMAND => return self.command(message.stream, &body),
            kind::COMMAND_AMF3 => return self.command(message.stream, body.get(1..).unwrap_or_default()),
            kind::AUDIO | kind::VIDEO if !publishing => return Err(Fault::Early),
            kind::AUDIO => return Ok(Some(Event::Audio(message.time, body))),
            kind::VIDEO => return Ok(Some(Event::Video(message.time, body))),
            kind::DATA | kind::DATA_AMF3 if publishing && body.len() <= COMMAND_MAX => {
                let skip = usize::from(message.kind == kind::DATA_AMF3 && body.first() == Some(&0));
                return Ok(metadata(body.get(skip..).unwrap_or_default()).map(Event::Metadata));
            }
            _ => {}
        }
        Ok(None)
    }

    fn command(&mut self, stream: u32, body: &[u8]) -> Result<Option<Event>, Fault> {
        if body.len() > COMMAND_MAX {
            return Err(ChunkError::Large(body.len()).into());
        }
        let values = amf0::read(body)?;
        let text = |at: usize| values.get(at).and_then(Value::text).unwrap_or_default();
        let publishing = matches!(self.phase, Phase::Publishing(_));
        let transaction = values.get(1).and_then(Value::number).unwrap_or(0.0);
        match text(0) {
            "connect" => self.connect(transaction, values.get(2))?,
            "createStream" if self.app.is_some() => self.answers.result(transaction, Value::Number(1.0)),
            "releaseStream" | "_checkbw" => self.answers.result(transaction, Value::Null),
            "FCPublish" => {
                self.answers.fc_publish(named(text(3))?);
                self.answers.result(transaction, Value::Null);
            }
            "publish" => return self.publish(stream, named(text(3))?),
            "play" | "play2" => {
                self.answers.on_status(stream, "error", "NetStream.Play.Failed", &Fault::Plays.to_string());
                return Err(Fault::Plays);
            }
            "FCUnpublish" if publishing => return Ok(Some(Event::Ending)),
            "deleteStream" | "closeStream" => {
                if let Phase::Publishing(stream) = self.phase {
                    self.phase = Phase::Over;
                    self.answers.on_status(stream, "status", "NetStream.Unpublish.Success", "the stream is over");
                    return Ok(Some(Event::End));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn connect(&mut self, transaction: f64, about: Option<&Value>) -> Result<(), Fault> {
        let field = |name| about.and_then(|about| about.get(name)).and_then(Value::text).unwrap_or_default();
        named(field("flashVer"))?.clone_into(&mut self.encoder);
        // Nothing here goes by them.
        let url = |name| field(name).chars().take(NAME_MAX).collect();
        self.urls = Urls { tc: url("tcUrl"), swf: url("swfUrl"), page: url("pageUrl") };
        let app = named(field("app"))?;
        if app.trim_matches('/').is_empty() {
            self.answers.not_connected(transaction, "the URL has no application: rtmp://HOST/APPLICATION/KEY");
            self.phase = Phase::Over;
            return Ok(());
        }
        self.app = Some(app.to_owned());
        let extensions = about.and_then(|about| about.get("capsEx")).and_then(Value::number);
        self.reconnects = extensions.is_some_and(reconnects);
        self.answers.connected(transaction);
        Ok(())
    }

    fn publish(&mut self, stream: u32, name: &str) -> Result<Option<Event>, Fault> {
        let Some(app) = self.app.clone().filter(|_| self.phase == Phase::Talking) else { return Err(Fault::Early) };
        self.phase = Phase::Asking(stream);
        let (name, encoder, urls) = (name.to_owned(), self.encoder.clone(), self.urls.clone());
        Ok(Some(Event::Publish(Publish { app, name, encoder, urls })))
    }

    /// Whether nothing more is to be heard of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }
}

fn named(name: &str) -> Result<&str, Fault> {
    if name.len() > NAME_MAX { Err(Fault::Name(name.len())) } else { Ok(name) }
}

/// What a data message says of the stream, if it is about that.
fn metadata(body: &[u8]) -> Option<Metadata> {
    let values = amf0::read(body).ok()?;
    let at = values.iter().position(|value| value.text() == Some("onMetaData"))?;
    let about = values.get(at + 1)?;
    let number = |name| about.get(name).and_then(Value::number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds that are checked")]
    let size = |name| number(name).filter(|size| (16.0..=16384.0).contains(size)).map(|size| size as u16);
    let has = |flag: &str, codec: &str| match (about.get(flag), about.get(codec)) {
        (Some(Value::Boolean(has)), _) => Some(*has),
        (_, Some(Value::Number(id))) => Some(*id != 0.0),
        (_, Some(Value::String(_))) => Some(true),
        _ => None,
    };
    Some(Metadata {
        size: size("width").zip(size("height")),
        video: has("hasVideo", "videocodecid"),
        audio: has("hasAudio", "audiocodecid"),
    })
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
