//! Keys of objects out of the names of streams and times: `live/{stream}/{start}.mp4`. Pure.

use time::OffsetDateTime;

use super::record::check_name;
use crate::protocol::key::MAX_KEY;

/// What the names may come to, beside what is written as it is.
const LONGEST_NAMES: usize = 256;
/// Which of several pictures of a stream it is.
const RENDITION: &str = "{rendition}";
/// A time without a format of its own.
const START: &str = "%Y%m%dT%H%M%SZ";

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    App,
    Stream,
    Rendition,
    Session,
    /// In this format.
    Start(String),
    Number,
}

/// What a key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names<'a> {
    /// The application of the URL.
    pub app: &'a str,
    /// The stream's name.
    pub stream: &'a str,
    /// Which of several pictures of it.
    pub rendition: &'a str,
    /// Of this recording alone.
    pub session: &'a str,
    /// When it began, in seconds since 1970.
    pub start: i64,
    /// Which recording of the stream it is, from 1 on.
    pub number: u64,
}

impl Template {
    /// Reads a template, and sees that no recording is written over by another.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{text:?} cannot be the key of many streams: {why}");
        let pieces = pieces(text).map_err(|why| refuse(&why))?;
        let template = Self(pieces);
        let has = |wanted: &Piece| template.0.contains(wanted);
        let seconds = |piece: &Piece| matches!(piece, Piece::Start(format) if tells_seconds(format));
        if !has(&Piece::Session) && !template.0.iter().any(seconds) {
            return Err(refuse(
                "it needs {start} (to the second) or {session}, or one recording would be written over the one before it",
            ));
        }
        if !has(&Piece::Session) && !has(&Piece::Stream) {
            return Err(refuse("it needs {stream} or {session}, or streams that begin together would have one object"));
        }
        let written: usize =
            template.0.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum();
        if written > MAX_KEY - LONGEST_NAMES {
            return Err(refuse("it is too long: a key has at most 1024 bytes"));
        }
        if text.starts_with('/') || text.split('/').any(|part| part == ".." || part == ".") {
            return Err(refuse("it begins with / or has a part of dots alone"));
        }
        if text.contains(char::is_control) {
            return Err(refuse("it has a character in it that cannot be shown"));
        }
        Ok(template)
    }

    /// The key of a recording.
    #[must_use]
    pub fn key(&self, names: &Names<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::App => names.app.to_owned(),
            Piece::Stream => names.stream.to_owned(),
            Piece::Rendition => names.rendition.to_owned(),
            Piece::Session => names.session.to_owned(),
            Piece::Start(format) => time(format, names.start),
            Piece::Number => names.number.to_string(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Fills in another text, which need not tell recordings from one another: a playlist of several.
    ///
    /// # Errors
    /// In words, for what is no template at all.
    pub fn fill(text: &str, names: &Names<'_>) -> Result<String, String> {
        Ok(Self(pieces(text).map_err(|why| format!("{text:?}: {why}"))?).key(names))
    }
}

/// Whether a word on the command line is one.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains('{')
}

/// Whether each of several pictures of a stream has an object of its own by it.
#[must_use]
pub fn has_renditions(text: &str) -> bool {
    text.contains(RENDITION)
}

/// The key of one of several pictures of the one stream, of which nothing else is a template.
#[must_use]
pub fn of_rendition(text: &str, name: &str) -> String {
    text.replace(RENDITION, name)
}

/// Whether an application's name can be part of a key.
///
/// # Errors
/// In words.
pub fn check_app(app: &str) -> Result<(), String> {
    app.split('/').try_for_each(check_name).map_err(|_| {
        format!(
            "the application {app:?} cannot be part of a key: it has letters (without accents), digits, and - _ . in it"
        )
    })
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(['{', '}']) {
        if !rest.get(before.len()..).is_some_and(|rest| rest.starts_with('{')) {
            return Err("there is a } without a { before it".to_owned());
        }
        let (name, after) = behind.split_once('}').ok_or("there is a { without a } behind it")?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(named(name)?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn named(name: &str) -> Result<Piece, String> {
    Ok(match name {
        "app" => Piece::App,
        "stream" => Piece::Stream,
        "rendition" => Piece::Rendition,
        "session" => Piece::Session,
        "start" => Piece::Start(START.to_owned()),
        "n" => Piece::Number,
        _ => match name.strip_prefix("start:") {
            Some(format) => Piece::Start(checked(format)?),
            None => {
                return Err(format!(
                    "{{{name}}} is none of {{app}} {{stream}} {{rendition}} {{session}} {{start}} {{start:%Y-%m-%d}} {{n}}"
                ));
            }
        },
    })
}

/// What can stand behind a %.
const CONVERSIONS: &str = "YmdHMSsjFT%";

/// A format of times, of which each part is known.
fn checked(format: &str) -> Result<String, String> {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        let known = letter != '%' || letters.next().is_some_and(|letter| CONVERSIONS.contains(letter));
        if !known || letter == '{' {
            return Err(format!(
                "{{start:{format}}} is no format of a time: it may have %Y %m %d %H %M %S %j %s, %F for %Y-%m-%d and %T for %H:%M:%S"
            ));
        }
    }
    if format.is_empty() { Err("{start:} has no format; {start} needs none".to_owned()) } else { Ok(format.to_owned()) }
}

fn tells_seconds(format: &str) -> bool {
    let has = |wanted: char| conversions(format).any(|letter| letter == wanted);
    let day = has('F') || (has('Y') && (has('j') || (has('m') && has('d'))));
    has('s') || (day && (has('T') || (has('H') && has('M') && has('S'))))
}

fn conversions(format: &str) -> impl Iterator<Item = char> {
    let mut letters = format.chars();
    std::iter::from_fn(move || {
        while let Some(letter) = letters.next() {
            if letter == '%' {
                return letters.next();
            }
        }
        None
    })
}

/// A time in UTC, in a format that was [`checked`].
fn time(format: &str, seconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (moment.year(), u8::from(moment.month()), moment.day());
    let (hour, minute, second) = (moment.hour(), moment.minute(), moment.second());
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let part = match letters.next() {
            Some('Y') => format!("{year:04}"),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('H') => format!("{hour:02}"),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('j') => format!("{:03}", moment.ordinal()),
            Some('s') => seconds.to_string(),
            Some('F') => format!("{year:04}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_owned(),
            _ => String::new(),
        };
        out.push_str(&part);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: Names<'static> =
        Names { app: "live", stream: "cam", rendition: "source", session: "5e55", start: 1_763_780_645, number: 3 };

    #[test]
    fn keys_are_made_of_names_and_times() {
        for (template, key) in [
            ("live/{stream}/{start}.mp4", "live/cam/20251122T030405Z.mp4"),
            ("{app}/{start:%Y-%m-%d}/{stream}-{session}-{rendition}.mp4", "live/2025-11-22/cam-5e55-source.mp4"),
            ("{session}", "5e55"),
            ("{stream}{n}{start:%s}", "cam31763780645"),
            ("{stream}/{start:%F_%T %j %%}.mp4", "cam/2025-11-22_03:04:05 326 %.mp4"),
            ("ü{stream}/{start:%Y%j%H%M%S}", "ücam/2025326030405"),
        ] {
            assert_eq!(Template::parse(template).expect(template).key(&NAMES), key);
        }
        assert_eq!(Template::fill("live/{stream}/master.m3u8", &NAMES).as_deref(), Ok("live/cam/master.m3u8"));
    }

    #[test]
    fn what_would_be_written_over_is_refused_at_the_start() {
        for (template, says) in [
            ("live.mp4", "{start}"),
            ("live/{stream}.mp4", "{start}"),
            ("live/{stream}/{start:%Y-%m-%d}.mp4", "to the second"),
            ("live/{stream}/{start:%H%M%S}.mp4", "to the second"),
            ("live/{stream}/{n}.mp4", "{start}"),
            ("live/{start}.mp4", "{stream} or {session}"),
            ("live/{stream}/{strat}.mp4", "{strat} is none of"),
            ("live/{stream/{start}.mp4", "is none of"),
            ("live/{stream}/{start", "without a }"),
            ("live/stream}/{start}", "without a {"),
            ("{stream}{start:}", "no format"),
            ("{stream}{start:%x}", "no format of a time"),
            ("{stream}{start:%}", "no format of a time"),
            ("/{stream}/{start}", "begins with /"),
            ("a/../{stream}/{start}", "dots alone"),
            ("a\n{stream}/{start}", "cannot be shown"),
        ] {
            let refused = Template::parse(template).expect_err(template);
            assert!(refused.contains(says), "{template}: {refused}");
        }
        assert!(Template::parse(&format!("{{session}}{}", "x".repeat(1024))).is_err());
    }

    #[test]
    fn applications_are_fit_for_keys() {
        assert!(["live", "a/b", "a-1"].iter().all(|app| check_app(app).is_ok()));
        assert!(["", "a//b", "../a", "a b", "{x}", "ä"].iter().all(|app| check_app(app).is_err()));
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_breaks_it(text in "(\\{(stream|start|start:[%YmdHMSsxü]{0,6}|session|n|app)?\\}|[a-z{}/%.ü]){0,8}") {
            if let Ok(template) = Template::parse(&text) {
                let key = template.key(&NAMES);
                prop_assert!(!key.is_empty() && key.len() <= MAX_KEY && !key.contains(['{', '}']), "{}", key);
                let later = template.key(&Names { start: NAMES.start + 1, session: "0000", ..NAMES });
                prop_assert!(later != key);
                let other = template.key(&Names { stream: "other", session: "0000", ..NAMES });
                prop_assert!(other != key);
            }
        }

        #[test]
        fn text_without_names_is_left_as_it_is(text in "[^{}\\x00-\\x1f]{0,30}") {
            prop_assert_eq!(Template::fill(&text, &NAMES), Ok(text));
        }
    }
}
