//! How long an upload can go on before its 10,000 parts are used. Pure.

use std::time::Duration;

use crate::human::sizes::show_bytes;
use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::PartSize;

/// The rate of the input is known well enough after this time.
pub const OBSERVED: Duration = Duration::from_secs(60);

/// A stream that would go on for this long without reaching the limit needs no warning.
pub const LONG_ENOUGH: Duration = Duration::from_secs(24 * 3600);

/// What to say about parts that Backblaze takes and most other stores do not: those know only when an upload is to be completed.
#[must_use]
pub fn too_small_elsewhere(part_size: PartSize) -> Option<String> {
    (part_size < PartSize::DEFAULT).then(|| {
        format!(
            "parts of {part_size} bytes are less than most stores take (5 MiB), and they say so only when the upload is to be \
             completed: leave --part-size out, or give at least 5MiB, unless this store is known to take them"
        )
    })
}

/// What to say about an input of `bytes` in `elapsed`, if its rate would use up all parts of an object that is to last so
/// long.
#[must_use]
pub fn advice(part_size: PartSize, bytes: u64, elapsed: Duration, to_last: Duration) -> Option<String> {
    let millis = u64::try_from(elapsed.as_millis()).ok().filter(|millis| *millis > 0)?;
    let rate = u128::from(bytes) * 1000 / u128::from(millis);
    let capacity = u128::from(part_size.capacity());
    let lasts = capacity.checked_div(rate)?;
    let to_last = u128::from(to_last.as_secs());
    if lasts >= to_last {
        return None;
    }
    // A fifth to spare, rounded up to whole MiB.
    let wanted = rate * to_last * 6 / 5 / u128::from(MAX_PARTS);
    let mebibytes = wanted.div_ceil(1 << 20);
    let hours = lasts / 3600;
    let minutes = lasts % 3600 / 60;
    let whole = if to_last == u128::from(LONG_ENOUGH.as_secs()) { "for a day" } else { "until the rollover" };
    Some(format!(
        "at the rate so far the upload is full after {hours} h {minutes} min: {MAX_PARTS} parts of this size hold {}. \
         --part-size {mebibytes}MiB would last {whole}",
        show_bytes(part_size.capacity())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_megabits_do_not_fit_a_day_of_five_mebibyte_parts() {
        let part_size = PartSize::new(5 << 20).expect("in range");
        let minute = Duration::from_secs(60);
        let said = advice(part_size, 45_000_000, minute, LONG_ENOUGH).expect("0.75 MB/s fills 52 GB in 19.4 hours");
        assert!(said.contains("19 h 25 min") && said.contains("--part-size 8MiB"), "{said}");
        assert_eq!(advice(PartSize::new(8 << 20).expect("in range"), 45_000_000, minute, LONG_ENOUGH), None);
        let half = LONG_ENOUGH / 2;
        assert_eq!(advice(part_size, 45_000_000, minute, half), None);
        let said = advice(part_size, 90_000_000, minute, half).expect("9.7 hours");
        assert!(said.contains("9 h 42 min") && said.ends_with("until the rollover"), "{said}");
    }

    #[test]
    fn nothing_is_said_of_an_input_without_bytes_or_time() {
        let part_size = PartSize::new(5 << 20).expect("in range");
        assert_eq!(advice(part_size, 0, OBSERVED, LONG_ENOUGH), None);
        assert_eq!(advice(part_size, 1 << 40, Duration::ZERO, LONG_ENOUGH), None);
    }
}
