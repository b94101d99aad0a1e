//! How far behind live the reader was: for each byte, when it came out of the
//! reader less when it went into the writer.

use std::time::Duration;

/// The stream had reached `end` bytes at `at` after the start of the demo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) end: u64,
    pub(crate) at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lag {
    pub(crate) median: Duration,
    pub(crate) worst: Duration,
}

/// `None` when not one byte has been on both sides.
pub(crate) fn lag(sent: &[Mark], received: &[Mark]) -> Option<Lag> {
    // Between two neighbouring marks of either side all bytes share one delay.
    let mut delays: Vec<(Duration, u64)> = Vec::with_capacity(sent.len() + received.len());
    let (mut i, mut o, mut from) = (0, 0, 0u64);
    while let (Some(s), Some(r)) = (sent.get(i), received.get(o)) {
        let to = s.end.min(r.end);
        if to > from {
            delays.push((r.at.saturating_sub(s.at), to - from));
            from = to;
        }
        if s.end <= to {
            i += 1;
        }
        if r.end <= to {
            o += 1;
        }
    }
    delays.sort_unstable();
    let worst = delays.last()?.0;
    let half = from.div_ceil(2);
    let mut seen = 0;
    let median = delays
        .iter()
        .find(|(_, bytes)| {
            seen += bytes;
            seen >= half
        })
        .map_or(worst, |(delay, _)| *delay);
    Some(Lag { median, worst })
}

/// How old the oldest byte is that has not come out yet; zero when all have.
pub(crate) fn behind_now(sent: &[Mark], received: u64, now: Duration) -> Duration {
    let oldest = sent.partition_point(|mark| mark.end <= received);
    sent.get(oldest).map_or(Duration::ZERO, |mark| now.saturating_sub(mark.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(of: &[(u64, u64)]) -> Vec<Mark> {
        of.iter().map(|&(end, seconds)| Mark { end, at: Duration::from_secs(seconds) }).collect()
    }

    #[test]
    fn weighs_each_delay_by_its_bytes() {
        // 10 bytes at 1 s, 90 more at 2 s; all come out at 5 s.
        let found = lag(&marks(&[(10, 1), (100, 2)]), &marks(&[(100, 5)]));
        assert_eq!(found, Some(Lag { median: Duration::from_secs(3), worst: Duration::from_secs(4) }));
    }

    #[test]
    fn counts_only_what_has_come_out() {
        let found = lag(&marks(&[(10, 1), (20, 9)]), &marks(&[(5, 2), (10, 3)]));
        assert_eq!(found, Some(Lag { median: Duration::from_secs(1), worst: Duration::from_secs(2) }));
        assert_eq!(lag(&marks(&[(10, 1)]), &[]), None);
    }

    #[test]
    fn the_oldest_byte_not_out_yet_sets_the_distance() {
        let sent = marks(&[(10, 1), (20, 2), (30, 4)]);
        let now = Duration::from_secs(6);
        assert_eq!(behind_now(&sent, 0, now), Duration::from_secs(5));
        assert_eq!(behind_now(&sent, 10, now), Duration::from_secs(4));
        assert_eq!(behind_now(&sent, 15, now), Duration::from_secs(4));
        assert_eq!(behind_now(&sent, 30, now), Duration::ZERO);
    }
}
