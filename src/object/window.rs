//! Which stretches of an object are being fetched: those that are due next, in order and without a gap.

use std::collections::VecDeque;

use crate::object::prefetch::{Fetch, Stretch, Target};
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::Patient;

/// Bytes asked for at a time where the end of what is wanted may come any moment: the least, and the most.
const LEAST: u64 = 128 << 10;
const LITTLE: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    chunk_size: u64,
    queue_size: usize,
    /// Ask by part numbers instead of byte ranges.
    by_part: bool,
    /// The next byte that is due.
    cursor: u64,
    /// The part that the cursor is in, and where that part begins; kept for reading by part.
    part: (Option<PartNumber>, u64),
    part_size: Option<PartSize>,
    /// Up to where all will be wanted, where that is less than everything.
    sure: Option<u64>,
    /// Fetches under way, by rising offset; the first one has the bytes that are due.
    fetches: VecDeque<Fetch>,
    /// How many may be under way: one at the live edge, more while catching up.
    width: usize,
    /// Whether all that there is has been read, so that the next look may find nothing.
    at_edge: bool,
}

impl Window {
    /// At the first byte.
    pub(crate) fn new(by_part: bool, chunk_size: u64, queue_size: usize) -> Self {
        Self {
            chunk_size,
            queue_size,
            by_part,
            cursor: 0,
            part: (Some(PartNumber::FIRST), 0),
            part_size: None,
            sure: None,
            fetches: VecDeque::new(),
            width: 1,
            at_edge: false,
        }
    }

    /// Begins at a byte instead of the first.
    pub(crate) fn go_on_at(&mut self, cursor: u64, part_size: Option<u64>) {
        self.cursor = cursor;
        self.learn_part_size(part_size);
        match self.part_size {
            Some(size) => {
                let whole = cursor / size.get();
                let number = u32::try_from(whole + 1).ok().and_then(PartNumber::new);
                self.part = (number, whole * size.get());
            }
            // Which part that byte is in is not known.
            None => self.by_part = false,
        }
    }

    /// Up to `sure` all will be wanted; what comes after that is read a little at a time.
    pub(crate) fn be_sure_until(&mut self, sure: Option<u64>) {
        // By part more would be read than is wanted.
        self.by_part &= sure.is_none();
        self.sure = sure;
    }

    /// The next byte that is due.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// So many bytes have been given.
    pub(crate) fn given(&mut self, bytes: u64) {
        self.cursor += bytes;
    }

    /// Notes the part size, once the store names it.
    pub(crate) fn learn_part_size(&mut self, part_size: Option<u64>) {
        self.part_size = self.part_size.or_else(|| part_size.and_then(|size| PartSize::new(size).ok()));
    }

    /// Another upload takes the place of the one of which nothing was read.
    pub(crate) fn forget(&mut self) {
        self.part_size = None;
        self.close();
    }

    /// Whether it goes part by part.
    pub(crate) fn is_by_part(&self) -> bool {
        self.by_part
    }

    /// The fetch of the bytes that are due.
    pub(crate) fn front(&mut self) -> Option<&mut Fetch> {
        self.fetches.front_mut()
    }

    /// Whether the cursor is inside a part, as far as that is known.
    pub(crate) fn is_in_part(&self) -> bool {
        self.part_size.is_some_and(|size| !self.cursor.is_multiple_of(size.get()))
    }

    /// Keeps as many fetches under way as the window is wide; false where no stretch is left to ask for. `finished` is the
    /// size of a finished object.
    pub(crate) fn widen(&mut self, store: &Patient, target: &Target, finished: Option<u64>) -> bool {
        // Until the first answer has named the version there is nothing to pin the others to.
        let pinned = target.version.is_some() || target.etag.is_some();
        let width = if pinned { self.width } else { 1 };
        while self.fetches.len() < width {
            let Some(stretch) = self.stretch(self.fetches.len(), finished) else { break };
            self.fetches.push_back(Fetch::start(store, target, stretch, self.chunk_size));
        }
        !self.fetches.is_empty()
    }

    /// The stretch that is `ahead` places after the cursor.
    fn stretch(&self, ahead: usize, finished: Option<u64>) -> Option<Stretch> {
        let ahead = ahead as u64;
        let over_before = |offset: u64| finished.is_some_and(|size| offset >= size);
        if !self.by_part {
            let chunk = self.chunk_size;
            let first = self.fetches.front().map_or(self.cursor, |front| front.first) + ahead * chunk;
            // At the edge one more chunk is asked for than is due, a part or a chunk: an answer that falls short of it shows
            // that there is no more, without another request.
            let due = self.part_size.map_or(chunk, |part| chunk.max(part.get()));
            let chunk = if self.at_edge && ahead == 0 { chunk.saturating_add(due) } else { chunk };
            let chunk = match self.sure.map(|sure| sure.saturating_sub(first)) {
                None => chunk,
                Some(0) if ahead > 0 => return None,
                // The further it goes, the more is asked for at a time.
                Some(0) => chunk.min(first.saturating_sub(self.sure.unwrap_or(first)).clamp(LEAST, LITTLE)),
                Some(left) => chunk.min(left),
            };
            return (ahead == 0 || !over_before(first)).then_some(Stretch::Range { first, last: first + chunk - 1 });
        }
        let (number, first) = (self.part.0?, self.part.1);
        let number = PartNumber::new(number.get() + u32::try_from(ahead).ok()?)?;
        match self.part_size {
            // The rest of a part whose beginning was read while it was shorter.
            Some(size) if ahead == 0 && self.cursor > first => {
                Some(Stretch::Range { first: self.cursor, last: first + size.get() - 1 })
            }
            Some(size) => {
                let first = first.checked_add(ahead.checked_mul(size.get())?)?;
                (ahead == 0 || !over_before(first)).then_some(Stretch::Part { number, first })
            }
            None if ahead == 0 => Some(Stretch::Part { number, first: self.cursor }),
            None => None,
        }
    }

    /// The first fetch was read to its end: the next one takes its place.
    pub(crate) fn advance(&mut self) {
        self.fetches.pop_front();
        if self.by_part {
            self.part = (self.part.0.and_then(PartNumber::next), self.cursor);
        }
    }

    /// More came than was due: it is behind, and fetches ahead until it is not. Whether that is new.
    pub(crate) fn open(&mut self) -> bool {
        self.width = (self.width * 2).min(self.queue_size);
        std::mem::take(&mut self.at_edge)
    }

    /// Gives up what was asked for ahead; from here it goes on one look at a time. Whether that is new.
    pub(crate) fn close(&mut self) -> bool {
        self.fetches.clear();
        self.width = 1;
        !std::mem::replace(&mut self.at_edge, true)
    }
}
