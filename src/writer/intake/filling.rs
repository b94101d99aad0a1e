//! The part that is being filled, and what was read behind it that is not known yet to belong to it.
//!
//! ```text
//! buffer: [ kept by the store | taken | pending, in place         ]      the usual case
//! buffer: [ kept by the store | taken                             ] aside: [ pending ]
//! ```
//!
//! Input is read straight into the buffer. Bytes are pending until it is decided whether the object goes on with them or the
//! next begins. Where the buffer is full before that, they are set aside, and what comes is read there.

use bytes::{Buf, Bytes, BytesMut};

use crate::writer::pool::PartBuffer;

/// Bytes read at once where they may be set aside.
pub(super) const READ: usize = 256 << 10;
/// The most bytes that are read into a buffer at once: memory is taken for them first.
const STRAIGHT: usize = 1 << 20;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Filling {
    buffer: Option<PartBuffer>,
    /// How much of the buffer belongs to the part.
    taken: usize,
    /// How much of that the store holds already.
    kept: usize,
    /// Pending bytes that do not lie in the buffer.
    aside: BytesMut,
    /// How many of them are a header that was put in front.
    header: usize,
    /// What is set aside is read here first, so that nothing is half read when a reader is dropped.
    scratch: Vec<u8>,
    /// Where in the whole stream the first pending byte is that was read.
    at: u64,
}

impl Filling {
    /// Where in the whole stream the first byte is that is not taken.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether there is a buffer to be filled.
    pub(super) fn has_buffer(&self) -> bool {
        self.buffer.is_some()
    }

    /// Begins a part in `buffer`, of which the store holds already what is in it.
    pub(super) fn begin(&mut self, buffer: PartBuffer) {
        let kept = buffer.filled().len();
        (self.kept, self.taken) = (kept, kept);
        self.buffer = Some(buffer);
        self.put_back();
    }

    /// What belongs to the part so far.
    pub(super) fn part(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|buffer| buffer.filled().get(..self.taken)).unwrap_or_default()
    }

    /// Whether something belongs to the part that the store does not hold yet.
    pub(super) fn has_news(&self) -> bool {
        self.taken > self.kept
    }

    /// Room to be read into, at most `most` bytes.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        if self.is_straight() {
            return self.buffer.as_mut().map(|buffer| buffer.room(most.min(STRAIGHT))).unwrap_or_default();
        }
        self.scratch.resize(READ, 0);
        let most = most.min(self.scratch.len());
        self.scratch.get_mut(..most).unwrap_or_default()
    }

    /// So many bytes of [`room`](Self::room) were read; gives them.
    pub(super) fn advance(&mut self, count: usize) -> &[u8] {
        if !self.is_straight() {
            self.set_aside();
            let news = self.scratch.get(..count).unwrap_or_default();
            self.aside.extend_from_slice(news);
            return news;
        }
        let Some(buffer) = &mut self.buffer else { return &[] };
        let before = buffer.filled().len();
        buffer.advance(count);
        buffer.filled().get(before..).unwrap_or_default()
    }

    /// Whether input can be read straight into the buffer.
    fn is_straight(&self) -> bool {
        self.aside.is_empty() && self.buffer.as_ref().is_some_and(|buffer| !buffer.is_full())
    }

    /// Whether bytes were read that are not taken.
    pub(super) fn has_pending(&self) -> bool {
        !self.aside.is_empty() || self.buffer.as_ref().is_some_and(|buffer| buffer.filled().len() > self.taken)
    }

    /// The pending bytes, which begin [there](Self::at) in the stream. Not while a header is in front of them.
    pub(super) fn pending(&mut self) -> &mut [u8] {
        let taken = self.taken;
        match &mut self.buffer {
            Some(buffer) if self.aside.is_empty() => buffer.filled_mut().get_mut(taken..).unwrap_or_default(),
            _ => &mut self.aside,
        }
    }

    /// Whether the part is full.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.as_ref().is_some_and(|buffer| self.taken == buffer.capacity())
    }

    /// Whether a header has to be taken that was put in front.
    pub(super) fn owes_header(&self) -> bool {
        self.header > 0
    }

    /// Takes at most `count` pending bytes into the part, or of the header in front of them; gives those that found room.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let Some(buffer) = &mut self.buffer else { return &[] };
        let from = self.taken;
        if self.aside.is_empty() {
            self.taken = from.saturating_add(count).min(buffer.filled().len());
        } else {
            let most = if self.header > 0 { self.header } else { self.aside.len() };
            let room = buffer.room(count.min(most));
            let count = room.len();
            if let Some(bytes) = self.aside.get(..count) {
                room.copy_from_slice(bytes);
            }
            buffer.advance(count);
            self.aside.advance(count);
            self.taken = from + count;
        }
        let taken = self.taken - from;
        if self.header > 0 {
            self.header -= taken;
        } else {
            self.at += taken as u64;
        }
        buffer.filled().get(from..self.taken).unwrap_or_default()
    }

    /// What belongs to the part, to be sent. Pending bytes stay; so does an empty buffer.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        if self.taken == 0 {
            return None;
        }
        self.set_aside();
        (self.taken, self.kept) = (0, 0);
        self.buffer.take().map(PartBuffer::freeze)
    }

    /// Puts a header in front of the pending bytes. The part must have been [released](Self::release).
    pub(super) fn begin_with(&mut self, header: &[u8]) {
        self.set_aside();
        let pending = std::mem::take(&mut self.aside);
        self.aside = BytesMut::with_capacity(header.len() + pending.len());
        self.aside.extend_from_slice(header);
        self.aside.extend_from_slice(&pending);
        self.header = header.len();
    }

    /// All that was read and not sent, in order, and the header in front of it.
    pub(super) fn into_rest(mut self) -> Bytes {
        if self.aside.is_empty() {
            return self.buffer.take().map(PartBuffer::freeze).unwrap_or_default();
        }
        [self.buffer.as_ref().map_or(&[][..], PartBuffer::filled), &self.aside].concat().into()
    }

    /// Moves pending bytes out of the buffer.
    fn set_aside(&mut self) {
        let Some(buffer) = self.buffer.as_mut().filter(|_| self.aside.is_empty()) else { return };
        self.aside.extend_from_slice(buffer.filled().get(self.taken..).unwrap_or_default());
        buffer.truncate(self.taken);
    }

    /// Moves them back in where they fit, so that what comes is read behind them.
    pub(super) fn put_back(&mut self) {
        let Some(buffer) = self.buffer.as_mut().filter(|_| self.header == 0 && !self.aside.is_empty()) else { return };
        let count = self.aside.len();
        if count < buffer.lacks() {
            buffer.room(count).copy_from_slice(&self.aside);
            buffer.advance(count);
            // Gives the memory back, too.
            self.aside = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::writer::pool::PartPool;

    /// What a reader and a decider do in turn.
    #[derive(Debug, Clone)]
    enum Act {
        Read(usize),
        Take(usize),
        Header(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (1usize..40).prop_map(Act::Read),
            4 => (1usize..60).prop_map(Act::Take),
            1 => (1usize..20).prop_map(Act::Header),
        ]
    }

    #[tokio::test]
    async fn what_the_store_holds_of_a_part_is_in_it_and_no_news() {
        let mut buffer = PartPool::new(1, 8).acquire().await.expect("memory");
        buffer.room(3).copy_from_slice(b"abc");
        buffer.advance(3);
        let mut filling = Filling::default();
        filling.begin(buffer);
        assert!(!filling.has_news() && !filling.has_pending());
        filling.room(usize::MAX)[..2].copy_from_slice(b"de");
        assert_eq!(filling.advance(2), b"de");
        assert_eq!(filling.take(usize::MAX), b"de");
        assert!(filling.has_news());
        assert_eq!((filling.part(), filling.at()), (&b"abcde"[..], 2));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved_whatever_is_decided_when(acts in prop::collection::vec(act(), 0..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let pool = PartPool::new(3, 32);
                let mut filling = Filling::default();
                // The stream's next byte; all that is to be sent, headers included; what was sent; how much is taken.
                let (mut next, mut due, mut sent) = (0u8, Vec::new(), Vec::new());
                let mut taken = 0;
                for act in acts {
                    if !filling.has_buffer() {
                        filling.begin(pool.acquire().await.expect("memory"));
                    }
                    match act {
                        Act::Read(count) => {
                            let mut bytes = Vec::new();
                            for _ in 0..count {
                                next = next.wrapping_add(1);
                                bytes.push(next);
                            }
                            let room = filling.room(count);
                            bytes.truncate(room.len());
                            room.copy_from_slice(&bytes);
                            next = bytes.last().copied().unwrap_or(next);
                            prop_assert_eq!(filling.advance(bytes.len()), &bytes[..]);
                            due.extend_from_slice(&bytes);
                        }
                        Act::Take(count) => {
                            let mut left = count.min(due.len() - taken);
                            while left > 0 {
                                if !filling.has_buffer() {
                                    filling.begin(pool.acquire().await.expect("memory"));
                                }
                                let before = taken;
                                let got = filling.take(left).to_vec();
                                taken += got.len();
                                prop_assert_eq!(&got[..], &due[before..taken]);
                                left -= got.len();
                                if filling.is_full() {
                                    sent.extend_from_slice(&filling.release().expect("a part"));
                                }
                            }
                        }
                        Act::Header(len) => {
                            sent.extend_from_slice(&filling.release().unwrap_or_default());
                            let header = vec![0xfe; len];
                            filling.begin_with(&header);
                            due.splice(taken..taken, header);
                            while filling.owes_header() {
                                if !filling.has_buffer() {
                                    filling.begin(pool.acquire().await.expect("memory"));
                                }
                                taken += filling.take(usize::MAX).len();
                                if filling.is_full() {
                                    sent.extend_from_slice(&filling.release().expect("a part"));
                                }
                            }
                            filling.put_back();
                        }
                    }
                    prop_assert_eq!(filling.pending().to_vec(), due[taken..].to_vec());
                    prop_assert!(filling.part().ends_with(&due[sent.len().min(taken)..taken]));
                }
                sent.extend_from_slice(&filling.into_rest());
                prop_assert_eq!(sent, due);
                Ok(())
            })?;
        }
    }
}
