//! What the multivariant playlist tells of a stream (`EXT-X-STREAM-INF`), as it is found out while it is recorded. Pure.

use std::sync::Arc;

use super::segments::Segment;
use crate::media::fmp4::{Movie, Run};

/// A last segment of a frame or two, in microseconds, says nothing.
const SHORT: u64 = 500_000;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct StreamInfo {
    /// The newest header's movie.
    pub movie: Option<Arc<Movie>>,
    /// Samples a second of the main track.
    pub frame_rate: Option<f64>,
    /// The highest bit rate of a segment that is listed, in bits a second.
    pub peak: u64,
}

impl StreamInfo {
    /// A fragment has these samples of the main track.
    pub(crate) fn sampled(&mut self, run: &Run) {
        if run.duration == 0 {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "shown with three decimals")]
        let rate = run.samples as f64 * f64::from(run.timescale) / run.duration as f64;
        // The first fragment may be a little longer than its frames are.
        self.frame_rate = Some(self.frame_rate.map_or(rate, |before| before.max(rate)));
    }

    /// A segment is listed.
    pub(crate) fn listed(&mut self, segment: &Segment) {
        self.peak = self.peak.max(rate(segment));
    }
}

/// Bits a second.
fn rate(segment: &Segment) -> u64 {
    if segment.micros < SHORT {
        return 0;
    }
    u64::try_from(u128::from(segment.len) * 8_000_000 / u128::from(segment.micros)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_the_segment_with_the_most_bits_a_second() {
        let mut info = StreamInfo::default();
        // Bytes and microseconds of a segment, and the peak from then on.
        for (len, micros, peak) in [
            (250_000, 2_000_000, 1_000_000),
            (500_000, 2_000_000, 2_000_000),
            (250_000, 2_000_000, 2_000_000),
            // Two frames.
            (250_000, 80_000, 2_000_000),
        ] {
            info.listed(&Segment { object: 0, first: 0, len, micros, date: None });
            assert_eq!(info.peak, peak, "{len} bytes in {micros}");
        }
    }
}
