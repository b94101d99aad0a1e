//! The names of a key's live objects and documents, made and recognised. Pure.

use super::{MAX_RUNS, RecordingId};
use crate::protocol::key::{MAX_KEY, split_extension};
use crate::protocol::live_read::MAX_OBJECT_SIZE;

/// Digits of an offset: enough for any object, and in the order of the alphabet.
const OFFSET_DIGITS: usize = 16;

/// Digits of an index page's number.
const PAGE_DIGITS: usize = 6;

/// The pages of one recording, as many as their names have numbers for.
const MAX_PAGES: u32 = 1_000_000;

/// What all names begin with (`--live-prefix`), without the slash at its end: `_live`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that cannot be a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be the prefix of live objects: it is one or more names with / between them, such as _live or tmp/live"
)]
pub struct PrefixError(String);

impl Default for Prefix {
    fn default() -> Self {
        Self("_live".to_owned())
    }
}

impl Prefix {
    /// Checks a prefix; a slash at its end makes no difference.
    ///
    /// # Errors
    /// When a part of it between slashes is empty, `.` or `..`, or has control characters, or all of it is too long.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let bare = text.strip_suffix('/').unwrap_or(text);
        let sound = bare.len() <= MAX_KEY / 2
            && bare.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control));
        if sound { Ok(Self(bare.to_owned())) } else { Err(PrefixError(text.chars().take(80).collect())) }
    }

    /// Without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a key can have no live objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// The longest name would be longer than a key can be.
    #[error(
        "the names of its live objects would have up to {length} bytes, and a key can have {MAX_KEY}: a key or --live-prefix \
         that is {} bytes shorter would do",
        length.saturating_sub(MAX_KEY)
    )]
    TooLong {
        /// Bytes of the longest name.
        length: usize,
    },
    /// The key lies among live objects itself.
    #[error("it lies below {0}/, where live objects of other keys are kept: another key or --live-prefix would do")]
    Inside(String),
}

/// What a name below a key's folder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The pointer.
    Pointer,
    /// The head of a recording.
    Head(RecordingId),
    /// An index page of a recording.
    Page(RecordingId, u32),
    /// A live object or the end mark: recording, run, offset.
    Object(RecordingId, u32, u64),
}

impl Name {
    /// The recording that it belongs to; none for the pointer.
    #[must_use]
    pub fn recording(&self) -> Option<&RecordingId> {
        match self {
            Self::Pointer => None,
            Self::Head(recording) | Self::Page(recording, _) | Self::Object(recording, ..) => Some(recording),
        }
    }
}

/// Makes and recognises the names of one key's live objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `_live/KEY/`
    folder: String,
    /// KEY's extension with its dot, as players and browsers want to see it.
    extension: String,
}

impl Names {
    /// The names of `key` below `prefix`.
    ///
    /// # Errors
    /// When one of them would be longer than a key can be, or the key itself lies below the prefix.
    pub fn new(prefix: &Prefix, key: &str) -> Result<Self, NamesError> {
        let folder = format!("{}/{key}/", prefix.0);
        if key.strip_prefix(&prefix.0).is_some_and(|rest| rest.starts_with('/')) {
            return Err(NamesError::Inside(prefix.0.clone()));
        }
        let extension = split_extension(key).1.to_owned();
        let run = (MAX_RUNS - 1).to_string().len();
        let length = folder.len() + RecordingId::LEN + 1 + run + 1 + OFFSET_DIGITS + extension.len();
        if length > MAX_KEY {
            return Err(NamesError::TooLong { length });
        }
        Ok(Self { folder, extension })
    }

    /// What all of them begin with. What other keys' names begin with it, too: see [`Self::parse`].
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Where it is said which recording is being made.
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("{}now", self.folder)
    }

    /// What all names of one recording begin with.
    #[must_use]
    pub fn recording(&self, recording: &RecordingId) -> String {
        format!("{}{recording}/", self.folder)
    }

    /// Where it is said how a recording goes.
    #[must_use]
    pub fn head(&self, recording: &RecordingId) -> String {
        format!("{}{recording}/head", self.folder)
    }

    /// An index page.
    #[must_use]
    pub fn page(&self, recording: &RecordingId, page: u32) -> String {
        format!("{}{recording}/index/{page:0PAGE_DIGITS$}", self.folder)
    }

    /// The live object whose first byte is at `offset`, or the end mark.
    #[must_use]
    pub fn object(&self, recording: &RecordingId, run: u32, offset: u64) -> String {
        format!("{}{recording}/{run}/{}", self.folder, self.file(offset))
    }

    /// The last part of that name.
    #[must_use]
    pub fn file(&self, offset: u64) -> String {
        format!("{offset:0OFFSET_DIGITS$}{}", self.extension)
    }

    /// What `name` stands for, or `None` where it is none of this key's: keys such as `KEY/b.mp4` have theirs below the same
    /// folder, and people may put anything there.
    #[must_use]
    pub fn parse(&self, name: &str) -> Option<Name> {
        let rest = name.strip_prefix(&self.folder)?;
        if rest == "now" {
            return Some(Name::Pointer);
        }
        let (recording, rest) = rest.split_once('/')?;
        let recording = RecordingId::parse(recording)?;
        if rest == "head" {
            return Some(Name::Head(recording));
        }
        let found = match rest.split_once('/')? {
            ("index", page) => Name::Page(recording, number(page, MAX_PAGES.into())?.try_into().ok()?),
            (run, object) => {
                let offset = number(object.strip_suffix(&self.extension)?, MAX_OBJECT_SIZE + 1)?;
                Name::Object(recording, number(run, MAX_RUNS.into())?.try_into().ok()?, offset)
            }
        };
        // One name for each thing: nothing that is written another way, as with fewer zeros, is taken for it.
        (self.made(&found) == name).then_some(found)
    }

    fn made(&self, name: &Name) -> String {
        match name {
            Name::Pointer => self.pointer(),
            Name::Head(recording) => self.head(recording),
            Name::Page(recording, page) => self.page(recording, *page),
            Name::Object(recording, run, offset) => self.object(recording, *run, *offset),
        }
    }
}

/// Digits, and nothing else, that stand for less than `limit`.
fn number(text: &str, limit: u64) -> Option<u64> {
    let digits = (1..=OFFSET_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number < limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(key: &str) -> Names {
        Names::new(&Prefix::default(), key).expect("short enough")
    }

    fn recording() -> RecordingId {
        RecordingId::new(1_795_271_629, 0x9f3c_2a7b)
    }

    #[test]
    fn the_layout_is_as_the_picture_has_it() {
        let (names, recording) = (names("a/live.mp4"), recording());
        assert_eq!(names.pointer(), "_live/a/live.mp4/now");
        assert_eq!(names.head(&recording), "_live/a/live.mp4/20261121T143349Z-9f3c2a7b/head");
        assert_eq!(names.page(&recording, 12), "_live/a/live.mp4/20261121T143349Z-9f3c2a7b/index/000012");
        let object = "_live/a/live.mp4/20261121T143349Z-9f3c2a7b/1/0000000005242880.mp4";
        assert_eq!(names.object(&recording, 1, 5_242_880), object);
        let below = Names::new(&Prefix::new("tmp/live/").expect("a prefix"), "log").expect("short");
        assert_eq!(below.object(&recording, 0, 0), "tmp/live/log/20261121T143349Z-9f3c2a7b/0/0000000000000000");
        assert!(object.starts_with(&names.recording(&recording)));
    }

    #[test]
    fn only_what_this_writer_names_is_recognised() {
        let names = names("a");
        for (rest, why) in [
            ("", "the folder"),
            ("now/", "another name"),
            ("b.mp4/now", "another key's pointer"),
            ("b.mp4/20261121T143349Z-9f3c2a7b/head", "another key's head"),
            ("20261121T143349Z-9f3c2a7b/now", "the pointer of a key like a recording"),
            ("20261121T143349Z-9f3c2a7b", "no object of ours"),
            ("20261121T143349Z-9f3c2a7b/head/x", "not the head"),
            ("20261121T143349Z-9F3C2A7B/head", "written another way"),
            ("20261121T143349Z-9f3c2a7b/index/0", "too few digits"),
            ("20261121T143349Z-9f3c2a7b/index/0000000", "too many digits"),
            ("20261121T143349Z-9f3c2a7b/index/00000a", "no number"),
            ("20261121T143349Z-9f3c2a7b/0/0000000000000000.mp4", "another extension"),
            ("20261121T143349Z-9f3c2a7b/00/0000000000000000", "a run written another way"),
            ("20261121T143349Z-9f3c2a7b/1000/0000000000000000", "a run beyond the last"),
            ("20261121T143349Z-9f3c2a7b/0/000000000000000", "15 digits"),
            ("20261121T143349Z-9f3c2a7b/0/+000000000000000", "a sign"),
            ("20261121T143349Z-9f3c2a7b/0/9999999999999999", "an offset that none has"),
            ("20261121T143349Z-9f3c2a7b/0/0000000000000000/x", "below an object"),
        ] {
            assert_eq!(names.parse(&format!("_live/a/{rest}")), None, "{why}: {rest}");
        }
        assert_eq!(names.parse("_live/ab/now"), None);
        assert_eq!(names.parse("live/a/now"), None);
    }

    #[test]
    fn a_key_whose_names_are_too_long_is_refused_with_the_bytes_to_spare() {
        // _live/ + key + / + recording + / + 999 + / + 16 digits + .mp4
        let longest = MAX_KEY - 6 - 1 - RecordingId::LEN - 1 - 3 - 1 - 16 - 4;
        let key = |length: usize| format!("{}.mp4", "k".repeat(length - 4));
        let names = Names::new(&Prefix::default(), &key(longest)).expect("it just fits");
        assert_eq!(names.object(&recording(), MAX_RUNS - 1, MAX_OBJECT_SIZE).len(), MAX_KEY);
        let error = Names::new(&Prefix::default(), &key(longest + 7)).expect_err("too long");
        assert_eq!(error, NamesError::TooLong { length: MAX_KEY + 7 });
        assert!(error.to_string().contains("7 bytes shorter"), "{error}");
        // Bytes count, not letters.
        assert!(Names::new(&Prefix::default(), &"é".repeat(longest / 2 + 4)).is_err());
    }

    #[test]
    fn a_key_among_live_objects_has_none() {
        for key in ["_live/a", "_live/", "_live/a/now"] {
            assert_eq!(Names::new(&Prefix::default(), key), Err(NamesError::Inside("_live".to_owned())));
        }
        assert!(Names::new(&Prefix::default(), "_lively/a").is_ok());
        assert!(Names::new(&Prefix::default(), "a/_live/b").is_ok());
    }

    #[test]
    fn a_prefix_is_names_with_slashes_between() {
        for text in ["", "/", "/a", "a//b", "a/../b", ".", "a\nb", &"p".repeat(513)] {
            assert!(Prefix::new(text).is_err(), "{text:?}");
        }
        for (text, bare) in [("a", "a"), ("a/", "a"), ("a/b.c", "a/b.c"), ("..a", "..a")] {
            assert_eq!(Prefix::new(text).expect("a prefix").as_str(), bare);
        }
    }

    fn any_name() -> impl Strategy<Value = Name> {
        let recording = || (0..=253_402_300_799i64, any::<u32>()).prop_map(|(s, r)| RecordingId::new(s, r));
        prop_oneof![
            Just(Name::Pointer),
            recording().prop_map(Name::Head),
            (recording(), 0..MAX_PAGES).prop_map(|(recording, page)| Name::Page(recording, page)),
            (recording(), 0..MAX_RUNS, 0..=MAX_OBJECT_SIZE).prop_map(|(r, run, offset)| Name::Object(r, run, offset)),
        ]
    }

    /// Keys that nest, among them names that the layout itself uses.
    fn any_key() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("a".to_owned()),
            Just("now".to_owned()),
            Just("head".to_owned()),
            Just("index".to_owned()),
            Just("0".to_owned()),
            Just("0000000000000000".to_owned()),
            Just("b.0".to_owned()),
            Just(String::new()),
            Just("20261121T143349Z-9f3c2a7b".to_owned()),
            "[a-c.]{1,4}",
        ];
        proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn every_name_is_recognised_as_what_it_was_made_for(key in any_key(), name in any_name()) {
            let names = names(&key);
            let made = names.made(&name);
            prop_assert!(made.len() <= MAX_KEY);
            prop_assert_eq!(names.parse(&made), Some(name));
        }

        #[test]
        fn no_name_belongs_to_two_keys(key in any_key(), more in any_key(), name in any_name()) {
            let below = format!("{key}/{more}");
            prop_assert_eq!(names(&key).parse(&names(&below).made(&name)), None);
            prop_assert_eq!(names(&below).parse(&names(&key).made(&name)), None);
        }

        #[test]
        fn objects_sort_by_offset(a in 0..=MAX_OBJECT_SIZE, b in 0..=MAX_OBJECT_SIZE) {
            let names = names("k.mp4");
            prop_assert_eq!(a.cmp(&b), names.object(&recording(), 0, a).cmp(&names.object(&recording(), 0, b)));
        }
    }
}
