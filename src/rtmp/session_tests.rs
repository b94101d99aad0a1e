//! What encoders say, and what they are told.

use super::*;
use crate::rtmp::amf0::AmfError;
use crate::rtmp::chunk;

/// An encoder that says what it is told to, in small chunks.
struct Encoder {
    session: Session,
    heard: Vec<Vec<Value>>,
    kinds: Vec<u8>,
    reader: Reader,
    input: BytesMut,
    skip: usize,
}

impl Encoder {
    fn new() -> Self {
        let mut encoder = Self {
            session: Session::new(vec![5; 1528]),
            heard: Vec::new(),
            kinds: Vec::new(),
            reader: Reader::new(LARGEST),
            input: BytesMut::new(),
            skip: FROM_CLIENT,
        };
        encoder.session.feed(&[&[3][..], &[0; FROM_CLIENT - 1]].concat());
        encoder
    }

    fn say(&mut self, kind: u8, body: &[u8]) -> Result<Option<Event>, Fault> {
        let mut out = BytesMut::new();
        let body = Bytes::copy_from_slice(body);
        chunk::write(&mut out, 3, &Message { kind, stream: 1, time: 7, body }, 128);
        self.session.feed(&out);
        let next = self.session.next_event();
        self.listen();
        next
    }

    fn command(&mut self, values: &[Value]) -> Result<Option<Event>, Fault> {
        let mut body = BytesMut::new();
        amf0::write(&mut body, values);
        self.say(kind::COMMAND, &body)
    }

    fn listen(&mut self) {
        let answers = self.session.answers();
        let skip = self.skip.min(answers.len());
        self.skip -= skip;
        self.input.extend_from_slice(&answers[skip..]);
        while let Some(message) = self.reader.next(&mut self.input).expect("answers") {
            self.kinds.push(message.kind);
            if message.kind == kind::COMMAND {
                self.heard.push(amf0::read(&message.body).expect("a command"));
            }
        }
    }

    fn connect(&mut self) {
        let about = Value::Object(vec![
            ("app".into(), Value::of("live")),
            ("flashVer".into(), Value::of("Lavf")),
            ("tcUrl".into(), Value::of("rtmp://h/live")),
        ]);
        assert_eq!(self.command(&[Value::of("connect"), Value::Number(1.0), about]), Ok(None));
    }

    fn publish(&mut self) {
        self.connect();
        let publish = [Value::of("publish"), Value::Number(0.0), Value::Null, Value::of("key?x=1"), Value::of("live")];
        let urls = Urls { tc: "rtmp://h/live".into(), ..Urls::default() };
        let wanted = Publish { app: "live".into(), name: "key?x=1".into(), encoder: "Lavf".into(), urls };
        assert_eq!(self.command(&publish), Ok(Some(Event::Publish(wanted))));
    }

    /// The code of the newest status.
    fn code(&self) -> &str {
        let status = self.heard.iter().rev().find_map(|heard| heard.last()?.get("code")?.text());
        status.expect("a status")
    }
}

#[test]
fn an_encoder_publishes_and_ends() {
    let mut encoder = Encoder::new();
    encoder.connect();
    assert_eq!(encoder.code(), "NetConnection.Connect.Success");
    let info = encoder.heard[0][3].clone();
    assert!(info.get("videoFourCcInfoMap").and_then(|map| map.get("hvc1")).is_some());
    let plain = |name: &str, number: f64| [Value::of(name), Value::Number(number), Value::Null, Value::of("key")];
    for (at, name) in ["releaseStream", "FCPublish", "createStream", "_checkbw"].iter().enumerate() {
        assert_eq!(encoder.command(&plain(name, 2.0 + f64::from(u8::try_from(at).unwrap()))), Ok(None));
    }
    let names: Vec<_> = encoder.heard.iter().map(|heard| heard[0].text().unwrap()).collect();
    assert_eq!(names, ["_result", "_result", "onFCPublish", "_result", "_result", "_result"]);
    assert_eq!(encoder.heard[4][3], Value::Number(1.0), "the stream's number");
    let mut encoder = Encoder::new();
    encoder.publish();
    // Nothing is read before somebody has said that it may.
    assert_eq!(encoder.say(kind::AUDIO, b"\xaf\x01x"), Ok(None));
    encoder.session.accept();
    assert_eq!(encoder.session.next_event(), Ok(Some(Event::Audio(7, Bytes::from_static(b"\xaf\x01x")))));
    assert_eq!(encoder.say(kind::VIDEO, b"abc"), Ok(Some(Event::Video(7, Bytes::from_static(b"abc")))));
    assert_eq!(encoder.code(), "NetStream.Publish.Start");
    assert_eq!(encoder.say(kind::VIDEO, &vec![1; 100_000]), Ok(Some(Event::Video(7, Bytes::from(vec![1; 100_000])))));
    for end in ["FCUnpublish", "deleteStream"] {
        let heard = encoder.command(&[Value::of(end), Value::Number(0.0), Value::Null, Value::Number(1.0)]);
        assert_eq!(heard, Ok(Some(if end == "FCUnpublish" { Event::Ending } else { Event::End })));
    }
    assert!(encoder.session.is_over());
}

#[test]
fn who_may_not_publish_is_told_why() {
    let mut encoder = Encoder::new();
    encoder.publish();
    encoder.session.refuse("NetStream.Publish.BadName", "no");
    encoder.listen();
    let status = encoder.heard.last().unwrap()[3].clone();
    assert_eq!((encoder.code(), status.get("level")), ("NetStream.Publish.BadName", Some(&Value::of("error"))));
    assert!(encoder.session.is_over());
    let mut player = Encoder::new();
    player.connect();
    assert_eq!(
        player.command(&[Value::of("play"), Value::Number(0.0), Value::Null, Value::of("key")]),
        Err(Fault::Plays)
    );
    assert_eq!(player.code(), "NetStream.Play.Failed");
    let mut lost = Encoder::new();
    assert_eq!(lost.command(&[Value::of("connect"), Value::Number(1.0), Value::Object(vec![])]), Ok(None));
    assert_eq!((lost.code(), lost.session.is_over()), ("NetConnection.Connect.Rejected", true));
}

#[test]
fn the_stream_is_described() {
    let mut encoder = Encoder::new();
    encoder.publish();
    encoder.session.accept();
    let about = |fields: &[(&str, Value)]| {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut body = BytesMut::new();
        amf0::write(&mut body, &[Value::of("@setDataFrame"), Value::of("onMetaData"), Value::Object(fields)]);
        body
    };
    let number = Value::Number;
    for (fields, wanted) in [
        (
            about(&[
                ("width", number(1920.0)),
                ("height", number(1080.0)),
                ("videocodecid", number(7.0)),
                ("audiocodecid", number(0.0)),
            ]),
            Metadata { size: Some((1920, 1080)), video: Some(true), audio: Some(false) },
        ),
        (
            about(&[
                ("width", number(1e9)),
                ("height", number(f64::NAN)),
                ("hasAudio", Value::Boolean(true)),
                ("videocodecid", Value::of("hvc1")),
            ]),
            Metadata { size: None, video: Some(true), audio: Some(true) },
        ),
    ] {
        assert_eq!(encoder.say(kind::DATA, &fields), Ok(Some(Event::Metadata(wanted))));
        assert_eq!(encoder.say(kind::DATA_AMF3, &[&[0][..], &fields].concat()), Ok(Some(Event::Metadata(wanted))));
    }
    // What is not understood is not minded.
    assert_eq!(encoder.say(kind::DATA, b"\x0d"), Ok(None));
    assert_eq!(encoder.say(kind::DATA, &vec![2; 100_000]), Ok(None));
}

#[test]
fn strangers_have_little_room() {
    let mut talker = Encoder::new();
    talker.connect();
    let mut said = Ok(None);
    for _ in 0..1000 {
        said = said.and_then(|_: Option<Event>| {
            talker.command(&[Value::of("nothing"), Value::Number(0.0), Value::of(&"x".repeat(100))])
        });
    }
    assert_eq!(said, Err(Fault::Talks));
    let mut large = Encoder::new();
    assert!(matches!(large.say(kind::COMMAND, &vec![0; 17_000]), Err(Fault::Chunk(ChunkError::Large(17_000)))));
    let nested = [&[2, 0, 7][..], b"connect", &[0; 9], &[3, 0, 1, b'a'].repeat(4_000)].concat();
    assert_eq!(Encoder::new().say(kind::COMMAND, &nested), Err(Fault::Command(AmfError::Deep)));
    assert_eq!(Encoder::new().say(kind::VIDEO, b"abc"), Err(Fault::Early));
    let publish = [Value::of("publish"), Value::Number(0.0), Value::Null, Value::of("key")];
    assert_eq!(Encoder::new().command(&publish), Err(Fault::Early));
    let mut long = Encoder::new();
    long.connect();
    let long = long.command(&[Value::of("publish"), Value::Number(0.0), Value::Null, Value::of(&"k".repeat(2000))]);
    assert_eq!(long, Err(Fault::Name(2000)));
}

#[test]
fn bytes_are_acknowledged_and_pings_answered() {
    let mut encoder = Encoder::new();
    encoder.publish();
    encoder.session.accept();
    encoder.say(kind::WINDOW, &1000u32.to_be_bytes()).unwrap();
    encoder.say(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]).unwrap();
    encoder.kinds.clear();
    encoder.say(kind::AUDIO, &[0; 600]).unwrap();
    encoder.listen();
    assert!(encoder.kinds.contains(&kind::ACKNOWLEDGEMENT), "{:?}", encoder.kinds);
    // Of nothing, it would have to be told for ever.
    encoder.say(kind::WINDOW, &[0; 4]).unwrap();
    encoder.say(kind::WINDOW, &[]).unwrap();
    encoder.say(kind::USER_CONTROL, &[0, 6]).unwrap();
}

#[test]
fn only_who_says_that_it_comes_back_is_asked_to() {
    for (extensions, asked) in
        [(None, false), (Some(6.0), false), (Some(1.0), true), (Some(7.0), true), (Some(-1.0), false)]
    {
        let mut encoder = Encoder::new();
        let mut about = vec![("app".to_owned(), Value::of("live"))];
        about.extend(extensions.map(|bits| ("capsEx".to_owned(), Value::Number(bits))));
        assert_eq!(encoder.command(&[Value::of("connect"), Value::Number(1.0), Value::Object(about)]), Ok(None));
        encoder.session.ask_to_reconnect("soon");
        encoder.listen();
        assert_eq!(encoder.code() == "NetConnection.Connect.ReconnectRequest", asked, "{extensions:?}");
    }
}
