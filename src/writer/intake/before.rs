//! What an earlier writer left of an upload, and what this one has to mind because of it.

use bytes::Bytes;

use crate::protocol::part::PartNumber;
use crate::writer::outbox::Outbox;
use crate::writer::resume::{Ongoing, ShortPart};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Before {
    /// The short part that a stream goes on with.
    tail: Option<ShortPart>,
    /// The highest part that the store holds. Only the highest part may be short.
    highest: Option<PartNumber>,
    /// The highest part behind a gap that holds other bytes than the input will, until the gap is closed.
    stale: Option<PartNumber>,
    held_back: Option<HeldBack>,
}

/// The part that closes the gap before stale parts of an earlier run. Once it is stored they can be read, so they are
/// overwritten first.
#[derive(Debug)]
struct HeldBack {
    number: PartNumber,
    body: Bytes,
    /// The highest stale part.
    stale: PartNumber,
}

impl Before {
    pub(super) fn of(held: Ongoing) -> Self {
        Self { tail: held.tail, highest: held.highest, stale: held.stale, held_back: None }
    }

    /// What of part `due` the store holds already, if the input goes on with it.
    pub(super) fn tail_of(&mut self, due: Option<PartNumber>) -> Option<ShortPart> {
        self.tail.take_if(|tail| Some(tail.part.number) == due)
    }

    /// Whether part `due` may be stored before it is full.
    pub(super) fn may_be_short(&self, due: Option<PartNumber>) -> bool {
        self.held_back.is_none() && self.highest.is_none_or(|highest| due >= Some(highest))
    }

    /// The highest part that the store holds, if the input ended before it: with part `due`, in which there is something or
    /// not.
    pub(super) fn beyond(&self, due: Option<PartNumber>, something: bool) -> Option<PartNumber> {
        let reached = |highest| due.is_none_or(|due| due > highest || (due == highest && something));
        self.highest.filter(|highest| !reached(*highest))
    }

    /// Keeps part `number` in memory until this run has overwritten all stale parts; false if it need not wait.
    pub(super) fn hold_back(&mut self, number: PartNumber, body: &[u8]) -> bool {
        let Some(stale) = self.stale.take().filter(|stale| number < *stale) else { return false };
        // A copy, because the parts that this one waits for need the buffers.
        self.held_back = Some(HeldBack { number, body: Bytes::copy_from_slice(body), stale });
        true
    }

    /// Sends the part that was held back once this run has stored all parts that it waits for.
    pub(super) fn release(&mut self, outbox: &mut Outbox) {
        let ledger = &outbox.ledger;
        let whole = |held: &mut HeldBack| {
            std::iter::successors(held.number.next(), |number| number.next())
                .take_while(|number| *number <= held.stale)
                .all(|number| ledger.size_of(number).is_some())
        };
        if let Some(HeldBack { number, body, .. }) = self.held_back.take_if(whole) {
            outbox.send(number, body);
        }
    }

    /// The part that is held back.
    pub(super) fn held_back(&self) -> Option<(PartNumber, Bytes)> {
        self.held_back.as_ref().map(|held| (held.number, held.body.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> PartNumber {
        PartNumber::new(number).expect("in range")
    }

    #[test]
    fn only_the_highest_part_may_be_short_and_the_input_has_to_reach_it() {
        let before = Before { highest: Some(number(3)), ..Before::default() };
        for (due, something, may_be_short, beyond) in [
            (Some(2), true, false, true),
            (Some(3), false, true, true),
            (Some(3), true, true, false),
            (Some(4), false, true, false),
            (None, false, false, false),
        ] {
            let due = due.map(number);
            assert_eq!(before.may_be_short(due), may_be_short, "{due:?}");
            assert_eq!(before.beyond(due, something), beyond.then(|| number(3)), "{due:?}");
        }
        assert!(Before::default().may_be_short(Some(PartNumber::FIRST)));
        assert_eq!(Before::default().beyond(Some(PartNumber::FIRST), false), None);
    }

    #[test]
    fn the_part_before_stale_ones_waits_and_no_other() {
        let mut before = Before { stale: Some(number(3)), ..Before::default() };
        assert!(before.hold_back(number(1), b"one") && !before.may_be_short(Some(number(2))));
        assert!(!before.hold_back(number(2), b"two"));
        assert_eq!(before.held_back(), Some((number(1), Bytes::from_static(b"one"))));
        let mut past = Before { stale: Some(number(3)), ..Before::default() };
        assert!(!past.hold_back(number(3), b"three") && past.held_back().is_none());
    }
}
