//! Puts fragments together to media segments: cut at the first key frame once a segment is about as long as wanted. Pure.
//!
//! That a fragment begins with a key frame is seen when it begins, which is one fragment late for a stream whose encoder
//! gives away whole fragments. So where all fragments so far began with one, the next is taken to do so as well.
//!
//! Where it cuts depends on nothing before the last cut, so that a stream that is taken up again at a segment is cut as
//! before.

/// A fragment that begins, as far as a playlist is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Where it begins, with the boxes before its `moof` that belong to it.
    pub first: u64,
    /// How long its main track plays, in ticks of [`Segmenter::new`].
    pub ticks: u64,
    /// Whether a player can begin with it.
    pub key: bool,
    /// Another encoder goes on with it: a segment begins with it.
    pub anew: bool,
}

/// A stretch of fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Offset of its first byte.
    pub first: u64,
    /// Where it ends.
    pub end: u64,
    /// How long it plays, in microseconds.
    pub micros: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Segmenter {
    /// Ticks in a second.
    timescale: u64,
    /// How long a segment is to be, in microseconds.
    aim: u64,
    /// Rounded to seconds no segment may be longer than this.
    target: Option<u64>,
    /// What is whole of the segment that is being put together.
    open: Option<Open>,
    /// The fragment that has begun and not ended.
    begun: Option<Begin>,
    /// Ticks of all segments cut so far.
    passed: u64,
    /// Fragments that began with a key frame, as long as all did.
    keys: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    first: u64,
    end: u64,
    ticks: u64,
}

/// Seconds as `EXT-X-TARGETDURATION` has it: rounded to the nearest (RFC 8216, 4.3.3.1).
#[must_use]
pub fn rounded(micros: u64) -> u64 {
    micros.saturating_add(500_000) / 1_000_000
}

impl Segmenter {
    /// For a main track with so many ticks in a second; segments of about `aim` microseconds.
    #[must_use]
    pub fn new(timescale: u32, aim: u64) -> Self {
        Self {
            timescale: u64::from(timescale.max(1)),
            aim,
            target: None,
            open: None,
            begun: None,
            passed: 0,
            keys: Some(0),
        }
    }

    /// From now on no segment may last longer than `target` seconds, rounded, if a fragment's end allows it.
    pub fn limit(&mut self, target: u64) {
        self.target = Some(target);
    }

    /// A fragment begins; gives the segment that ends before it.
    pub fn begin(&mut self, next: Begin) -> Option<Cut> {
        self.begun = Some(next);
        self.keys = self.keys.filter(|_| next.key).map(|keys| keys + 1);
        let open = self.open?;
        let due = self.is_due(open.ticks);
        let together = micros(open.ticks.saturating_add(next.ticks), self.timescale);
        let over = self.target.is_some_and(|target| rounded(together) > target);
        if next.anew || (next.key && due) || over { self.cut() } else { None }
    }

    /// The fragment begun last is whole; gives the segment that ends with it, where that is known already.
    pub fn end(&mut self, end: u64) -> Option<Cut> {
        let Begin { first, ticks, .. } = self.begun.take()?;
        let open = self.open.get_or_insert(Open { first, end, ticks: 0 });
        open.end = end;
        open.ticks = open.ticks.saturating_add(ticks);
        let ticks = open.ticks;
        if self.keys.is_some_and(|keys| keys > 1) && self.is_due(ticks) { self.cut() } else { None }
    }

    /// Whether a segment of so many ticks is long enough. A tenth less is near enough: key frames come when they come.
    fn is_due(&self, ticks: u64) -> bool {
        micros(ticks, self.timescale) >= self.aim / 10 * 9
    }

    /// The stream is over; gives the last segment.
    pub fn finish(&mut self) -> Option<Cut> {
        self.begun = None;
        self.cut()
    }

    fn cut(&mut self) -> Option<Cut> {
        let Open { first, end, ticks } = self.open.take()?;
        // Out of the places in the whole stream, so that rounding never adds up.
        let began = micros(self.passed, self.timescale);
        self.passed = self.passed.saturating_add(ticks);
        Some(Cut { first, end, micros: micros(self.passed, self.timescale).saturating_sub(began) })
    }

    /// How long what has not been cut yet plays, in microseconds.
    #[must_use]
    pub fn rest(&self) -> u64 {
        micros(self.open.map_or(0, |open| open.ticks), self.timescale)
    }
}

/// Ticks in microseconds, rounded to the nearest.
#[must_use]
pub fn micros(ticks: u64, timescale: u64) -> u64 {
    let timescale = timescale.max(1);
    let scaled = u128::from(ticks) * 1_000_000 + u128::from(timescale / 2);
    u64::try_from(scaled / u128::from(timescale)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fragment(number: u64, ticks: u64, key: bool) -> Begin {
        Begin { first: 1_000 + number * 100, ticks, key, anew: false }
    }

    fn cut(segmenter: &mut Segmenter, fragments: impl IntoIterator<Item = Begin>) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for fragment in fragments {
            cuts.extend(segmenter.begin(fragment));
            cuts.extend(segmenter.end(fragment.first + 100));
        }
        cuts.extend(segmenter.finish());
        cuts
    }

    #[test]
    fn it_cuts_at_key_frames_near_the_aim() {
        // Thirty frames a second, one in a fragment, a key frame each second.
        let fragments = (0..150).map(|number| fragment(number, 1, number % 30 == 0));
        let cuts = cut(&mut Segmenter::new(30, 2_000_000), fragments);
        let shown: Vec<_> = cuts.iter().map(|cut| (cut.first, cut.micros)).collect();
        assert_eq!(shown, [(1_000, 2_000_000), (7_000, 2_000_000), (13_000, 1_000_000)]);
        assert!(cuts.windows(2).all(|pair| pair[0].end == pair[1].first));
    }

    #[test]
    fn where_all_fragments_begin_with_a_key_frame_it_does_not_wait_for_the_next() {
        let mut segmenter = Segmenter::new(1_000, 2_000_000);
        assert_eq!(segmenter.begin(fragment(0, 2_000, true)), None);
        // Nothing is known of how this stream goes on.
        assert_eq!(segmenter.end(1_100), None);
        assert!(segmenter.begin(fragment(1, 2_000, true)).is_some());
        assert!(segmenter.end(1_200).is_some());
        assert_eq!(segmenter.begin(fragment(2, 2_000, false)), None);
        assert_eq!(segmenter.end(1_300), None);
        assert!(segmenter.begin(fragment(3, 2_000, true)).is_some());
        assert_eq!(segmenter.end(1_400), None);
    }

    #[test]
    fn a_segment_begins_where_another_encoder_goes_on() {
        let fragments = (0..6).map(|number| Begin { anew: number == 3, ..fragment(number, 500, true) });
        let cuts = cut(&mut Segmenter::new(1_000, 2_000_000), fragments);
        let shown: Vec<_> = cuts.iter().map(|cut| (cut.first, cut.micros)).collect();
        assert_eq!(shown, [(1_000, 1_500_000), (1_300, 1_500_000)]);
    }

    #[test]
    fn a_key_frame_just_before_the_aim_will_do() {
        let fragments = (0..8).map(|number| fragment(number, 1_950, true));
        assert_eq!(cut(&mut Segmenter::new(1_000, 2_000_000), fragments).len(), 8);
    }

    #[test]
    fn without_a_key_frame_it_cuts_before_the_target_is_passed() {
        let fragments: Vec<_> = (0..20).map(|number| fragment(number, 1_000, number == 0)).collect();
        let mut segmenter = Segmenter::new(1_000, 2_000_000);
        assert_eq!(cut(&mut segmenter, fragments.clone()).len(), 1);
        segmenter.limit(4);
        assert!(cut(&mut segmenter, fragments).iter().all(|cut| cut.micros == 4_000_000));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_places_do_not_drift(
            ticks in prop::collection::vec((0u64..5_000, any::<bool>()), 1..200),
            target in prop::option::of(1u64..10),
        ) {
            let fragments: Vec<_> = (0..).zip(&ticks).map(|(number, (ticks, key))| fragment(number, *ticks, *key)).collect();
            let mut segmenter = Segmenter::new(1_001, 2_000_000);
            if let Some(target) = target {
                segmenter.limit(target);
            }
            let cuts = cut(&mut segmenter, fragments.iter().copied());
            prop_assert_eq!(cuts[0].first, fragments[0].first);
            prop_assert_eq!(cuts.last().map(|cut| cut.end), fragments.last().map(|fragment| fragment.first + 100));
            prop_assert!(cuts.windows(2).all(|pair| pair[0].end == pair[1].first));
            let total: u64 = ticks.iter().map(|(ticks, _)| ticks).sum();
            prop_assert_eq!(cuts.iter().map(|cut| cut.micros).sum::<u64>(), micros(total, 1_001));
        }
    }
}
