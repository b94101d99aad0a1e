//! When a request for a playlist is answered: at once, when what it waits for is there, or not at all (RFC 8216bis, 6.2.5). Pure.

/// What a request asks for (`_HLS_msn`, `_HLS_part`, `_HLS_skip`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Directives {
    /// Not before the segment with this number is there.
    pub(crate) segment: Option<u64>,
    /// Not before this part of it is there.
    pub(crate) part: Option<u64>,
    /// Without what the client has.
    pub(crate) skip: bool,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct There {
    /// Whole segments.
    pub(crate) segments: u64,
    /// Parts of the newest of them, and of the one that is not whole yet; none where no parts are listed.
    pub(crate) parts: Option<(u64, u64)>,
    /// Nothing more comes.
    pub(crate) over: bool,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Now,
    Hold,
    /// It asks for what is far away.
    TooFar,
}

impl Directives {
    /// Reads the values of the three parameters.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn read(segment: Option<&str>, part: Option<&str>, skip: Option<&str>) -> Result<Self, &'static str> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| is_number)
        };
        let (segment_number, part_number) = (segment.map(number), part.map(number));
        match (segment_number, part_number) {
            (Some(None), _) => Err("_HLS_msn is a number"),
            (_, Some(None)) => Err("_HLS_part is a number"),
            (None, Some(Some(_))) => Err("_HLS_part needs _HLS_msn"),
            (segment, part) => {
                let skip = skip.is_some_and(|skip| matches!(skip, "YES" | "v2"));
                Ok(Self { segment: segment.flatten(), part: part.flatten(), skip })
            }
        }
    }

    /// Whether what is asked for is there.
    pub(crate) fn judge(&self, there: &There) -> Verdict {
        let Some(segment) = self.segment.filter(|_| !there.over) else { return Verdict::Now };
        // The number of the newest segment, and two.
        if segment > there.segments.saturating_add(1) {
            return Verdict::TooFar;
        }
        let is_there = match (self.part, there.parts) {
            // A part after the last of its segment is the first of the next.
            (Some(part), Some((newest, open))) if segment.saturating_add(1) == there.segments => {
                part < newest || newest == 0 || open > 0
            }
            (Some(part), Some((_, open))) if segment == there.segments => part < open,
            _ => segment < there.segments,
        };
        if is_there { Verdict::Now } else { Verdict::Hold }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_asked_for_is_read_strictly() {
        let read = Directives::read;
        let directives = |segment, part, skip| Ok(Directives { segment, part, skip });
        for (segment, part, skip, want) in [
            (None, None, None, directives(None, None, false)),
            (Some("12"), None, None, directives(Some(12), None, false)),
            (Some("12"), Some("3"), Some("YES"), directives(Some(12), Some(3), true)),
            (None, None, Some("v2"), directives(None, None, true)),
            (None, None, Some("NO"), directives(None, None, false)),
        ] {
            assert_eq!(read(segment, part, skip), want);
        }
        for (segment, part) in [
            (None, Some("0")),
            (Some("abc"), None),
            (Some(""), None),
            (Some("-1"), None),
            (Some("+1"), None),
            (Some("1"), Some("x")),
            (Some("99999999999999999999"), None),
        ] {
            assert!(read(segment, part, None).is_err(), "{segment:?} {part:?}");
        }
    }

    #[test]
    fn a_request_waits_for_what_it_names_and_for_nothing_far_away() {
        use Verdict::{Hold, Now, TooFar};
        // Segments 0 to 9, the last of four parts; of segment 10 there are two parts.
        let low = There { segments: 10, parts: Some((4, 2)), over: false };
        let begun = There { parts: Some((4, 0)), ..low };
        let plain = There { parts: None, ..low };
        let over = There { over: true, ..low };
        for (there, segment, part, want) in [
            (low, None, None, Now),
            (low, Some(9), None, Now),
            (low, Some(10), None, Hold),
            (low, Some(11), None, Hold),
            (low, Some(12), None, TooFar),
            (low, Some(u64::MAX), None, TooFar),
            (low, Some(10), Some(1), Now),
            (low, Some(10), Some(2), Hold),
            (low, Some(11), Some(0), Hold),
            (low, Some(9), Some(3), Now),
            (low, Some(9), Some(4), Now),
            (begun, Some(9), Some(3), Now),
            (begun, Some(9), Some(4), Hold),
            (begun, Some(8), Some(99), Now),
            (plain, Some(9), Some(77), Now),
            (plain, Some(10), Some(0), Hold),
            (over, Some(10), Some(5), Now),
            (over, Some(999), None, Now),
        ] {
            let directives = Directives { segment, part, skip: false };
            assert_eq!(directives.judge(&there), want, "{directives:?} {there:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_answered_once_is_answered_from_then_on(segment in 0u64..8, part in prop::option::of(0u64..6), sizes in prop::collection::vec(1u64..6, 8)) {
            let directives = Directives { segment: Some(segment), part, skip: false };
            let mut answered = false;
            let mut last = 0;
            for (segments, size) in (0..).zip(&sizes) {
                for open in 0..*size {
                    let verdict = directives.judge(&There { segments, parts: Some((last, open)), over: false });
                    prop_assert!(!answered || verdict == Verdict::Now, "{:?} at {} and {}", verdict, segments, open);
                    answered |= verdict == Verdict::Now;
                }
                last = *size;
            }
        }
    }
}
