//! Bytes of an object from one on, as they come, in slices that are not copied: what bodies of answers are made of.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::block::BLOCK;
use super::recording::Broken;
use super::viewing::{Step, Viewing, Waiting};

/// Bytes of an object, from one on.
pub(crate) struct Stretch {
    viewing: Viewing,
    /// The next byte.
    at: u64,
    /// The offset after the last byte; none: to its end, however far that is.
    end: Option<u64>,
    /// How many bytes were read one after the other.
    in_order: u64,
    waiting: Option<Waiting>,
}

impl std::fmt::Debug for Stretch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stretch").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Stretch {
    pub(crate) fn new(viewing: Viewing, at: u64, end: Option<u64>) -> Self {
        Self { viewing, at, end, in_order: 0, waiting: None }
    }

    /// What of its length is left to be read, where its end is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.at))
    }

    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                let waited = ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
                if let Err(broken) = waited {
                    return Poll::Ready(Some(Err(broken)));
                }
            }
            let most = self.end.map_or(u64::MAX, |end| end.saturating_sub(self.at));
            if most == 0 {
                return Poll::Ready(None);
            }
            match self.viewing.read(self.at, most, self.end.is_none()) {
                Step::Bytes(bytes) => {
                    self.at = self.at.saturating_add(bytes.len() as u64);
                    self.in_order = self.in_order.saturating_add(bytes.len() as u64);
                    self.fetch_ahead();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Step::Wait(waiting) => self.waiting = Some(waiting),
                Step::Over if self.end.is_none() => return Poll::Ready(None),
                Step::Over | Step::Broken => return Poll::Ready(Some(Err(Broken))),
            }
        }
    }

    /// Whoever reads on is likely to want the next block, too.
    fn fetch_ahead(&mut self) {
        let next = self.at / BLOCK + 1;
        let is_wanted = self.end.is_none_or(|end| end > next.saturating_mul(BLOCK));
        if is_wanted && self.in_order >= BLOCK / 2 {
            self.viewing.fetch_ahead(next);
            self.in_order = 0;
        }
    }
}
