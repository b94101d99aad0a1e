//! Index pages: where live objects that lie one behind the other begin, and in which run. Pure.
//!
//! Only what is stored without a gap before it is in an index, so the lengths alone say everything:
//!
//! ```text
//! {"v":1,"from":0,"spans":[{"run":0,"lengths":[750000,750000]},{"run":1,"lengths":[750000]}]}
//! 0 to 750,000 and from there to 1,500,000 in run 0, then to 2,250,000 in run 1
//! ```
//!
//! A page is written once and never again. What is too young for a full page is in the head, in the same form, and the head
//! is written every 5 s: 256 lengths keep it below a hundredth of a stream of 128 kbit/s (1,000 offsets were a twentieth).

use serde::{Deserialize, Serialize};

use super::{DocumentError, MAX_RUNS, VERSION, read, written};
use crate::protocol::live_read::{MAX_OBJECT_SIZE, MAX_PART_SIZE};

/// Live objects that lie one behind the other, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    #[serde(default = "version")]
    v: u32,
    /// Offset of the first byte of the first.
    from: u64,
    spans: Vec<Span>,
}

/// Those of them that are of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    run: u32,
    lengths: Vec<u64>,
}

/// One of the live objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The run that its name has.
    pub run: u32,
    /// Offset of its first byte.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

impl Entry {
    /// Offset of the byte behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.length
    }
}

fn version() -> u32 {
    VERSION
}

impl Page {
    /// How many live objects make a full page.
    pub const FULL: usize = 256;

    /// The most that is taken from somebody else's page.
    const MOST: usize = 4_096;

    /// With nothing in it yet; what comes first begins at `from`.
    #[must_use]
    pub fn new(from: u64) -> Self {
        Self { v: VERSION, from, spans: Vec::new() }
    }

    /// Adds what lies behind the last.
    pub fn push(&mut self, run: u32, length: u64) {
        match self.spans.last_mut().filter(|span| span.run == run) {
            Some(span) => span.lengths.push(length),
            None => self.spans.push(Span { run, lengths: vec![length] }),
        }
    }

    /// Offset of its first byte.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Offset of the byte behind the last of them.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.entries().last().map_or(self.from, |entry| entry.end())
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.iter().map(|span| span.lengths.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has to be stored, and a new one begun.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= Self::FULL
    }

    /// They themselves, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let all = self.spans.iter().flat_map(|span| span.lengths.iter().map(|length| (span.run, *length)));
        all.scan(self.from, |offset, (run, length)| {
            let entry = Entry { run, offset: *offset, length };
            *offset = entry.end();
            Some(entry)
        })
    }

    /// The one that has the byte at `offset`.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<Entry> {
        self.entries().find(|entry| (entry.offset..entry.end()).contains(&offset))
    }

    /// Reads what a store gave.
    ///
    /// # Errors
    /// [`DocumentError`] for anything that this program does not understand.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let page: Self = read(bytes)?;
        page.check()?;
        Ok(page)
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        written(self)
    }

    /// That sums with its numbers do not overflow, and that it is no larger than it can be.
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let impossible = |what| Err(DocumentError::Impossible(what));
        if self.len() > Self::MOST || self.spans.len() > self.len() {
            return impossible("more live objects than a page has");
        }
        if self.spans.windows(2).any(|two| two[0].run >= two[1].run)
            || self.spans.iter().any(|span| span.run >= MAX_RUNS)
        {
            return impossible("runs out of order");
        }
        let mut end = self.from;
        for length in self.spans.iter().flat_map(|span| &span.lengths) {
            if *length == 0 || *length > MAX_PART_SIZE {
                return impossible("a live object of a size that none can have");
            }
            end = end.saturating_add(*length);
        }
        if end > MAX_OBJECT_SIZE { impossible("more bytes than an object can have") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_say_everything() {
        let mut page = Page::new(0);
        assert!(page.is_empty() && page.end() == 0 && page.at(0).is_none());
        page.push(0, 750_000);
        page.push(0, 750_000);
        page.push(1, 500_000);
        let text = b"{\"v\":1,\"from\":0,\"spans\":[{\"run\":0,\"lengths\":[750000,750000]},{\"run\":1,\"lengths\":[500000]}]}\n";
        assert_eq!(page.to_bytes(), text);
        assert_eq!(Page::parse(text), Ok(page.clone()));
        assert_eq!((page.len(), page.end()), (3, 2_000_000));
        for (offset, run, first) in [(0, 0, 0), (749_999, 0, 0), (750_000, 0, 750_000), (1_999_999, 1, 1_500_000)] {
            let entry = page.at(offset).expect("it is there");
            assert_eq!((entry.run, entry.offset), (run, first), "{offset}");
        }
        assert_eq!(page.at(2_000_000), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let most = MAX_OBJECT_SIZE;
        for text in [
            r#"{"v":1,"from":0,"spans":[{"run":0,"lengths":[0]}]}"#.to_owned(),
            format!(r#"{{"v":1,"from":0,"spans":[{{"run":0,"lengths":[{}]}}]}}"#, MAX_PART_SIZE + 1),
            format!(r#"{{"v":1,"from":{most},"spans":[{{"run":0,"lengths":[1]}}]}}"#),
            format!(r#"{{"v":1,"from":{},"spans":[]}}"#, u64::MAX),
            r#"{"v":1,"from":0,"spans":[{"run":1,"lengths":[1]},{"run":0,"lengths":[1]}]}"#.to_owned(),
            r#"{"v":1,"from":0,"spans":[{"run":0,"lengths":[1]},{"run":0,"lengths":[1]}]}"#.to_owned(),
            r#"{"v":1,"from":0,"spans":[{"run":1000,"lengths":[1]}]}"#.to_owned(),
            r#"{"v":1,"from":0,"spans":[{"run":0,"lengths":[]},{"run":1,"lengths":[]}]}"#.to_owned(),
            r#"{"v":1,"from":-1,"spans":[]}"#.to_owned(),
            format!(r#"{{"v":1,"from":0,"spans":[{{"run":0,"lengths":[{}1]}}]}}"#, "1,".repeat(5_000)),
        ] {
            assert!(Page::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_page_is_read_again(
            from in 0..1u64 << 40,
            pushed in proptest::collection::vec((0..3u32, 1..=MAX_PART_SIZE), 0..300),
        ) {
            let mut page = Page::new(from);
            let (mut run, mut end) = (0, from);
            for (more, length) in pushed {
                run += u32::from(more == 2);
                page.push(run, length);
                let entry = page.at(end).expect("just pushed");
                prop_assert_eq!(entry, Entry { run, offset: end, length });
                end += length;
            }
            prop_assert_eq!(page.end(), end);
            prop_assert_eq!(Page::parse(&page.to_bytes()), Ok(page));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Page::parse(text.as_bytes());
        }
    }
}
