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
    /// What the playlist of all has promised, in seconds.
    dvr_target: Option<u64>,
}

impl Views {
    pub(super) fn new(window: Option<Duration>) -> Self {
        Self { window, slides: window.is_some(), from: 0, dvr_target: None }
    }

    /// Whether a recording of so many segments has become too long to be shown whole; told once.
    pub(super) fn outgrown(&mut self, count: usize) -> bool {
        let now = !self.slides && count > EVENT_MAX;
        self.slides |= now;
        now
    }

    /// What the playlist shows now; `target` is the target duration.
    pub(super) fn live(&mut self, timeline: &Timeline, target: u64, ended: bool) -> View {
        if !self.slides {
            return View { target, kind: PlaylistKind::Event, from: 0, ended };
        }
        let window = self.window.map_or_else(
            || timeline.segments.len().saturating_sub(EVENT_MAX),
            |window| {
                let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
                // No segment may go whose going leaves less than three target durations (RFC 8216, 6.2.2).
                timeline.window(window.max(target.saturating_mul(3_000_000)))
            },
        );
        self.from = self.from.max(window);
        View { target, kind: PlaylistKind::Sliding, from: self.from, ended }
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
    fn the_list_of_all_keeps_its_own_longer_promise() {
        let mut views = Views::new(None);
        for (target, promised) in [(2, 30), (29, 30), (31, 31), (2, 30)] {
            assert_eq!(views.dvr(target, false).target, promised, "{target} s");
        }
    }
}
