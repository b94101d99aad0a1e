//! The head of a recording: what is known of it so far, written anew every few seconds. Pure.

use serde::{Deserialize, Serialize};

use super::{DocumentError, MAX_RUNS, Page, RecordingId, VERSION, read, written};
use crate::protocol::live_read::MAX_OBJECT_SIZE;
use crate::protocol::part::PartSize;

/// The longest upload id and content type that are taken over.
const LONGEST: usize = 1_024;

/// What lies at `_live/KEY/REC/head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    v: u32,
    /// Which recording it tells of.
    pub recording: RecordingId,
    /// The upload that becomes KEY.
    pub upload_id: String,
    /// The size of that upload's parts, and the most bytes that a live object has.
    pub part_size: u64,
    /// KEY's content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How far it is.
    pub state: State,
    /// All bytes there are, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How long a byte may wait in the writer, in milliseconds; none where a live object is a whole part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<u64>,
    /// The runs so far, the first of them with number 0; what is being written belongs to the last.
    pub runs: Vec<Run>,
    /// How many full index pages there are.
    pub pages: u32,
    /// The live objects behind the last full page.
    pub page: Page,
}

/// The writing of one process. A recording has more than one where `--resume` went on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The number that its names have.
    pub run: u32,
    /// Where it begins. What an earlier run has at this offset or behind it does not count.
    pub from: u64,
    /// It takes its input from the same file from `from` on, so that whoever has read what does not count has read the same
    /// bytes. Of a stream they may be others.
    #[serde(default)]
    pub same_input: bool,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Live objects are being written.
    Open,
    /// No more live objects will come, but the upload goes on: KEY will have all.
    GivenUp,
    /// KEY is complete.
    Complete,
    /// It was abandoned: KEY will not come.
    Aborted,
    /// A state that only later programs know.
    #[serde(other)]
    Unknown,
}

impl Head {
    /// Of a recording that begins.
    #[must_use]
    pub fn new(recording: RecordingId, upload_id: String, part_size: PartSize) -> Self {
        Self {
            v: VERSION,
            recording,
            upload_id,
            part_size: part_size.get(),
            content_type: None,
            state: State::Open,
            size: None,
            max_latency: None,
            runs: vec![Run { run: 0, from: 0, same_input: false }],
            pages: 0,
            page: Page::new(0),
        }
    }

    /// Up to where live objects lie without a gap, as far as it knows.
    #[must_use]
    pub fn edge(&self) -> u64 {
        self.page.end()
    }

    /// What is being written, or was at last.
    #[must_use]
    pub fn run(&self) -> Run {
        self.runs.last().copied().unwrap_or(Run { run: 0, from: 0, same_input: false })
    }

    /// Notes the live object that lies behind the last. The page that is full with it, and its number, to be stored.
    pub fn push(&mut self, length: u64) -> Option<(u32, Page)> {
        self.page.push(self.run().run, length);
        if !self.page.is_full() {
            return None;
        }
        let next = Page::new(self.page.end());
        let number = self.pages;
        self.pages += 1;
        Some((number, std::mem::replace(&mut self.page, next)))
    }

    /// Begins another run where live objects end.
    ///
    /// # Errors
    /// When it has as many runs as it can have.
    pub fn go_on(&mut self, same_input: bool) -> Result<(), DocumentError> {
        let run = self.run().run + 1;
        if run >= MAX_RUNS {
            return Err(DocumentError::Impossible("it was gone on with as often as it can be"));
        }
        self.runs.push(Run { run, from: self.edge(), same_input });
        self.state = State::Open;
        self.size = None;
        Ok(())
    }

    /// Reads what a store gave.
    ///
    /// # Errors
    /// [`DocumentError`] for anything that this program does not understand.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let head: Self = read(bytes)?;
        head.page.check()?;
        let impossible = |what| Err(DocumentError::Impossible(what));
        let is_word = |text: &str| text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if head.upload_id.is_empty() || !is_word(&head.upload_id) {
            return impossible("an upload id that cannot be one");
        }
        let is_line = |text: &String| text.len() <= LONGEST && !text.chars().any(char::is_control);
        if !head.content_type.as_ref().is_none_or(is_line) {
            return impossible("a content type that cannot be one");
        }
        if PartSize::new(head.part_size).is_err() {
            return impossible("a part size outside the limits");
        }
        if head.size.is_some_and(|size| size > MAX_OBJECT_SIZE) {
            return impossible("more bytes than an object can have");
        }
        let numbered = head.runs.iter().zip(0..MAX_RUNS).all(|(run, number)| run.run == number);
        let rising = head.runs.windows(2).all(|two| two[0].from <= two[1].from);
        let begun = head.runs.first().is_some_and(|first| first.from == 0);
        if !numbered || !rising || !begun || head.runs.len() > MAX_RUNS as usize || head.run().from > head.edge() {
            return impossible("runs out of order");
        }
        if head.page.entries().any(|entry| entry.run > head.run().run) {
            return impossible("live objects of a run that there is not");
        }
        Ok(head)
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        written(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn head() -> Head {
        Head::new(RecordingId::new(1_795_271_629, 7), "upload-1".to_owned(), PartSize::DEFAULT)
    }

    #[test]
    fn it_is_read_again() {
        let mut head = head();
        head.content_type = Some("video/mp4; codecs=\"avc1\"".to_owned());
        head.max_latency = Some(1_000);
        assert_eq!(head.push(750_000), None);
        head.go_on(true).expect("one more");
        assert_eq!(head.push(250_000), None);
        assert_eq!((head.edge(), head.run()), (1_000_000, Run { run: 1, from: 750_000, same_input: true }));
        assert_eq!(Head::parse(&head.to_bytes()), Ok(head));
    }

    #[test]
    fn a_full_page_is_handed_out_once_and_the_next_begins_behind_it() {
        let mut head = head();
        let mut pages = Vec::new();
        for length in 1..=600 {
            pages.extend(head.push(length));
        }
        assert_eq!(pages.iter().map(|(number, page)| (*number, page.len())).collect::<Vec<_>>(), [(0, 256), (1, 256)]);
        assert_eq!(pages[0].1.end(), pages[1].1.from());
        assert_eq!(pages[1].1.end(), head.page.from());
        assert_eq!((head.pages, head.page.len(), head.edge()), (2, 88, 600 * 601 / 2));
    }

    #[test]
    fn the_largest_head_is_far_below_what_is_read() {
        let mut head = head();
        (head.upload_id, head.content_type) = ("u".repeat(LONGEST), Some("t".repeat(LONGEST)));
        for _ in 1..MAX_RUNS {
            head.go_on(true).expect("one more");
        }
        assert!(head.go_on(true).is_err());
        for _ in 1..Page::FULL {
            assert!(head.push(crate::protocol::live_read::MAX_PART_SIZE).is_none());
        }
        let bytes = head.to_bytes();
        assert!(bytes.len() as u64 <= super::super::MAX_DOCUMENT, "{}", bytes.len());
        assert!(Head::parse(&bytes).is_ok());
    }

    #[test]
    fn a_stranger_s_head_is_held_to_what_can_be() {
        let sound = || serde_json::to_value(head()).expect("JSON");
        let parse = |value: &Value| Head::parse(value.to_string().as_bytes());
        assert!(parse(&sound()).is_ok());
        for (field, value) in [
            ("v", json!(2)),
            ("v", json!(0)),
            ("recording", json!("now")),
            ("upload_id", json!("")),
            ("upload_id", json!("a b")),
            ("upload_id", json!("u".repeat(1_025))),
            ("part_size", json!(1)),
            ("part_size", json!(u64::MAX)),
            ("content_type", json!("a\r\nb")),
            ("size", json!(u64::MAX)),
            ("size", json!(-1)),
            ("pages", json!(u64::MAX)),
            ("runs", json!([])),
            ("runs", json!([{"run": 1, "from": 0}])),
            ("runs", json!([{"run": 0, "from": 5}])),
            ("runs", json!([{"run": 0, "from": 0}, {"run": 1, "from": 5}])),
            ("page", json!({"from": 0, "spans": [{"run": 1, "lengths": [5]}]})),
            ("page", json!({"from": 0, "spans": [{"run": 0, "lengths": [0]}]})),
            ("state", json!(1)),
        ] {
            let mut changed = sound();
            changed[field] = value;
            assert!(parse(&changed).is_err(), "{changed}");
        }
        // What later programs may add.
        for (field, value) in [("state", json!("paused")), ("more", json!({"a": 1})), ("max_latency", Value::Null)] {
            let mut changed = sound();
            changed[field] = value;
            assert!(parse(&changed).is_ok(), "{changed}");
        }
        let mut later = sound();
        later["state"] = json!("paused");
        assert_eq!(parse(&later).map(|head| head.state), Ok(State::Unknown));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Head::parse(text.as_bytes());
        }
    }
}
