//! What the one scan of the input finds, handed to all who look: the warnings about its format, and the cutter. The taps
//! hear of it from the [intake](super), object by object.

use std::sync::Arc;

use crate::media::fmp4::cut::StreamKind;
use crate::media::fmp4::{Cutter, Found, Fragment, Header, Scanner};
use crate::protocol::part::PartSize;
use crate::writer::format::Format;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Scan {
    /// `None` once nobody looks any more: then the input costs nothing to look at.
    scanner: Option<Scanner>,
    format: Format,
    /// Where the next object can begin; `None` where all goes into one.
    cutter: Option<Cutter>,
    /// Whether a tap looks.
    tapped: bool,
}

impl Scan {
    /// At the start of an input.
    pub(super) fn new(part_size: PartSize, cuts: bool, tapped: bool) -> Self {
        let (format, cutter) = (Format::new(part_size), cuts.then(Cutter::default));
        Self { scanner: Some(Scanner::inspecting()), format, cutter, tapped }
    }

    /// At byte `at` of an input, where another begins with a header of its own.
    pub(super) fn beginning_at(at: u64, part_size: PartSize, cuts: bool, tapped: bool) -> Self {
        Self { scanner: Some(Scanner::beginning_at(at)), ..Self::new(part_size, cuts, tapped) }
    }

    /// Looks no more: what goes on in the middle cannot be understood.
    pub(super) fn give_up(&mut self) {
        self.scanner = None;
        self.format.give_up();
    }

    /// What these next bytes of the input complete.
    pub(super) fn feed(&mut self, news: &[u8]) -> Vec<Found> {
        let Some(scanner) = &mut self.scanner else { return Vec::new() };
        let found = scanner.feed(news);
        if let Some(finding) = scanner.finding() {
            self.format.is(finding);
        }
        found
    }

    /// Says what there is to say about something that was found.
    pub(super) fn see(&mut self, found: &Found) {
        self.format.see(found);
        if let Some(reason) = self.cutter.as_mut().and_then(|cutter| cutter.see(found)) {
            tracing::warn!(
                "this fragmented MP4 is cut between two parts from here on, so that its objects do not play by \
                 themselves: {reason}"
            );
        }
    }

    /// What an object has to begin with that begins with this fragment; `None` if none can.
    pub(super) fn place(&self, fragment: &Fragment) -> Option<Arc<Header>> {
        self.cutter.as_ref()?.place(fragment)
    }

    /// Up to where it is known of the input which object it belongs to, once all is [seen](Self::see) that was found.
    pub(super) fn decided(&mut self) -> u64 {
        let Some(scanner) = &self.scanner else { return u64::MAX };
        let decided = self.cutter.as_mut().map_or(u64::MAX, |cutter| cutter.decided(scanner));
        let cuts = self.cutter.as_ref().is_some_and(|cutter| cutter.kind() != StreamKind::Plain);
        if !(self.format.looks(scanner) || (self.tapped && !scanner.is_off()) || cuts) {
            self.scanner = None;
        }
        decided
    }

    /// What the input is.
    pub(super) fn kind(&self) -> StreamKind {
        self.cutter.as_ref().map_or(StreamKind::Plain, Cutter::kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture};

    fn scan(cuts: bool, tapped: bool) -> Scan {
        Scan::new(PartSize::DEFAULT, cuts, tapped)
    }

    fn feed(scan: &mut Scan, bytes: &[u8]) -> usize {
        let found = scan.feed(bytes);
        for found in &found {
            scan.see(found);
        }
        scan.decided();
        found.len()
    }

    #[test]
    fn it_looks_as_long_as_somebody_does() {
        let fragment = [moof(&[picture(0, true)]), mdat(10)].concat();
        for (cuts, tapped, looks) in [(false, false, false), (true, false, true), (false, true, true)] {
            let mut scan = scan(cuts, tapped);
            feed(&mut scan, &header());
            for _ in 0..100 {
                feed(&mut scan, &fragment);
            }
            assert_eq!(scan.scanner.is_some(), looks, "cuts={cuts}, tapped={tapped}");
            assert_eq!(feed(&mut scan, &fragment), if looks { 2 } else { 0 });
        }
        for (cuts, tapped) in [(false, false), (true, false), (true, true)] {
            let mut scan = scan(cuts, tapped);
            feed(&mut scan, &[0x47; 188]);
            assert!(scan.scanner.is_none(), "nothing is to be found in what is no MP4");
            assert_eq!(scan.decided(), u64::MAX);
        }
    }
}
