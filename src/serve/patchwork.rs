//! Something put together: bytes of our own, and stretches of an object between them, which are read as they are sent.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::recording::Broken;
use super::stretch::Stretch;
use super::viewing::Viewing;

/// One of the things that it is put together of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Patch {
    Own(Bytes),
    Stretch(Range<u64>),
}

impl Patch {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Own(bytes) => bytes.len() as u64,
            Self::Stretch(range) => range.end.saturating_sub(range.start),
        }
    }

    /// Bytes `from` to `to` of it.
    fn cut(&self, from: u64, to: u64) -> Self {
        let (from, to) = (from.min(self.length()), to.min(self.length()));
        match self {
            Self::Own(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Self::Own(bytes.slice(place(from).min(place(to))..place(to)))
            }
            Self::Stretch(range) => Self::Stretch(range.start + from..range.start + to),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Patchwork {
    viewing: Viewing,
    rest: VecDeque<Patch>,
    /// What is being sent.
    now: Option<Stretch>,
}

impl Patchwork {
    pub(crate) fn new(viewing: Viewing, patches: &[Patch]) -> Self {
        Self { viewing, rest: patches.iter().cloned().collect(), now: None }
    }

    /// Bytes `from` to `to`, exclusive, of all of it.
    pub(crate) fn cut(self, from: u64, to: u64) -> Self {
        Self { rest: cut(&self.rest, from, to), ..self }
    }

    /// How much of it is left.
    pub(crate) fn length(&self) -> u64 {
        let now = self.now.as_ref().and_then(Stretch::left).unwrap_or(0);
        self.rest.iter().map(Patch::length).fold(now, u64::saturating_add)
    }

    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if let Some(now) = &mut self.now {
                let next = ready!(now.poll_bytes(cx));
                if next.is_some() {
                    return Poll::Ready(next);
                }
                self.now = None;
            }
            match self.rest.pop_front() {
                None => return Poll::Ready(None),
                Some(Patch::Own(bytes)) if bytes.is_empty() => {}
                Some(Patch::Own(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Patch::Stretch(range)) => {
                    self.now = Some(Stretch::new(self.viewing.clone(), range.start, Some(range.end)));
                }
            }
        }
    }
}

/// Bytes `from` to `to` of all patches together.
fn cut(patches: &VecDeque<Patch>, from: u64, to: u64) -> VecDeque<Patch> {
    let mut at = 0u64;
    let parts = patches.iter().map(|patch| {
        let begins = at;
        at = at.saturating_add(patch.length());
        patch.cut(from.saturating_sub(begins), to.saturating_sub(begins))
    });
    parts.filter(|patch| patch.length() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_piece_of_it_is_that_piece_of_all() {
        // Of an object whose bytes are their places.
        let patches = VecDeque::from([
            Patch::Own(Bytes::from_static(b"head")),
            Patch::Stretch(10..25),
            Patch::Stretch(40..41),
            Patch::Own(Bytes::new()),
            Patch::Own(Bytes::from_static(b"more")),
            Patch::Stretch(90..95),
        ]);
        let bytes = |patches: &VecDeque<Patch>| {
            let bytes = |patch: &Patch| match patch {
                Patch::Own(bytes) => bytes.to_vec(),
                Patch::Stretch(range) => {
                    (range.start..range.end).map(|at| u8::try_from(at).expect("a place")).collect()
                }
            };
            patches.iter().flat_map(bytes).collect::<Vec<_>>()
        };
        let all = bytes(&patches);
        assert_eq!(all.len(), 29);
        for from in 0..=all.len() {
            for to in from..=all.len() {
                assert_eq!(bytes(&cut(&patches, from as u64, to as u64)), all[from..to], "{from} {to}");
            }
        }
        assert_eq!(bytes(&cut(&patches, 5, 1_000)), all[5..]);
    }
}
