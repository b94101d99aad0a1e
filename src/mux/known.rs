//! Which fragments have come already: by when they are decoded, and by their bytes. Redundant encoders, and those that come back,
//! send some twice.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::media::fmp4::samples::Samples;

/// So many are known again: not more, since somebody who begins his film anew sends the same as long before.
const KNOWN: usize = 16;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Known(VecDeque<u64>);

impl Known {
    /// Whether this one has come before; it has from now on.
    pub(super) fn has(&mut self, tracks: &[Samples], data: &[u8]) -> bool {
        // Without a time, the same bytes are the same silence again.
        if tracks.iter().any(|track| track.decode.is_none()) {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        for track in tracks {
            (track.track, track.decode, track.samples.len()).hash(&mut hasher);
        }
        data.hash(&mut hasher);
        let hash = hasher.finish();
        if self.0.contains(&hash) {
            return true;
        }
        if self.0.len() >= KNOWN {
            self.0.pop_front();
        }
        self.0.push_back(hash);
        false
    }
}
