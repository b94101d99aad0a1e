//! What a request for bytes is answered with, of an object that grows and of one that is finished. Pure.
//!
//! The answers are those with which players really play: measured, and told in docs/gateway.md. A growing object is `200` in
//! chunks without `Accept-Ranges`; a range in it is `206` with `*` in the place of the size.

use std::time::Duration;

/// The last byte that is named where a range goes to the end of what still grows: 2^53-1, which all players can count to.
const VERY_LAST: &str = "9007199254740991";

/// From this last byte on (that of the example in RFC 8673) a range means: to the end, however far that is.
const FAR: u64 = 999_999_999_999;

/// The longest that an answer is held back (`Prefer: wait`).
pub(crate) const MOST_HELD: Duration = Duration::from_secs(10);

/// What was asked for, as the headers say it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ask<'a> {
    /// HEAD instead of GET.
    pub(crate) head: bool,
    pub(crate) range: Option<&'a str>,
    pub(crate) if_range: Option<&'a str>,
    pub(crate) if_match: Option<&'a str>,
    pub(crate) if_none_match: Option<&'a str>,
    pub(crate) prefer: Option<&'a str>,
}

/// What is known of the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// How many bytes can be read now; all of them where it is finished.
    pub(crate) edge: u64,
    pub(crate) finished: bool,
    /// With its quotation marks.
    pub(crate) etag: &'a str,
    /// As a date of HTTP.
    pub(crate) modified: &'a str,
}

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// 200, all of it.
    All,
    /// 206, from `first` on.
    Part { first: u64, last: Last },
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
    /// Nothing until there are so many bytes, or it is over, or this time is.
    Wait { bytes: u64, most: Duration },
}

/// How far a part goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Last {
    /// To this byte, inclusive.
    Byte(u64),
    /// To the end of what still grows; the last byte as it is named in the answer.
    End(String),
}

/// One range as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range<'a> {
    /// From a byte to the end.
    From(u64),
    /// From a byte to another, whose digits may be more than any number has.
    Between(u64, &'a str),
    /// The last bytes.
    Newest(u64),
    /// More than one.
    Several,
}

/// Whether the answer depends on how far it can be read while it grows.
pub(crate) fn asks_for_edge(ask: &Ask<'_>) -> bool {
    match ask.range.and_then(parse) {
        None => false,
        Some(Range::From(0)) => ask.head,
        Some(_) => true,
    }
}

/// Whether something is asked for that is not there as far as is known.
pub(crate) fn is_beyond(ask: &Ask<'_>, edge: u64) -> bool {
    let range = ask.range.and_then(parse);
    range.is_some_and(|range| is_short(range, edge) || (edge == 0 && range != Range::Several))
}

/// Decides; `waited`: it was held back already.
pub(crate) fn decide(ask: &Ask<'_>, known: &Known<'_>, waited: bool) -> Decision {
    if ask.if_match.is_some_and(|tags| !names(tags, known.etag, false)) {
        return Decision::Failed;
    }
    if ask.if_none_match.is_some_and(|tags| names(tags, known.etag, true)) {
        return Decision::NotModified;
    }
    let same = |validator: &str| validator == known.etag || validator == known.modified;
    let range = ask.range.filter(|_| ask.if_range.is_none_or(|validator| same(validator.trim())));
    let Some(range) = range.and_then(parse) else { return Decision::All };
    if known.finished {
        return in_finished(range, known.edge);
    }
    let held = ask.prefer.and_then(wait).filter(|wait| !waited && !wait.is_zero());
    match (in_growing(range, known.edge, ask.head), held) {
        (_, Some(most)) if is_short(range, known.edge) => Decision::Wait { bytes: wanted(range), most },
        (decision, _) => decision,
    }
}

fn in_finished(range: Range<'_>, size: u64) -> Decision {
    let end = size.checked_sub(1);
    match (range, end) {
        (Range::Several | Range::Newest(0), _) | (_, None) => Decision::Unsatisfiable,
        (Range::From(first) | Range::Between(first, _), Some(end)) if first > end => Decision::Unsatisfiable,
        (Range::From(first), Some(end)) => Decision::Part { first, last: Last::Byte(end) },
        (Range::Between(first, last), Some(end)) => Decision::Part { first, last: Last::Byte(number(last).min(end)) },
        (Range::Newest(bytes), Some(end)) => {
            Decision::Part { first: size.saturating_sub(bytes), last: Last::Byte(end) }
        }
    }
}

fn in_growing(range: Range<'_>, edge: u64, head: bool) -> Decision {
    let newest = edge.checked_sub(1);
    match (range, newest) {
        // What players begin with, before or after the first byte is there.
        (Range::From(0), _) if !head => Decision::All,
        (Range::Several | Range::Newest(0), _) | (_, None) => Decision::Unsatisfiable,
        (Range::From(first) | Range::Between(first, _), Some(newest)) if first > newest => Decision::Unsatisfiable,
        // RFC 8673, 2.1: how far it can be read is asked for in this way.
        (Range::From(first), Some(newest)) if head => Decision::Part { first, last: Last::Byte(newest) },
        (Range::From(first), Some(_)) => Decision::Part { first, last: Last::End(VERY_LAST.to_owned()) },
        (Range::Between(first, last), Some(_)) if number(last) >= FAR => {
            Decision::Part { first, last: Last::End(last.to_owned()) }
        }
        (Range::Between(first, last), Some(newest)) => {
            Decision::Part { first, last: Last::Byte(number(last).min(newest)) }
        }
        (Range::Newest(bytes), Some(newest)) => {
            Decision::Part { first: edge.saturating_sub(bytes), last: Last::Byte(newest) }
        }
    }
}

/// Whether less is there than was asked for, so that it can be waited for.
fn is_short(range: Range<'_>, edge: u64) -> bool {
    match range {
        Range::From(first) => first > 0 && first >= edge,
        Range::Between(first, last) => first >= edge || (number(last) >= edge && number(last) < FAR),
        Range::Newest(_) | Range::Several => false,
    }
}

/// How many bytes have to be there for the whole of it.
fn wanted(range: Range<'_>) -> u64 {
    match range {
        Range::From(first) => first.saturating_add(1),
        Range::Between(first, last) if number(last) >= FAR => first.saturating_add(1),
        Range::Between(_, last) => number(last).saturating_add(1),
        Range::Newest(_) | Range::Several => 0,
    }
}

/// The ranges of a header; none where it is to be ignored: another unit, or no grammar.
fn parse(text: &str) -> Option<Range<'_>> {
    let (unit, ranges) = text.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut found = None;
    let elements = ranges.split(',').map(|element| element.trim_matches([' ', '\t']));
    for element in elements.filter(|element| !element.is_empty()) {
        let range = one(element)?;
        found = Some(if found.is_none() { range } else { Range::Several });
    }
    found
}

fn one(text: &str) -> Option<Range<'_>> {
    let (first, last) = text.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    match (first, last) {
        ("", "") => None,
        ("", last) => Some(Range::Newest(number(last))),
        (first, "") => Some(Range::From(number(first))),
        // A last byte before the first is no range.
        (first, last) if is_less(last, first) => None,
        (first, last) => Some(Range::Between(number(first), last)),
    }
}

/// Whether a number of any length is less than another.
fn is_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    (a.len(), a) < (b.len(), b)
}

/// Digits as a number, the largest where they are too many.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

/// Whether a list of entity tags names this one.
fn names(tags: &str, etag: &str, weakly: bool) -> bool {
    let same = |tag: &str| tag == etag || (weakly && tag.strip_prefix("W/") == Some(etag));
    tags.split(',').map(str::trim).any(|tag| tag == "*" || same(tag))
}

/// How long the answer may be held back (RFC 7240).
fn wait(prefer: &str) -> Option<Duration> {
    let seconds = prefer.split([',', ';']).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(number(seconds)).min(MOST_HELD))
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
