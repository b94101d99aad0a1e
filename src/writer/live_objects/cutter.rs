//! Where the input is cut into live objects, and how much of it may wait for that. Pure.
//!
//! What is taken waits as a copy until it is old enough, and then goes out as one live object, or with all that came while
//! none could go out. No more than [`Cutter::MOST_PARTS`] part sizes are copied at once: one that waits, and one that is cut
//! or on its way. What came before the last beginning of a part is left to the parts when there is no room for it: the parts
//! of the upload are in memory or on disk anyway, and whoever stores one stores as a live object, too, what the cutter has
//! left out of it. The part that is not full yet is not left to it: nobody knows when it will be full. Where a live object is
//! a whole part, all is left to the parts and nothing is copied.
//!
//! ```text
//! input    |------- part 1 -------|------- part 2 -------|------- part 3 ---
//! copied   [  ][  ][  ]                                  [  ][  ]
//! left                 [--------- the store is away -----]
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::copies::{self, Buffer, Copies};
use crate::writer::pool::PartPool;

/// When the oldest byte that waits has waited long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When its part is full.
    PartIsFull,
    /// After this time.
    After(Duration),
    /// Where a segment of about this length ends: at the end of a fragment, with a key frame behind it.
    AtSegment(Duration),
}

/// What becomes a live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Offset of its first byte.
    pub offset: u64,
    /// All of them.
    pub bytes: Bytes,
}

impl Cut {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// See the module.
#[derive(Debug)]
pub struct Cutter {
    part_size: u64,
    when: When,
    /// What waits, the bytes before [`Self::end`] among them, and when its first byte came.
    waiting: Buffer,
    oldest: Option<Instant>,
    /// Cut, but not on its way yet.
    cuts: VecDeque<Cut>,
    /// Bytes on their way.
    flying: u64,
    /// Offset of the byte that comes next.
    end: u64,
    /// What lies before is stored already.
    from: u64,
    /// The last end of a fragment among what waits.
    boundary: Option<u64>,
    /// What is left to the parts and not stored yet, in order.
    left: Vec<Range<u64>>,
    leaving: bool,
    /// No more input comes.
    closed: bool,
    /// The memory for what is copied.
    copies: Copies,
}

impl Cutter {
    /// How many part sizes are copied at once: waiting, cut, and on their way.
    pub const MOST_PARTS: u64 = copies::MOST as u64;

    /// For input whose first byte has this offset.
    #[must_use]
    pub fn new(part_size: u64, when: When, from: u64) -> Self {
        Self {
            part_size,
            when,
            waiting: Buffer::default(),
            oldest: None,
            cuts: VecDeque::new(),
            flying: 0,
            end: from,
            from,
            boundary: None,
            left: Vec::new(),
            leaving: when == When::PartIsFull,
            closed: false,
            copies: Copies::new(part_size),
        }
    }

    /// Counts what is copied among the part buffers.
    pub fn copy_within(&mut self, pool: &PartPool) {
        if self.when != When::PartIsFull {
            self.copies.count_in(pool);
        }
    }

    /// Bytes that are copied at the moment.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.waiting.len() as u64 + self.flying + self.cuts.iter().map(|cut| cut.bytes.len() as u64).sum::<u64>()
    }

    /// Takes the next bytes of the input.
    pub fn take(&mut self, offset: u64, bytes: &[u8], now: Instant) {
        // A writer that goes on with a part may be given again what an earlier run has stored of it.
        let known = usize::try_from(self.from.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        let (offset, mut bytes) = (offset + known as u64, bytes.get(known..).unwrap_or_default());
        if bytes.is_empty() {
            return;
        }
        if offset != self.end {
            // What lies between is in the store already.
            self.cut_all();
            self.end = offset;
        }
        while !bytes.is_empty() {
            let in_part = self.end % self.part_size;
            self.decide(in_part == 0);
            let room = if self.leaving {
                self.part_size - in_part
            } else {
                // By the time, there is always room for what waits: see `make_room`.
                let most = if self.segments() { self.most() - self.held() } else { u64::MAX };
                (self.part_size - self.waiting.len() as u64).min(most)
            };
            let count = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (taken, rest) = bytes.split_at(count);
            let end = self.end + count as u64;
            if self.leaving {
                self.leave(self.end..end);
            } else {
                self.oldest.get_or_insert(now);
                if self.waiting.capacity() == 0 {
                    self.waiting = self.copies.take();
                }
                self.waiting.extend_from_slice(taken);
            }
            self.end = end;
            if self.waiting.len() as u64 == self.part_size && !self.cut_at_boundary() {
                self.make_room();
            }
            bytes = rest;
        }
    }

    /// A part size waits: it is cut, or what of it belongs to full parts is left to them.
    fn make_room(&mut self) {
        if self.segments() || self.may_cut() {
            self.cut_all();
        } else {
            self.leave_until(self.end - self.end % self.part_size);
        }
    }

    /// Whether what waits may be cut: the bound holds only if no more than one part size is cut and on its way.
    fn may_cut(&self) -> bool {
        self.held() <= self.part_size
    }

    /// Leaves to the parts what waits before `at`, where one of them begins.
    fn leave_until(&mut self, at: u64) {
        let start = self.start();
        let count = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(self.waiting.len());
        if count > 0 {
            self.waiting.drain(..count);
            self.leave(start..start + count as u64);
        }
        self.oldest = self.oldest.filter(|_| !self.waiting.is_empty());
    }

    fn segments(&self) -> bool {
        matches!(self.when, When::AtSegment(_))
    }

    /// Where segments are cut: begins and stops to leave input to the parts. It goes back to copying only where a part begins,
    /// and with room to spare, so that it does not do so for a byte at a time.
    fn decide(&mut self, at_part: bool) {
        if !self.segments() {
            self.leaving = self.when == When::PartIsFull;
            return;
        }
        if self.leaving {
            self.leaving = !at_part || self.held() > self.part_size / 2;
        } else if self.held() >= self.most() {
            self.cut_at_boundary();
            self.cut_all();
            self.leaving = true;
        }
    }

    fn most(&self) -> u64 {
        self.part_size.saturating_mul(Self::MOST_PARTS)
    }

    fn leave(&mut self, range: Range<u64>) {
        match self.left.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => self.left.push(range),
        }
    }

    /// A fragment ends here: if a live object has to be cut before its segment ends, that is done here.
    pub fn fragment_ends(&mut self, offset: u64) {
        if offset > self.start() && offset <= self.end {
            self.boundary = Some(offset);
        }
    }

    /// A segment ends here, and so does a live object.
    pub fn segment_ends(&mut self, offset: u64) {
        if matches!(self.when, When::AtSegment(_)) {
            self.cut(offset);
        }
    }

    /// There are no segments in this input: the length of one is how long a byte may wait.
    pub fn has_no_segments(&mut self) {
        if let When::AtSegment(time) = self.when {
            self.cut_at_boundary();
            self.when = When::After(time);
        }
    }

    /// Whether the next part of the input can be taken without a segment being left to the parts.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !matches!(self.when, When::AtSegment(_)) || self.held() <= self.part_size
    }

    /// The next live object, if one is due. It counts as on its way until [`Self::landed`].
    pub fn next(&mut self, now: Instant) -> Option<Cut> {
        if self.cuts.is_empty() && self.due().is_some_and(|due| due <= now) {
            self.cut_all();
        }
        let cut = self.cuts.pop_front()?;
        self.flying += cut.bytes.len() as u64;
        Some(cut)
    }

    /// When the next will be due, as far as the time decides.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.when {
            When::PartIsFull | When::AtSegment(_) => None,
            When::After(time) => self.oldest.filter(|_| self.may_cut()).map(|oldest| oldest + time),
        }
    }

    /// A live object that was on its way is stored, or never will be.
    pub fn landed(&mut self, bytes: u64) {
        self.flying = self.flying.saturating_sub(bytes);
    }

    /// The part that ends here waits for what belongs to it: what would have to wait longer than a moment need not.
    pub fn part_waits(&mut self, end: u64) {
        const MOMENT: Duration = Duration::from_secs(2);
        if matches!(self.when, When::After(time) if time > MOMENT) && self.start() < end {
            if self.may_cut() {
                self.cut_all();
            } else {
                self.leave_until(end);
            }
        }
    }

    /// No more input comes: what waits need not become old.
    pub fn close(&mut self) {
        self.closed = true;
        self.cut_at_boundary();
        self.cut_all();
    }

    /// Nothing more is wanted of it.
    pub fn give_up(&mut self) {
        (self.waiting, self.cuts, self.left) = (Buffer::default(), VecDeque::new(), Vec::new());
        self.copies.give_up();
        (self.oldest, self.boundary) = (None, None);
        (self.when, self.leaving) = (When::PartIsFull, true);
    }

    /// What of `part` has been left to the parts and is not stored as a live object.
    #[must_use]
    pub fn left_in(&self, part: &Range<u64>) -> Vec<Range<u64>> {
        let within = |left: &Range<u64>| left.start.max(part.start)..left.end.min(part.end);
        self.left.iter().map(within).filter(|range| range.start < range.end).collect()
    }

    /// This has been stored.
    pub fn filled(&mut self, range: &Range<u64>) {
        let mut left = Vec::with_capacity(self.left.len() + 1);
        for one in self.left.drain(..) {
            let (before, behind) = (one.start..one.end.min(range.start), one.start.max(range.end)..one.end);
            left.extend([before, behind].into_iter().filter(|rest| rest.start < rest.end));
        }
        self.left = left;
    }

    fn start(&self) -> u64 {
        self.end - self.waiting.len() as u64
    }

    /// The first so many bytes of what waits: the buffer as it is, while there is another for what comes next or nothing does;
    /// else in memory of just their size, as a piece of the buffer would keep all of it. So does a short segment: several are on their way at once.
    fn give(&mut self, count: usize) -> Bytes {
        let rest = self.waiting.get(count..).unwrap_or_default();
        let much = !self.segments() || count as u64 >= self.part_size.div_ceil(2);
        if count as u64 == self.part_size || (much && (self.closed || self.copies.is_one_left())) {
            let mut next = Buffer::default();
            if !rest.is_empty() {
                next = self.copies.take();
                next.extend_from_slice(rest);
            }
            self.waiting.truncate(count);
            return Bytes::from_owner(std::mem::replace(&mut self.waiting, next));
        }
        let given = Bytes::copy_from_slice(self.waiting.get(..count).unwrap_or_default());
        self.waiting.drain(..count);
        given
    }

    fn cut_all(&mut self) {
        self.cut(self.end);
    }

    /// Cuts where the last fragment has ended, if one has.
    fn cut_at_boundary(&mut self) -> bool {
        let boundary = self.boundary.filter(|_| matches!(self.when, When::AtSegment(_)));
        if let Some(boundary) = boundary {
            self.cut(boundary);
        }
        boundary.is_some()
    }

    /// Cuts what waits before `at`. The rest has come in about now.
    fn cut(&mut self, at: u64) {
        let offset = self.start();
        let count = usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(self.waiting.len());
        if count > 0 {
            let cut = Cut { offset, bytes: self.give(count) };
            debug_assert!(cut.end() <= self.end);
            self.cuts.push_back(cut);
        }
        self.oldest = self.oldest.filter(|_| !self.waiting.is_empty());
        self.boundary = self.boundary.filter(|boundary| *boundary > self.start());
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
#[path = "cutter_tests.rs"]
mod tests;
