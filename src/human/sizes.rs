//! Sizes and durations as people write them. Pure.

use std::time::Duration;

/// Parses plain bytes or a number with a unit: `5242880`, `5MB` (decimal), `5MiB`. Fractions are allowed with a unit.
///
/// # Errors
/// In words, for anything else, and for sizes past 2^63 bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("{text:?} is not a size; write bytes or a unit, as in 5242880, 5MB or 5MiB")),
    };
    let bad = || format!("{text:?} is not a size; write bytes or a unit, as in 5242880, 5MB or 5MiB");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(bad);
    }
    let value: f64 = number.parse().map_err(|_| bad())?;
    #[allow(clippy::cast_precision_loss, reason = "the largest factor is 2^40")]
    let bytes = value * factor as f64;
    if factor == 1 || !bytes.is_finite() || !(0.0..9.0e18).contains(&bytes) {
        return Err(bad());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes.round() as u64)
}

/// Bits a second, as ffmpeg has them: `2.8M`, `800k`, or a plain number.
#[must_use]
pub fn bits_a_second(text: &str) -> Option<u64> {
    let (number, times) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1_000.0),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1_000_000.0)),
    };
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let bits = number.parse::<f64>().ok().filter(|_| plain)? * times;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range")]
    (1.0..1e12).contains(&bits).then_some(bits.round() as u64)
}

/// Parses seconds, fractions allowed, or a number with a unit: `0.5`, `500ms`, `2m`, `1h`.
///
/// # Errors
/// In words, for anything else, and for more than ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a duration; write seconds or a unit, as in 0.5, 500ms, 2m or 1h");
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "s" | "sec" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    let seconds = number.parse::<f64>().map_err(|_| bad())? * factor;
    if !(0.0..=315_360_000.0).contains(&seconds) {
        return Err(bad());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A duration that is more than nothing: a poll interval of zero would ask without a pause.
///
/// # Errors
/// In words, as for [`duration`], and for less than a millisecond.
pub fn interval(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed < Duration::from_millis(1) {
        return Err(format!("{text:?} is too short; at least 1ms"));
    }
    Ok(parsed)
}

/// An exact count for people: `7 bytes`, `12000000 bytes (12.0 MB)`.
#[must_use]
pub fn show_exactly(bytes: u64) -> String {
    if bytes < 1_000 { format!("{bytes} bytes") } else { format!("{bytes} bytes ({})", show_bytes(bytes)) }
}

/// Bytes for people: `5.2 MB`.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// Splits `5MiB` into `5` and `MiB`.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("5242880"), Ok(5_242_880));
        assert_eq!(size("5MB"), Ok(5_000_000));
        assert_eq!(size("5MiB"), Ok(5_242_880));
        assert_eq!(size("5 mib"), Ok(5_242_880));
        assert_eq!(size("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(size("0"), Ok(0));
        for bad in ["", "MB", "5XB", "-5MB", "1.5", "1e9", "99999999999999999999", "9999999TiB", "5..5MB", "nan"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rates() {
        for (text, bits) in
            [("8M", Some(8_000_000)), ("2.8M", Some(2_800_000)), ("800k", Some(800_000)), ("64000", Some(64_000))]
        {
            assert_eq!(bits_a_second(text), bits, "{text}");
        }
        for bad in ["", "M", "8m", "8MB", "-8M", "1e6", "0", "8 M"] {
            assert_eq!(bits_a_second(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "s", "-1", "1y", "inf", "nan", "99999999999", "1 2"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(interval("0").is_err());
        assert_eq!(interval("1ms"), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!(show_bytes(999), "999 B");
        assert_eq!(show_bytes(5_242_880), "5.2 MB");
        assert_eq!(show_bytes(1_500_000_000), "1.50 GB");
    }
}
