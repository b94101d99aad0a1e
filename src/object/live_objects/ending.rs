//! What KEY and the head say together, when live objects have fallen silent: a pure table, and what to ask next.
//!
//! ```text
//! KEY is this recording                              complete: the rest is there, at the same offset
//! KEY is this recording, but shorter than was read   not whole yet, on some stores; for a limited time
//! head open                                          growing, whatever else stands under KEY
//! head open, a later run of another input began      what was read is not what the object will be
//!   before what was read
//! head given up                                      only KEY is waited for
//! head complete, or gone                             KEY is asked again: it was complete before the head said so
//!   KEY is then another object, or none              in doubt; after a while, replaced or gone
//! head aborted                                       gone
//! ```
//!
//! Another recording under KEY means nothing while one's own head is open: of two that run at once the first to be complete
//! stands there.

use crate::protocol::live_objects::{Head, State};

/// What stands under KEY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Nothing that can be seen.
    None,
    /// Something else than this recording.
    Other,
    /// This recording, with so many bytes.
    Ours(u64),
}

/// What is known of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is there.
    There(Box<Head>),
    /// It is not there any more, or cannot be seen.
    Gone,
}

/// One question whether it is over: where the reader is, and the answers so far.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The next byte that is wanted.
    pub(crate) cursor: u64,
    /// The run that the newest byte came from; none before the first.
    pub(crate) run: Option<u32>,
    /// All bytes there are, where the end mark has been met.
    pub(crate) ended: Option<u64>,
    /// Whether KEY alone is asked for now.
    pub(crate) brief: bool,
    /// KEY, asked first.
    pub(crate) key: Option<Key>,
    /// The head, asked after that.
    pub(crate) head: Option<Told>,
    /// KEY, asked after the head.
    pub(crate) after: Option<Key>,
}

/// What to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// HEAD of KEY.
    Key,
    /// The head.
    Head,
}

/// What the answers mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not known yet.
    Ask(Ask),
    /// Live objects may come.
    Growing,
    /// No live object will come, but KEY may.
    KeyOnly,
    /// KEY is this recording, and has so many bytes.
    Complete,
    /// KEY is this recording, but does not have what was read.
    Short(u64),
    /// It is over, but KEY is not it.
    Doubt {
        /// Something else stands there.
        replaced: bool,
    },
    /// It was abandoned.
    Aborted,
    /// The writer went on from this byte with another input; more had been read.
    Lost(u64),
}

impl Case {
    /// What the answers so far mean.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(key) = &self.key else { return Verdict::Ask(Ask::Key) };
        for key in [Some(key), self.after.as_ref()].into_iter().flatten() {
            match key {
                Key::Ours(size) if *size >= self.cursor.max(self.ended.unwrap_or(0)) => return Verdict::Complete,
                Key::Ours(size) => return Verdict::Short(*size),
                Key::Other | Key::None => {}
            }
        }
        if self.brief {
            return Verdict::KeyOnly;
        }
        let Some(head) = &self.head else { return Verdict::Ask(Ask::Head) };
        let over = |after: Option<&Key>| match after {
            None => Verdict::Ask(Ask::Key),
            Some(key) => Verdict::Doubt { replaced: *key == Key::Other },
        };
        let Told::There(head) = head else { return over(self.after.as_ref()) };
        if let Some(from) = lost(head, self.run, self.cursor) {
            return Verdict::Lost(from);
        }
        match head.state {
            State::Open | State::Unknown if self.is_behind_mark(head) => Verdict::KeyOnly,
            State::Open | State::Unknown => Verdict::Growing,
            State::GivenUp if head.edge() > self.cursor => Verdict::Growing,
            State::GivenUp => Verdict::KeyOnly,
            State::Complete => over(self.after.as_ref()),
            State::Aborted => Verdict::Aborted,
        }
    }
}

impl Case {
    /// Whether no object comes behind the end mark: no other run has begun.
    fn is_behind_mark(&self, head: &Head) -> bool {
        let same_run = self.run.is_none_or(|run| head.run().run <= run);
        same_run && self.ended.is_some_and(|ended| head.edge() <= ended)
    }
}

/// Where a run of another input begins, if more than that was read of an earlier run.
pub(crate) fn lost(head: &Head, run: Option<u32>, cursor: u64) -> Option<u64> {
    let later = head.runs.iter().filter(|later| run.is_some_and(|run| later.run > run));
    later.filter(|later| !later.same_input && later.from < cursor).map(|later| later.from).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::live_objects::RecordingId;
    use crate::protocol::part::PartSize;

    fn case(key: Key) -> Case {
        Case { cursor: 100, run: Some(0), ended: None, brief: false, key: Some(key), head: None, after: None }
    }

    fn head(state: State) -> Head {
        let mut head = Head::new(RecordingId::new(1, 2), "upload".to_owned(), PartSize::DEFAULT);
        head.push(150);
        head.state = state;
        head
    }

    fn told(state: State) -> Told {
        Told::There(Box::new(head(state)))
    }

    #[test]
    fn key_is_asked_first_and_decides_alone_where_it_is_this_recording() {
        assert_eq!(Case { key: None, ..case(Key::None) }.verdict(), Verdict::Ask(Ask::Key));
        for head in [None, Some(told(State::Open)), Some(told(State::Aborted)), Some(Told::Gone)] {
            for (size, ended, expected) in [
                (100, None, Verdict::Complete),
                (500, None, Verdict::Complete),
                (100, Some(100), Verdict::Complete),
                (99, None, Verdict::Short(99)),
                (100, Some(101), Verdict::Short(100)),
            ] {
                let ours = Case { head: head.clone(), ended, ..case(Key::Ours(size)) };
                assert_eq!(ours.verdict(), expected, "{ours:?}");
                let later = Case { after: Some(Key::Ours(size)), ..Case { key: Some(Key::None), ..ours } };
                assert_eq!(later.verdict(), expected, "{later:?}");
            }
        }
        for key in [Key::None, Key::Other] {
            assert_eq!(case(key.clone()).verdict(), Verdict::Ask(Ask::Head));
            assert_eq!(Case { brief: true, ..case(key) }.verdict(), Verdict::KeyOnly);
        }
    }

    #[test]
    fn what_the_head_says_counts_where_key_is_something_else() {
        for key in [Key::None, Key::Other] {
            let verdict = |state| Case { head: Some(told(state)), ..case(key.clone()) }.verdict();
            assert_eq!(verdict(State::Open), Verdict::Growing);
            assert_eq!(verdict(State::Unknown), Verdict::Growing);
            assert_eq!(verdict(State::GivenUp), Verdict::Growing, "there is more to read");
            assert_eq!(verdict(State::Aborted), Verdict::Aborted);
            let read_all = |state| Case { head: Some(told(state)), cursor: 150, ..case(key.clone()) }.verdict();
            assert_eq!(read_all(State::Open), Verdict::Growing);
            assert_eq!(read_all(State::GivenUp), Verdict::KeyOnly);
            let ended = Case { head: Some(told(State::Open)), cursor: 150, ended: Some(150), ..case(key.clone()) };
            assert_eq!(ended.verdict(), Verdict::KeyOnly, "no object comes behind the mark");
        }
    }

    #[test]
    fn who_is_over_and_not_under_key_is_in_doubt_only_when_key_was_asked_after_that() {
        for head in [told(State::Complete), Told::Gone].map(Some) {
            for first in [Key::None, Key::Other] {
                let case = Case { head: head.clone(), ..case(first) };
                assert_eq!(case.verdict(), Verdict::Ask(Ask::Key));
                for (after, replaced) in [(Key::None, false), (Key::Other, true)] {
                    let case = Case { after: Some(after), ..case.clone() };
                    assert_eq!(case.verdict(), Verdict::Doubt { replaced }, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn a_later_run_of_another_input_may_not_begin_before_what_was_read() {
        let mut head = head(State::Open);
        let gone_on = |head: &Head, cursor, run| lost(head, run, cursor);
        assert_eq!(gone_on(&head, 1_000, Some(0)), None, "the only run");
        head.go_on(true).expect("a run");
        assert_eq!(gone_on(&head, 1_000, Some(0)), None, "of the same file");
        head.push(50);
        head.go_on(false).expect("a run");
        for (cursor, run, expected) in [
            (200, Some(0), None),
            (201, Some(0), Some(200)),
            (201, Some(1), Some(200)),
            (201, Some(2), None),
            (201, None, None),
        ] {
            assert_eq!(gone_on(&head, cursor, run), expected, "{cursor} of {run:?}");
        }
        let case = Case { cursor: 201, head: Some(Told::There(Box::new(head))), ..case(Key::Other) };
        assert_eq!(case.verdict(), Verdict::Lost(200));
    }
}
