//! Which segments the playlist shows, and which the one of all beside it. Pure.
//!
//! A playlist slides with `--hls-window`, or once the recording is long; from then on it does so for good.

use std::time::Duration;

use super::playlist::{PlaylistKind, Timeline, View};

/// A playlist with more segments than this slides: at 2 s each, three hours, and about a megabyte with the long version
/// ids of Backblaze B2. See docs/hls.md for what was measured.
pub(super) const EVENT_MAX: usize = 5_400;

/// The least target duration of the playlist that shows all of a long recording, in seconds.
const DVR_TARGET: u64 = 30;

/// That playlist is written anew when the recording has become longer by so small a share: what all its versions cost
/// together then grows as it does itself, and not with the square of it.
const DVR_SHARE: u64 = 100;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Views {
    /// Show no more than this.
    window: Option<Duration>,
    /// The playlist does not show the beginning any more.
    slides: bool,
    /// The first segment that it shows.
    from: usize,
    /// References have changed since the last version.
    turned: bool,
    /// What the playlist of all has promised, in seconds.
    dvr_target: Option<u64>,
}

impl Views {
    pub(super) fn new(window: Option<Duration>) -> Self {
        Self { window, slides: window.is_some(), from: 0, turned: false, dvr_target: None }
    }

    /// Whether a recording of so many segments has become too long to be shown whole; told once.
    pub(super) fn outgrown(&mut self, count: usize) -> bool {
        let now = !self.slides && count > EVENT_MAX;
        self.slides |= now;
        now
    }

    /// References to live objects have become byte ranges. A list that slides, and any that ends, begins a segment later
    /// with them: GStreamer 1.22 compares what has the first number, gives up where that is called otherwise than before, and
    /// looks no further where the list begins behind it.
    pub(super) fn turn(&mut self) {
        self.turned = true;
    }

    /// What the playlist shows now; `target` is the target duration.
    pub(super) fn live(&mut self, timeline: &Timeline, target: u64, ended: bool) -> View {
        // No segment may go whose going leaves less than three target durations (RFC 8216, 6.2.2).
        let least = target.saturating_mul(3_000_000);
        let from = match self.window {
            _ if !self.slides => 0,
            None => timeline.segments.len().saturating_sub(EVENT_MAX),
            Some(window) => timeline.window(u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(least)),
        };
        let mut from = from.max(self.from);
        if (self.slides || ended) && std::mem::take(&mut self.turned) && self.from < timeline.window(least) {
            from = from.max(self.from + 1);
        }
        self.from = from;
        let kind = if self.slides || from > 0 { PlaylistKind::Sliding } else { PlaylistKind::Event };
        View { target, kind, from, ended }
    }

    /// Whether there is a list of all beside one that begins at this segment.
    pub(super) fn has_dvr(&self, from: usize) -> bool {
        self.slides && from > 0
    }

    /// What the playlist of all shows; `target` is the target duration of the other.
    pub(super) fn dvr(&mut self, target: u64, ended: bool) -> View {
        let promised = *self.dvr_target.get_or_insert(target.max(DVR_TARGET));
        View { target: promised.max(target), kind: PlaylistKind::Event, from: 0, ended }
    }
}

/// How long from one version of the list of all to the next, of a recording that plays so many microseconds.
pub(super) fn dvr_pace(target: u64, micros: u64) -> Duration {
    Duration::from_secs(target).max(Duration::from_micros(micros / DVR_SHARE))
}

#[cfg(test)]
mod tests {
    use super::super::segments::Segment;
    use super::*;

    /// So many segments of two seconds.
    fn timeline(count: u64) -> Timeline {
        let segment = |index| Segment { object: 0, first: index * 9, len: 9, micros: 2_000_000, date: None };
        Timeline { segments: (0..count).map(segment).collect(), ..Timeline::default() }
    }

    #[test]
    fn all_versions_of_the_list_of_all_together_grow_as_the_recording_does() {
        // Segments of two seconds, 175 bytes each, recorded for so many hours.
        let written = |hours: u64| {
            let (mut at, mut bytes) = (30u64, 0u64);
            while at < hours * 3_600 {
                bytes += at / 2 * 175;
                at += dvr_pace(30, at * 1_000_000).as_secs();
            }
            bytes
        };
        let (day, week) = (written(24), written(7 * 24));
        assert!(day < 900_000_000, "{day} bytes in a day");
        assert!(week < 8 * day, "{week} bytes in a week, {day} in a day");
        assert_eq!(dvr_pace(30, 600_000_000), Duration::from_secs(30));
    }

    #[test]
    fn a_window_slides_but_never_below_three_target_durations_and_never_back() {
        let mut views = Views::new(Some(Duration::from_secs(20)));
        assert!(!views.outgrown(EVENT_MAX + 1), "it slid before");
        // Segments, the target duration, and the first segment shown.
        for (count, target, from) in [(5, 2, 0), (10, 2, 0), (15, 2, 5), (20, 2, 10), (20, 10, 10), (40, 10, 25)] {
            let view = views.live(&timeline(count), target, false);
            assert_eq!((view.kind, view.from), (PlaylistKind::Sliding, from), "{count} segments, {target} s");
        }
    }

    #[test]
    fn a_recording_is_shown_whole_until_it_is_long() {
        let mut views = Views::new(None);
        // Segments, whether that is too long just now, and the first one shown.
        for (count, outgrown, kind, from) in [
            (5_400, false, PlaylistKind::Event, 0),
            (5_401, true, PlaylistKind::Sliding, 1),
            (5_410, false, PlaylistKind::Sliding, 10),
        ] {
            let timeline = timeline(count);
            assert_eq!(views.outgrown(timeline.segments.len()), outgrown, "{count}");
            let view = views.live(&timeline, 2, false);
            assert_eq!((view.kind, view.from), (kind, from), "{count}");
        }
    }

    #[test]
    fn a_list_whose_references_have_changed_begins_a_segment_later_once_it_slides_or_ends() {
        // Segments, the window, whether it ends, and the first segment shown before and after the change.
        for (count, window, ended, before, after) in [
            (20, None, false, 0, 0),
            (20, None, true, 0, 1),
            // Three target durations stay.
            (4, None, true, 0, 1),
            (3, None, true, 0, 0),
            (20, Some(20), false, 10, 11),
            (20, Some(20), true, 10, 11),
            (3, Some(20), false, 0, 0),
        ] {
            let mut views = Views::new(window.map(Duration::from_secs));
            assert_eq!(views.live(&timeline(count), 2, false).from, before);
            views.turn();
            for _ in 0..2 {
                let view = views.live(&timeline(count), 2, ended);
                assert_eq!(view.from, after, "{count} segments, {window:?}, ended: {ended}");
                assert_eq!(view.kind == PlaylistKind::Event, window.is_none() && after == 0);
                assert_eq!(views.has_dvr(view.from), window.is_some() && after > 0);
            }
        }
    }

    #[test]
    fn the_list_of_all_keeps_its_own_longer_promise() {
        let mut views = Views::new(None);
        for (target, promised) in [(2, 30), (29, 30), (31, 31), (2, 30)] {
            assert_eq!(views.dvr(target, false).target, promised, "{target} s");
        }
    }
}
