//! Those who listen while an object is written: playlists, and whoever else makes something out of what goes through.
//!
//! A tap hears of each object in this order: it [begins](Tap::begin), its bytes are [taken](Tap::took), with what was
//! [found](Tap::saw) in them as soon as it is known, and it [ends](Tap::ended). The next object begins when the one before
//! has all its bytes, and that one may end long after: its parts are still on their way.
//!
//! The upload waits for no tap, so a tap must not wait either: what takes time belongs into a task of its own, behind a
//! queue of which the tap decides what happens when it is full.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;

use crate::media::fmp4::{Found, NotFragments, OffReason};
use crate::protocol::live_objects::{Names, RecordingId};

/// Listens to what a writer does; see the [module](self).
pub trait Tap: fmt::Debug + Send + Sync {
    /// An object begins, or is gone on with.
    fn begin(&self, opening: &Opening<'_>);

    /// The next bytes of the object begun last, the first of which is at `offset` in it. They are on their way to the store,
    /// which may take them later, or never.
    fn took(&self, offset: u64, bytes: &[u8]) {
        _ = (offset, bytes);
    }

    /// Whether it is to be told of fragments: to look for them costs a little, and is left out where nobody listens.
    fn looks(&self) -> bool {
        false
    }

    /// What the bytes taken so far of the object begun last turned out to hold; places count from its first byte. Only for an
    /// object that is [fresh](Opening::fresh).
    fn saw(&self, found: &Found) {
        _ = found;
    }

    /// The store holds these bytes of an object also as a live object. Told in any order.
    fn live_object(&self, upload_id: &str, bytes: &Range<u64>) {
        _ = (upload_id, bytes);
    }

    /// An object has no more live objects than it has by now, although it goes on.
    fn no_more_live_objects(&self, upload_id: &str) {
        _ = upload_id;
    }

    /// The input is over: no more bytes and no more objects come. What was taken last may still be on its way.
    fn input_ended(&self) {}

    /// Whether it has all that was taken and that the store has not, for whoever goes on with the upload.
    fn has_the_rest(&self) -> bool {
        false
    }

    /// An upload is over for this writer.
    fn ended(&self, upload_id: &str, end: End) {
        _ = (upload_id, end);
    }
}

/// An object that begins.
#[derive(Debug)]
pub struct Opening<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its upload.
    pub upload_id: &'a str,
    /// How many bytes of it the store holds without a gap.
    pub readable: watch::Receiver<u64>,
    /// All bytes of it will be told of. Otherwise an earlier writer has sent some, which are only in the store, and some of
    /// those that it misses may be sent in between.
    pub fresh: bool,
    /// What lies beside the upload for those who cannot read it while it is open, where something does.
    pub beside: Option<Beside>,
}

/// The live objects of an upload, as far as it is known of them where they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// What they are called.
    pub names: Names,
    /// The recording that they are of.
    pub recording: RecordingId,
    /// The runs so far: offsets from which on they count, and their numbers.
    pub runs: Vec<(u64, u32)>,
    /// Up to where they lie without a gap.
    pub edge: u64,
    /// No more of them come.
    pub given_up: bool,
}

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is an object.
    Completed {
        /// Its size.
        bytes: u64,
    },
    /// It was left open, aborted, or ended by somebody else.
    Unfinished,
}

/// All who listen. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Taps(Arc<[Arc<dyn Tap>]>);

impl FromIterator<Arc<dyn Tap>> for Taps {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Tap>>>(taps: I) -> Self {
        Self(taps.into_iter().collect())
    }
}

impl Taps {
    /// Whether one of them has all that was taken and that the store has not.
    #[must_use]
    pub fn have_the_rest(&self) -> bool {
        self.0.iter().any(|tap| tap.has_the_rest())
    }

    /// An object begins.
    #[must_use]
    pub fn begin(&self, opening: &Opening<'_>) -> Tapped {
        for tap in &*self.0 {
            tap.begin(opening);
        }
        Tapped { taps: self.clone(), offset: 0, shift: 0, looked_at: opening.fresh && self.look() }
    }

    /// Whether any is to be told of what is found.
    #[must_use]
    pub fn look(&self) -> bool {
        self.0.iter().any(|tap| tap.looks())
    }

    /// The input is over.
    pub fn input_ended(&self) {
        for tap in &*self.0 {
            tap.input_ended();
        }
    }

    /// Something was found in the newest object by somebody else than who takes it.
    pub fn saw(&self, found: &Found) {
        for tap in self.0.iter().filter(|tap| tap.looks()) {
            tap.saw(found);
        }
    }

    /// The store holds these bytes as a live object.
    pub fn live_object(&self, upload_id: &str, bytes: &Range<u64>) {
        for tap in &*self.0 {
            tap.live_object(upload_id, bytes);
        }
    }

    /// No more live objects come.
    pub fn no_more_live_objects(&self, upload_id: &str) {
        for tap in &*self.0 {
            tap.no_more_live_objects(upload_id);
        }
    }

    /// An upload is over.
    pub fn ended(&self, upload_id: &str, end: End) {
        for tap in &*self.0 {
            tap.ended(upload_id, end);
        }
    }
}

/// The object that is being taken, as the taps hear of it.
#[derive(Debug)]
pub struct Tapped {
    taps: Taps,
    /// Where its next byte is.
    offset: u64,
    /// Place in the whole stream less place in the object.
    shift: i64,
    /// Whether the taps are told what is found in it.
    looked_at: bool,
}

impl Tapped {
    /// The next bytes have been passed over, because the store holds them: it goes on at `offset`.
    pub fn go_on_at(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// It is a piece of the stream, in which all places are those in the stream less `by`.
    pub fn is_piece(&mut self, by: i64) {
        self.shift = by;
    }

    /// It begins in the middle of something, so that nothing in it makes sense by itself.
    pub fn makes_no_sense(&mut self) {
        self.saw(&Found::Off(NotFragments::Boxes(OffReason::UnknownStart)));
        self.looked_at = false;
    }

    /// Its next bytes.
    pub fn took(&mut self, bytes: &[u8]) {
        for tap in &*self.taps.0 {
            tap.took(self.offset, bytes);
        }
        self.offset = self.offset.saturating_add(bytes.len() as u64);
    }

    /// Something was found in the stream, of which all bytes have been taken.
    pub fn saw(&mut self, found: &Found) {
        if !self.looked_at {
            return;
        }
        let moved = (self.shift != 0).then(|| found.shifted(self.shift));
        let found = moved.as_ref().unwrap_or(found);
        self.taps.saw(found);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::media::fmp4::Scanner;
    use crate::media::fmp4::fragments::tests::{header, moof};

    /// Writes down what it hears.
    #[derive(Debug, Default)]
    struct Scribe {
        looks: bool,
        heard: Mutex<Vec<String>>,
    }

    impl Scribe {
        fn note(&self, line: String) {
            self.heard.lock().expect("not poisoned").push(line);
        }

        fn heard(&self) -> Vec<String> {
            std::mem::take(&mut self.heard.lock().expect("not poisoned"))
        }
    }

    impl Tap for Scribe {
        fn begin(&self, opening: &Opening<'_>) {
            self.note(format!("{} {} fresh={}", opening.key, opening.upload_id, opening.fresh));
        }

        fn took(&self, offset: u64, bytes: &[u8]) {
            self.note(format!("{}+{}", offset, bytes.len()));
        }

        fn looks(&self) -> bool {
            self.looks
        }

        fn saw(&self, found: &Found) {
            self.note(match found {
                Found::Header(header) => format!("header to {}", header.end),
                Found::Begun(fragment) => format!("fragment at {}", fragment.first),
                Found::Ended(fragment) => format!("fragment to {}", fragment.end.expect("an end")),
                Found::Bare => "bare".to_owned(),
                Found::Off(reason) => format!("{reason:?}"),
            });
        }

        fn input_ended(&self) {
            self.note("input ended".to_owned());
        }

        fn ended(&self, upload_id: &str, end: End) {
            self.note(format!("{upload_id} {end:?}"));
        }
    }

    fn opening(fresh: bool) -> Opening<'static> {
        Opening { key: "k", upload_id: "u", readable: watch::channel(0).1, fresh, beside: None }
    }

    /// A header and a fragment, and what is found in them.
    fn stream() -> (Vec<u8>, Vec<Found>) {
        let bytes = [header(), moof(&[])].concat();
        let found = Scanner::new().feed(&bytes);
        (bytes, found)
    }

    #[test]
    fn each_tap_hears_of_all_and_only_those_that_look_of_fragments() {
        let (looks, hears) = (Arc::new(Scribe { looks: true, ..Scribe::default() }), Arc::new(Scribe::default()));
        let taps: Taps = [looks.clone() as Arc<dyn Tap>, hears.clone()].into_iter().collect();
        let (stream, found) = stream();
        let mut object = taps.begin(&opening(true));
        object.took(&stream[..10]);
        object.took(&stream[10..]);
        for found in &found {
            object.saw(found);
        }
        taps.input_ended();
        taps.ended("u", End::Completed { bytes: 7 });
        let (rest, end) = (stream.len() - 10, header().len());
        let bytes = ["k u fresh=true".to_owned(), "0+10".to_owned(), format!("10+{rest}")];
        let found = [format!("header to {end}"), format!("fragment at {end}")];
        let over = ["input ended".to_owned(), "u Completed { bytes: 7 }".to_owned()];
        assert_eq!(hears.heard(), [&bytes[..], &over].concat());
        assert_eq!(looks.heard(), [&bytes[..], &found, &over].concat());
    }

    #[test]
    fn places_count_from_the_first_byte_of_the_object() {
        let tap = Arc::new(Scribe { looks: true, ..Scribe::default() });
        let taps: Taps = [tap.clone() as Arc<dyn Tap>].into_iter().collect();
        let found = stream().1;
        let mut object = taps.begin(&opening(true));
        // It begins in the stream before what it holds of it, because a header was put in front.
        object.is_piece(-1_000);
        object.saw(&found[1]);
        let mut object = taps.begin(&opening(true));
        object.makes_no_sense();
        object.saw(&found[1]);
        let moved = format!("fragment at {}", header().len() + 1_000);
        let begun = "k u fresh=true".to_owned();
        assert_eq!(tap.heard(), [begun.clone(), moved, begun, "Boxes(UnknownStart)".to_owned()]);
    }

    #[test]
    fn of_an_object_that_is_gone_on_with_nothing_is_told_but_its_bytes() {
        let tap = Arc::new(Scribe { looks: true, ..Scribe::default() });
        let taps: Taps = [tap.clone() as Arc<dyn Tap>].into_iter().collect();
        let mut object = taps.begin(&opening(false));
        object.go_on_at(100);
        object.took(&header());
        object.saw(&stream().1[0]);
        object.go_on_at(5_000);
        object.took(b"x");
        assert_eq!(tap.heard(), ["k u fresh=false".to_owned(), format!("100+{}", header().len()), "5000+1".to_owned()]);
    }
}
