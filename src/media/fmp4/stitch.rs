//! One stream out of the objects of a rollover. Pure.

use bytes::Bytes;

use super::cut::shift;
use super::found::Found;
use super::fragments::Scanner;

/// Makes one stream of what the objects hold: leaves out the header with which an object repeats what came before, and
/// puts places in the whole stream back to what they were.
#[derive(Debug, Default)]
pub struct Stitch {
    /// Follows the output, for its header.
    scanner: Scanner,
    /// The newest header of the output.
    newest: Bytes,
    /// Whether it is not cut at fragments any more.
    uncut: bool,
    /// What the object may begin with, and how much of it has come.
    header: Bytes,
    matched: usize,
    matching: bool,
    /// How far the object is from its place in the stream, if it began with the header.
    shift: i64,
    /// The end of what came in, which may be the beginning of a place in the stream.
    held: Vec<u8>,
    /// Bytes of the stream that have been given.
    pub(crate) given: u64,
}

impl Stitch {
    /// Takes bytes of the object; gives what belongs to the output, in pieces that may be empty.
    pub fn pass(&mut self, bytes: Bytes) -> [Bytes; 2] {
        self.unmatched(bytes).map(|piece| self.restored(piece))
    }

    fn unmatched(&mut self, mut bytes: Bytes) -> [Bytes; 2] {
        if !self.matching {
            return [Bytes::new(), bytes];
        }
        let due = self.header.slice(self.matched..);
        let count = due.len().min(bytes.len());
        if due.get(..count) != bytes.get(..count) {
            // It is no header: what looked like one is owed.
            self.matching = false;
            return [self.header.slice(..self.matched), bytes];
        }
        self.matched += count;
        if self.matched == self.header.len() {
            self.matching = false;
            self.shift = (self.given + self.held.len() as u64).cast_signed() - (self.matched as u64).cast_signed();
        }
        [Bytes::new(), bytes.split_off(count)]
    }

    /// Puts back the places in the stream.
    fn restored(&mut self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let mut fields = Vec::new();
        for found in self.scanner.feed(&bytes) {
            match found {
                Found::Header(header) => self.newest = header.bytes.clone(),
                Found::Begun(fragment) if !self.uncut => fields.extend(fragment.fields),
                // From here on it was cut between two parts, and nothing was put to another place.
                Found::Bare => self.uncut = true,
                Found::Begun(_) | Found::Ended(_) | Found::Off(_) => {}
            }
        }
        let begin = self.given;
        let all = (self.held.len() + bytes.len()) as u64;
        let ready = self.scanner.settled().saturating_sub(begin).min(all);
        self.given += ready;
        let len = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        if self.held.is_empty() && ready == all && (fields.is_empty() || self.shift == 0) {
            return bytes;
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(&bytes);
        for field in fields {
            let at = len(field.saturating_sub(begin));
            shift(joined.get_mut(at..).unwrap_or_default(), -self.shift);
        }
        self.held = joined.split_off(len(ready).min(joined.len()));
        Bytes::from(joined)
    }

    /// The object is over; gives what of it was held back. The next begins.
    pub fn end_object(&mut self) -> Bytes {
        let looked_like = if self.matching { self.header.slice(..self.matched) } else { Bytes::new() };
        let mut rest = self.restored(looked_like).to_vec();
        let held = std::mem::take(&mut self.held);
        self.given += held.len() as u64;
        rest.extend_from_slice(&held);
        self.header = self.newest.clone();
        self.matched = 0;
        self.matching = !self.header.is_empty();
        self.shift = 0;
        Bytes::from(rest)
    }
}
