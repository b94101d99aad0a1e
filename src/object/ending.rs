//! How the reading of an upload ends: a pure table of what the store's answers mean together, and what to ask next.
//!
//! The answers may disagree for a while: while an upload is being completed, which takes minutes for a large one, it may
//! be in no list any more, not yet be a finished object, and still be read live. So each has its own weight:
//!
//! ```text
//! HEAD of the pinned version   200                        complete, with that size
//! live read at the edge        416                        it is there, whatever a list says
//! live read at the edge        404, and it is listed      open, but not to be read live
//! live read at the edge        404, neither listed nor    gone, if another live read, sent after these answers,
//!                              finished                   says 404 again
//! list, HEAD of the key        something that began later the reader goes over to it if it has read nothing yet
//! HEAD of the key              something new              complete, if it is the pinned version; or if that is neither listed
//!                                                         nor finished, and was never to be read live
//! ```

use crate::object::live_objects::locate::{Finder, Found};
use crate::store::{Head, OpenUpload};

/// What a live read at the edge was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// 416: nothing more yet.
    NotYet,
    /// 404.
    Absent,
}

/// What is known of the open uploads of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum List {
    /// These credentials may not list, or no upload is pinned that could be looked for in a list.
    Unknown,
    /// The oldest first.
    Open(Vec<OpenUpload>),
}

/// One question whether it is over: what is known of the upload, and the answers so far.
#[allow(clippy::option_option, reason = "not asked; or asked, and there is none or this one")]
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The newest answer to a live read.
    pub(crate) look: Look,
    /// Whether it is time for a list, which is the dearest request.
    pub(crate) thorough: bool,
    /// Whether it looked gone before that live read.
    pub(crate) doubted: bool,
    /// The pinned upload.
    pub(crate) pinned: Option<String>,
    /// Whether another may take its place: no byte was read, and nobody asked for this one by its id.
    pub(crate) free: bool,
    /// Whether only what began since is wanted.
    pub(crate) waits: bool,
    /// Whether no live read has ever been answered otherwise than 404.
    pub(crate) unseen: bool,
    /// The finished object of the key that was there before the upload.
    pub(crate) before: Option<Head>,
    /// HEAD of the pinned version: not asked, or 404, or the finished object.
    pub(crate) head: Option<Option<Head>>,
    /// The open uploads, where they have been asked for.
    pub(crate) list: Option<List>,
    /// HEAD of the key, which stands for its newest finished object.
    pub(crate) current: Option<Option<Head>>,
    /// Looks for live objects, should it not be possible to read it live.
    pub(crate) finder: Option<Finder>,
}

/// What to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// HEAD of the pinned version.
    Head,
    /// The open uploads of the key.
    List,
    /// HEAD of the key.
    Current,
    /// Another live read, sent after all these answers.
    Look,
}

/// An upload or object of the same key that began after the pinned upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Newer {
    /// An open upload.
    Open(OpenUpload),
    /// A finished object.
    Finished(Head),
}

/// What the answers mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may still grow. There may be a newer one beside it, to be mentioned.
    Growing(Option<Newer>),
    /// It is complete with this many bytes, and to be had under this version, where there is one.
    Complete {
        /// Its size.
        size: u64,
        /// The version to read.
        version: Option<String>,
    },
    /// It was aborted, or its version deleted.
    Gone,
    /// There is a newer one to go over to.
    Newer(Newer),
    /// It cannot be read live, but there are live objects.
    Recording(Found),
    /// Not known yet.
    Ask(Ask),
}

impl Case {
    /// What the answers so far mean.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.is_told_by_key() {
            return match &self.current {
                None => Verdict::Ask(Ask::Current),
                Some(Some(head)) if head.version.is_some() && head.version == self.pinned => {
                    Verdict::Complete { size: head.size, version: self.pinned.clone() }
                }
                Some(Some(head)) if !self.is_before(head) => Self { thorough: true, ..self.clone() }.verdict(),
                Some(_) => Verdict::Growing(None),
            };
        }
        let Some(head) = &self.head else { return Verdict::Ask(Ask::Head) };
        if let Some(head) = head.as_ref().filter(|head| self.pinned.is_some() || !self.is_before(head)) {
            return Verdict::Complete {
                size: head.size,
                version: self.pinned.clone().or_else(|| head.version.clone()),
            };
        }
        if !self.thorough {
            return Verdict::Growing(None);
        }
        let Some(list) = &self.list else { return Verdict::Ask(Ask::List) };
        // Without a pinned version the HEAD was one of the key.
        let current = if self.pinned.is_some() { &self.current } else { &self.head };
        let Some(current) = current else { return Verdict::Ask(Ask::Current) };
        if self.look == Look::NotYet || self.place_in(list).is_some() {
            return match newest_after(list, self.place_in(list), current.as_ref(), self.tie(current.as_ref())) {
                Some(newer) if self.free => Verdict::Newer(newer),
                newer => Verdict::Growing(newer),
            };
        }
        // On stores whose upload ids are no version ids, the finished object is to be had by its key alone.
        match current {
            Some(head) if self.unseen && !self.is_before(head) => {
                Verdict::Complete { size: head.size, version: head.version.clone() }
            }
            _ if self.doubted => Verdict::Gone,
            _ => Verdict::Ask(Ask::Look),
        }
    }

    /// Whether one HEAD of the key is enough, until that shows something new: of an upload that was never to be read live. Most
    /// stores know no upload id as a version.
    fn is_told_by_key(&self) -> bool {
        self.unseen && self.look == Look::Absent && self.pinned.is_some() && !self.thorough
    }

    fn is_before(&self, head: &Head) -> bool {
        self.before.as_ref() == Some(head)
    }

    /// When the finished object began, if the upload may give way to it: in the same second it then counts as the newer one.
    /// So it is where the answer to the first of two starts was lost.
    fn tie(&self, current: Option<&Head>) -> Option<i64> {
        let is_wanted = |head: &&Head| self.free && !(self.waits && self.is_before(head));
        current.filter(is_wanted).and_then(|head| head.modified)
    }

    /// Where the pinned upload stands in the list.
    fn place_in(&self, list: &List) -> Option<usize> {
        match list {
            List::Unknown => None,
            List::Open(uploads) => uploads.iter().position(|upload| self.pinned.as_ref() == Some(&upload.id)),
        }
    }
}

/// The newest that began after the upload at this place of the list. Where that is not listed, nothing tells when it began.
/// What was completed since is newer than an upload of the second `tie`, too.
fn newest_after(list: &List, place: Option<usize>, current: Option<&Head>, tie: Option<i64>) -> Option<Newer> {
    let (List::Open(uploads), Some(place)) = (list, place) else { return None };
    let pinned = uploads.get(place)?;
    let open = uploads.get(place + 1..)?.last();
    let finished = current.filter(|head| is_newer(head, pinned) || (tie.is_some() && tie == pinned.started));
    match (open, finished) {
        (Some(open), Some(finished)) if is_newer(finished, open) => Some(Newer::Finished(finished.clone())),
        (Some(open), _) => Some(Newer::Open(open.clone())),
        (None, finished) => finished.cloned().map(Newer::Finished),
    }
}

/// Whether a finished object is newer than an open upload, by the store's clock, which has whole seconds: in the same
/// second the upload is taken for the newer.
pub(crate) fn is_newer(finished: &Head, open: &OpenUpload) -> bool {
    finished.modified.zip(open.started).is_some_and(|(finished, open)| finished > open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: &str, modified: i64) -> Head {
        Head {
            size: 7,
            version: Some(version.to_owned()),
            etag: None,
            modified: Some(modified),
            recording: None,
            objects: None,
        }
    }

    fn upload(id: &str, started: i64) -> OpenUpload {
        OpenUpload { id: id.to_owned(), started: Some(started) }
    }

    #[allow(clippy::unnecessary_wraps, reason = "rows read better")]
    fn open(uploads: &[(&str, i64)]) -> Option<List> {
        Some(List::Open(uploads.iter().map(|(id, started)| upload(id, *started)).collect()))
    }

    /// A case of the upload `pin` after a 416 (or a 404) with the answers that every row of a table has.
    fn case(look: Look) -> Case {
        Case {
            look,
            thorough: true,
            doubted: false,
            pinned: Some("pin".to_owned()),
            free: true,
            waits: true,
            unseen: false,
            before: None,
            head: Some(None),
            list: None,
            current: None,
            finder: None,
        }
    }

    fn complete(version: &str) -> Verdict {
        Verdict::Complete { size: 7, version: Some(version.to_owned()) }
    }

    #[test]
    fn questions_come_in_the_order_of_their_price_and_only_as_far_as_needed() {
        for look in [Look::NotYet, Look::Absent] {
            let mut case = Case { head: None, ..case(look) };
            assert_eq!(case.verdict(), Verdict::Ask(Ask::Head));
            case.head = Some(Some(head("pin", 5)));
            assert_eq!(case.verdict(), complete("pin"), "whatever the rest would say");
            case.head = Some(None);
            assert_eq!(case.verdict(), Verdict::Ask(Ask::List));
            case.list = open(&[("pin", 5)]);
            assert_eq!(case.verdict(), Verdict::Ask(Ask::Current));
            case.current = Some(None);
            assert_eq!(case.verdict(), Verdict::Growing(None));
            case = Case { thorough: false, list: None, current: None, ..case };
            assert_eq!(case.verdict(), Verdict::Growing(None), "a list is not due");
        }
    }

    #[test]
    fn what_was_never_to_be_read_live_is_told_by_a_head_of_its_key() {
        let case =
            Case { unseen: true, thorough: false, head: None, before: Some(head("old", 4)), ..case(Look::Absent) };
        let after = |current| Case { current: Some(current), ..case.clone() };
        assert_eq!(case.verdict(), Verdict::Ask(Ask::Current));
        assert_eq!(after(None).verdict(), Verdict::Growing(None));
        assert_eq!(after(Some(head("old", 4))).verdict(), Verdict::Growing(None), "that was there before");
        assert_eq!(after(Some(head("pin", 5))).verdict(), complete("pin"));
        let new = Case { current: Some(Some(head("other", 5))), ..case.clone() };
        assert_eq!(new.verdict(), Verdict::Ask(Ask::Head), "it may have been written over at once");
        let new = Case { head: Some(None), ..new };
        assert_eq!(new.verdict(), Verdict::Ask(Ask::List));
        assert_eq!(Case { list: open(&[]), ..new.clone() }.verdict(), complete("other"));
        let stays = Case { list: open(&[("pin", 5)]), free: false, ..new };
        assert_eq!(stays.verdict(), Verdict::Growing(None), "that is of another upload");
        assert_eq!(Case { unseen: false, ..case.clone() }.verdict(), Verdict::Ask(Ask::Head));
        assert_eq!(Case { pinned: None, ..case }.verdict(), Verdict::Ask(Ask::Head));
    }

    #[test]
    fn what_answers_416_is_there_whatever_lists_and_heads_say() {
        for list in [Some(List::Unknown), open(&[]), open(&[("other", 9)]), open(&[("pin", 5)])] {
            for current in [None, Some(head("older", 4))] {
                for doubted in [false, true] {
                    let case =
                        Case { list: list.clone(), current: Some(current.clone()), doubted, ..case(Look::NotYet) };
                    assert_eq!(case.verdict(), Verdict::Growing(None), "{case:?}");
                }
            }
        }
    }

    #[test]
    fn gone_takes_a_404_of_a_live_read_after_all_other_answers() {
        for list in [Some(List::Unknown), open(&[]), open(&[("other", 9)])] {
            for current in [None, Some(head("older", 4)), Some(head("newer", 9))] {
                let mut case = Case { list: list.clone(), current: Some(current), ..case(Look::Absent) };
                assert_eq!(case.verdict(), Verdict::Ask(Ask::Look), "{case:?}");
                case.doubted = true;
                assert_eq!(case.verdict(), Verdict::Gone, "{case:?}");
            }
        }
        let listed = Case { list: open(&[("pin", 5)]), current: Some(None), doubted: true, ..case(Look::Absent) };
        assert_eq!(listed.verdict(), Verdict::Growing(None), "open, but not to be read live");
    }

    #[test]
    fn an_upload_that_was_never_seen_may_be_complete_under_another_version() {
        let gone = Case { list: open(&[]), current: Some(Some(head("other", 5))), ..case(Look::Absent) };
        let case = Case { unseen: true, ..gone };
        assert_eq!(case.verdict(), complete("other"));
        let case = Case { before: Some(head("other", 5)), ..case };
        assert_eq!(case.verdict(), Verdict::Ask(Ask::Look), "that was there before");
    }

    #[test]
    fn without_a_pinned_version_the_object_from_before_is_no_end() {
        let unpinned = Case { pinned: None, list: Some(List::Unknown), ..case(Look::Absent) };
        let case = Case { head: Some(Some(head("new", 5))), before: Some(head("old", 4)), ..unpinned };
        assert_eq!(case.verdict(), complete("new"));
        let case = Case { head: Some(Some(head("old", 4))), ..case };
        assert_eq!(case.verdict(), Verdict::Ask(Ask::Look));
        assert_eq!(Case { doubted: true, ..case }.verdict(), Verdict::Gone);
    }

    #[test]
    fn what_began_later_takes_the_place_of_what_nothing_was_read_of() {
        let newer = |id: &str, started| Some(Newer::Open(upload(id, started)));
        let done = |version: &str, modified| Some(Newer::Finished(head(version, modified)));
        let rows = [
            (open(&[("pin", 5)]), None, None),
            (open(&[("old", 4), ("pin", 5)]), None, None),
            (open(&[("pin", 5), ("same second", 5)]), None, newer("same second", 5)),
            (open(&[("pin", 5), ("a", 6), ("b", 8)]), None, newer("b", 8)),
            (open(&[("pin", 5)]), Some(head("old", 4)), None),
            (open(&[("pin", 5)]), Some(head("done", 6)), done("done", 6)),
            (open(&[("pin", 5), ("a", 6)]), Some(head("done", 6)), newer("a", 6)),
            (open(&[("pin", 5), ("a", 6)]), Some(head("done", 7)), done("done", 7)),
        ];
        for (list, current, expected) in rows {
            for look in [Look::NotYet, Look::Absent] {
                let mut case = Case { list: list.clone(), current: Some(current.clone()), ..case(look) };
                let moves = expected.clone().map_or(Verdict::Growing(None), Verdict::Newer);
                assert_eq!(case.verdict(), moves, "{case:?}");
                case.free = false;
                assert_eq!(case.verdict(), Verdict::Growing(expected.clone()), "only mentioned: {case:?}");
            }
        }
    }

    #[test]
    fn what_was_completed_since_takes_the_place_of_an_empty_upload_of_the_same_second() {
        let same = head("same second", 5);
        let listed = open(&[("old", 4), ("pin", 5)]);
        let free = Case { list: listed, current: Some(Some(same.clone())), ..case(Look::NotYet) };
        assert_eq!(free.verdict(), Verdict::Newer(Newer::Finished(same.clone())));
        let begun = Case { list: open(&[("pin", 5), ("next", 5)]), ..free.clone() };
        assert_eq!(
            begun.verdict(),
            Verdict::Newer(Newer::Open(upload("next", 5))),
            "one that is open may be newer yet"
        );
        let was_there = Case { before: Some(same.clone()), ..free.clone() };
        assert_eq!(was_there.verdict(), Verdict::Growing(None), "the upload may have begun after it");
        let may_be_old = Case { waits: false, ..was_there };
        assert_eq!(may_be_old.verdict(), Verdict::Newer(Newer::Finished(same)), "and still have nothing to give");
        assert_eq!(Case { free: false, ..free }.verdict(), Verdict::Growing(None), "bytes of the upload were read");
    }
}
