//! What somebody else is asked before a stream is published, and what an answer means. Pure.
//!
//! It is asked in JSON; or in the fields of a form, as nginx-rtmp asks its `on_publish`, so that what answers that one can answer
//! here, too.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::visitor::Visitor;
use crate::human::times::read_of_day;
use crate::keys::book::Permit;
use crate::keys::record::check_name;
use crate::keys::rungs::Rungs;
use crate::keys::template::Template;

/// What stays as it is in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The most characters of an answer that an encoder is told.
const WORDS: usize = 200;

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) permit: &'a Permit,
    pub(super) visitor: &'a Visitor,
    /// The name of the recording, or of the next one if none is under way.
    pub(super) session: &'a str,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// As nginx-rtmp does.
    Fields,
}

/// An answer as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Agreed(Granted),
    /// With words for the encoder.
    Refused(String),
    /// Nobody has said yes, for this reason.
    Silent(String),
}

/// What was agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Granted {
    /// The template of the objects of this recording.
    pub(super) object: Option<String>,
    /// When it is to end, in seconds since 1970.
    pub(super) until: Option<i64>,
    /// What smaller renditions are made of it.
    pub(super) ladder: Option<Rungs>,
    /// The stream has this name.
    pub(super) name: Option<String>,
}

/// What may be in the JSON of an answer. What else is in it is for others.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Terms {
    object: Option<String>,
    expires: Option<String>,
    ladder: Option<Rungs>,
}

impl Question<'_> {
    /// As JSON.
    pub(super) fn json(&self) -> String {
        let Self { permit, visitor, session } = self;
        json!({
            "event": "publish", "stream": permit.stream, "stream_id": permit.id, "key_id": permit.key,
            "protocol": visitor.protocol.name(), "ip": visitor.peer.ip(), "app": visitor.app, "query": visitor.query,
            "encoder": visitor.encoder, "session": session,
        })
        .to_string()
    }

    /// As nginx-rtmp has it: what stands behind a `?` in the stream's name follows as it came.
    pub(super) fn form(&self) -> String {
        let Self { permit, visitor, session } = self;
        let ip = visitor.peer.ip().to_canonical().to_string();
        let fields = [
            ("app", visitor.app.as_str()),
            ("flashver", &visitor.encoder),
            ("swfurl", &visitor.urls.swf),
            ("tcurl", &visitor.urls.tc),
            ("pageurl", &visitor.urls.page),
            ("addr", &ip),
            ("clientid", session),
            ("call", "publish"),
            ("name", &permit.stream),
            ("type", "live"),
        ];
        let mut form = String::new();
        for (name, value) in fields {
            let between = if form.is_empty() { "" } else { "&" };
            // A string takes whatever is written into it.
            let _ = write!(form, "{between}{name}={}", utf8_percent_encode(value, FORM));
        }
        // It came in a URL; what breaks a line, or is none of a URL, is not handed on.
        let args: String = visitor.query.chars().filter(char::is_ascii_graphic).collect();
        if args.is_empty() { form } else { format!("{form}&{args}") }
    }
}

impl Reply {
    /// What it means.
    pub(super) fn verdict(self, form: Form) -> Verdict {
        match self.status {
            200..=299 => match (form, granted(&self.body)) {
                (Form::Fields, _) => Verdict::Agreed(Granted::default()),
                (Form::Json, Ok(granted)) => Verdict::Agreed(granted),
                (Form::Json, Err(why)) => Verdict::Silent(format!("it agreed, and {why}")),
            },
            300..=399 if form == Form::Fields => match self.location.as_deref().map(renamed) {
                Some(Ok(name)) => Verdict::Agreed(Granted { name: Some(name), ..Granted::default() }),
                Some(Err(why)) => Verdict::Silent(format!("it answered with status {}, and {why}", self.status)),
                None => Verdict::Silent(format!("it answered with status {}, and no Location", self.status)),
            },
            400..=499 => {
                let words: String = self.body.trim().chars().filter(|c| !c.is_control()).take(WORDS).collect();
                Verdict::Refused(if words.is_empty() { "it is not allowed".to_owned() } else { words })
            }
            status => Verdict::Silent(format!("it answered with status {status}")),
        }
    }
}

/// What the body of a yes says beside that. Many say nothing, or something to people.
fn granted(body: &str) -> Result<Granted, String> {
    let body = body.trim();
    if !body.starts_with('{') {
        return Ok(Granted::default());
    }
    let Terms { object, expires, ladder } =
        serde_json::from_str(body).map_err(|error| format!("its JSON cannot be understood: {error}"))?;
    if let Some(object) = &object {
        Template::parse(object).map_err(|why| format!("its object is no template: {why}"))?;
    }
    let time = |text: &str| read_of_day(text).and_then(|nanos| i64::try_from(nanos / 1_000_000_000).ok());
    let until = expires.as_deref().map(|text| time(text).ok_or("its expires is no time such as 2026-12-31T00:00:00Z"));
    Ok(Granted { object, until: until.transpose()?, ladder, name: None })
}

/// The name that a stream is given, as nginx-rtmp has it: a Location that is a name; frameworks make a URL of it.
fn renamed(location: &str) -> Result<String, String> {
    if location.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("rtmp://")) {
        return Err("its Location is another server, to which nothing is handed on here".to_owned());
    }
    let path = location.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    check_name(name).map(|()| name.to_owned()).map_err(|why| format!("its Location gives no name: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::terms::{Protocol, Terms as Limits};
    use crate::rtmp::session::Urls;

    fn visitor(query: &str) -> Visitor {
        Visitor {
            peer: "[::ffff:192.0.2.7]:9".parse().expect("an address"),
            app: "live".to_owned(),
            protocol: Protocol::Rtmp,
            encoder: "FMLE/3.0 (x)".to_owned(),
            query: query.to_owned(),
            urls: Urls { tc: "rtmp://h/live".to_owned(), ..Urls::default() },
        }
    }

    fn permit() -> Permit {
        let text = str::to_owned;
        Permit { id: text("i"), key: text("k"), stream: text("cam ü"), object: None, terms: Limits::default() }
    }

    #[test]
    fn a_question_has_all_that_is_known() {
        let (permit, visitor) = (permit(), visitor("a=b&c\r\nd"));
        let question = Question { permit: &permit, visitor: &visitor, session: "5e55" };
        let json: serde_json::Value = serde_json::from_str(&question.json()).expect("JSON");
        for (name, value) in [("event", "publish"), ("session", "5e55"), ("query", "a=b&c\r\nd"), ("protocol", "rtmp")]
        {
            assert_eq!(json[name], value);
        }
        assert_eq!(
            question.form(),
            "app=live&flashver=FMLE%2F3.0%20%28x%29&swfurl=&tcurl=rtmp%3A%2F%2Fh%2Flive&pageurl=&addr=192.0.2.7&clientid=5e55\
             &call=publish&name=cam%20%C3%BC&type=live&a=b&cd"
        );
    }

    #[test]
    fn a_yes_may_say_more_and_what_is_no_yes_is_none() {
        let reply = |status, body: &str| Reply { status, location: None, body: body.to_owned() };
        let plain = Verdict::Agreed(Granted::default());
        for (body, wanted) in [
            ("", Some(Granted::default())),
            ("fine", Some(Granted::default())),
            (r#"{"ok":true,"object":null}"#, Some(Granted::default())),
            (
                r#" {"object":"o/{session}.mp4","expires":"1970-01-01T00:01:00Z"}"#,
                Some(Granted { object: Some("o/{session}.mp4".to_owned()), until: Some(60), ..Granted::default() }),
            ),
            (r#"{"object":"o.mp4"}"#, None),
            (r#"{"object":"../{session}"}"#, None),
            (r#"{"expires":"soon"}"#, None),
            (r#"{"object":5}"#, None),
            (
                r#"{"ladder":"none","object":null}"#,
                Some(Granted { ladder: Some(Rungs::default()), ..Granted::default() }),
            ),
            (r#"{"ladder":"large"}"#, None),
            ("{", None),
        ] {
            match (reply(200, body).verdict(Form::Json), wanted) {
                (Verdict::Agreed(granted), Some(wanted)) => assert_eq!(granted, wanted, "{body}"),
                (Verdict::Silent(_), None) => {}
                (verdict, _) => panic!("{body}: {verdict:?}"),
            }
        }
        assert_eq!(reply(201, r#"{"object":"o.mp4"}"#).verdict(Form::Fields), plain);
        assert_eq!(reply(403, " no\n").verdict(Form::Json), Verdict::Refused("no".to_owned()));
        assert_eq!(reply(404, "").verdict(Form::Fields), Verdict::Refused("it is not allowed".to_owned()));
        assert!(matches!(reply(500, "x").verdict(Form::Fields), Verdict::Silent(_)));
        assert!(matches!(reply(302, "").verdict(Form::Fields), Verdict::Silent(_)));
    }

    #[test]
    fn another_name_is_given_as_nginx_rtmp_has_it() {
        for (location, name) in [
            ("cam-1", Some("cam-1")),
            ("https://h.example/cam-1?x=y", Some("cam-1")),
            ("/live/cam-1/", Some("cam-1")),
            ("rtmp://other.example/live/cam-1", None),
            ("/", None),
            ("..", None),
            ("a b", None),
        ] {
            let reply = Reply { status: 302, location: Some(location.to_owned()), body: String::new() };
            assert!(matches!(reply.clone().verdict(Form::Json), Verdict::Silent(_)), "{location}");
            match (reply.verdict(Form::Fields), name) {
                (Verdict::Agreed(granted), Some(name)) => assert_eq!(granted.name.as_deref(), Some(name)),
                (Verdict::Silent(_), None) => {}
                (verdict, _) => panic!("{location}: {verdict:?}"),
            }
        }
    }
}
