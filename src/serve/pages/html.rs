//! What people read of sizes and times. Pure.

pub(super) use crate::human::html::text;
use crate::human::times::show_of_day;

/// `1.5 GB`.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = 1;
    for (name, next) in [("B", "kB"), ("kB", "MB"), ("MB", "GB"), ("GB", "TB")] {
        if bytes / unit < 1_000 {
            return of(bytes, unit, name);
        }
        unit *= 1_000;
        if next == "TB" {
            return of(bytes, unit, next);
        }
    }
    of(bytes, 1, "B")
}

/// With one digit behind the point where there is only one before it.
fn of(bytes: u64, unit: u64, name: &str) -> String {
    let tenths = bytes / (unit / 10).max(1);
    if unit > 1 && tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", bytes / unit)
    }
}

/// How long ago, as an element that also tells the moment.
pub(super) fn ago(since: i64, now: i64) -> String {
    let seconds = now.saturating_sub(since).max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    let moment = show_of_day(since);
    format!("<time datetime=\"{moment}\" title=\"{moment}\">{count} {unit}{plural} ago</time>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (12_345, "12 kB"),
            (1_500_000_000, "1.5 GB"),
            (2_000_000_000_000, "2.0 TB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(size(bytes), wanted);
        }
        for (seconds, wanted) in
            [(-5, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (200_000, "2 days")]
        {
            assert!(ago(1_000_000, 1_000_000 + seconds).contains(&format!(">{wanted} ago<")), "{wanted}");
        }
    }
}
