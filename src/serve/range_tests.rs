//! The table of docs/gateway.md, both columns.

use proptest::prelude::*;

use super::*;

const ETAG: &str = "\"abc\"";
const DATE: &str = "Sat, 21 Nov 2026 12:00:00 GMT";

fn known(edge: u64, finished: bool) -> Known<'static> {
    Known { edge, finished, etag: ETAG, modified: DATE }
}

/// What is answered to a range, in short: the status and the range.
fn told(ask: &Ask<'_>, known: &Known<'_>) -> String {
    let total = if known.finished { known.edge.to_string() } else { "*".to_owned() };
    match decide(ask, known, false) {
        Decision::All => "200".to_owned(),
        Decision::Part { first, last: Last::Byte(last) } => format!("206 {first}-{last}/{total} length"),
        Decision::Part { first, last: Last::End(last) } => format!("206 {first}-{last}/{total} chunked"),
        Decision::NotModified => "304".to_owned(),
        Decision::Failed => "412".to_owned(),
        Decision::Unsatisfiable => "416".to_owned(),
        Decision::Wait { bytes, most } => format!("wait {bytes} {}", most.as_secs()),
    }
}

#[test]
fn ranges_are_answered_by_the_table() {
    let many = vec!["0-0"; 1_000].join(",");
    let many = format!("bytes={many}");
    let long = format!("bytes=0-{}", "9".repeat(500));
    let far = format!("206 0-{}/* chunked", "9".repeat(500));
    // Of 1,000 bytes that can be read.
    for (range, growing, finished) in [
        ("bytes=0-", "200", "206 0-999/1000 length"),
        ("bytes=000-", "200", "206 0-999/1000 length"),
        ("BYTES=0-", "200", "206 0-999/1000 length"),
        ("bytes=0-99", "206 0-99/* length", "206 0-99/1000 length"),
        ("bytes=0-0", "206 0-0/* length", "206 0-0/1000 length"),
        ("bytes=500-999", "206 500-999/* length", "206 500-999/1000 length"),
        ("bytes=500-1000", "206 500-999/* length", "206 500-999/1000 length"),
        ("bytes=500-999999999998", "206 500-999/* length", "206 500-999/1000 length"),
        ("bytes=500-999999999999", "206 500-999999999999/* chunked", "206 500-999/1000 length"),
        ("bytes=0-9007199254740991", "206 0-9007199254740991/* chunked", "206 0-999/1000 length"),
        ("bytes=0-18446744073709551616", "206 0-18446744073709551616/* chunked", "206 0-999/1000 length"),
        (&long, &far, "206 0-999/1000 length"),
        ("bytes=1-", "206 1-9007199254740991/* chunked", "206 1-999/1000 length"),
        ("bytes=999-", "206 999-9007199254740991/* chunked", "206 999-999/1000 length"),
        ("bytes=1000-", "416", "416"),
        ("bytes=1000-2000", "416", "416"),
        ("bytes=1000-9007199254740991", "416", "416"),
        ("bytes=18446744073709551616-", "416", "416"),
        ("bytes=18446744073709551616-18446744073709551617", "416", "416"),
        ("bytes=-1", "206 999-999/* length", "206 999-999/1000 length"),
        ("bytes=-1000", "206 0-999/* length", "206 0-999/1000 length"),
        ("bytes=-99999999999999999999999", "206 0-999/* length", "206 0-999/1000 length"),
        ("bytes=-0", "416", "416"),
        ("bytes=0-1,5-6", "416", "416"),
        ("bytes=0-0, 0-0", "416", "416"),
        (&many, "416", "416"),
        ("bytes=0-5,", "206 0-5/* length", "206 0-5/1000 length"),
        // No grammar, or another one: as if it were not there.
        ("bytes=5-4", "200", "200"),
        ("bytes=18446744073709551617-18446744073709551616", "200", "200"),
        ("bytes=", "200", "200"),
        ("bytes=,", "200", "200"),
        ("bytes=-", "200", "200"),
        ("bytes=a-b", "200", "200"),
        ("bytes=0-1,x", "200", "200"),
        ("bytes=+1-2", "200", "200"),
        ("bytes=1 - 2", "200", "200"),
        ("bytes=--1", "200", "200"),
        ("bytes=0x1-2", "200", "200"),
        ("bytes 0-1", "200", "200"),
        ("items=0-1", "200", "200"),
        ("0-1", "200", "200"),
        ("", "200", "200"),
    ] {
        let ask = Ask { range: Some(range), ..Ask::default() };
        assert_eq!(told(&ask, &known(1_000, false)), growing, "{range}, while it grows");
        assert_eq!(told(&ask, &known(1_000, true)), finished, "{range}, finished");
    }
    assert_eq!(told(&Ask::default(), &known(1_000, false)), "200");
    assert_eq!(told(&Ask::default(), &known(1_000, true)), "200");
}

#[test]
fn nothing_there_yet_is_told_from_nothing_at_all() {
    for (range, growing, finished) in [
        ("bytes=0-", "200", "416"),
        ("bytes=0-0", "416", "416"),
        ("bytes=-1", "416", "416"),
        ("bytes=1-", "416", "416"),
    ] {
        let ask = Ask { range: Some(range), ..Ask::default() };
        assert_eq!(told(&ask, &known(0, false)), growing, "{range}, while it grows");
        assert_eq!(told(&ask, &known(0, true)), finished, "{range}, finished");
    }
}

#[test]
fn how_far_it_can_be_read_is_told_to_a_head() {
    for (range, growing, finished) in [
        (None, "200", "200"),
        (Some("bytes=0-"), "206 0-999/* length", "206 0-999/1000 length"),
        (Some("bytes=7-"), "206 7-999/* length", "206 7-999/1000 length"),
        (Some("bytes=0-9007199254740991"), "206 0-9007199254740991/* chunked", "206 0-999/1000 length"),
    ] {
        let ask = Ask { head: true, range, ..Ask::default() };
        assert_eq!(told(&ask, &known(1_000, false)), growing, "{range:?}");
        assert_eq!(told(&ask, &known(1_000, true)), finished, "{range:?}");
        assert!(range.is_none() || asks_for_edge(&ask), "{range:?}");
    }
    let ask = Ask { head: true, range: Some("bytes=0-"), ..Ask::default() };
    assert_eq!(told(&ask, &known(0, false)), "416");
}

#[test]
fn what_is_asked_for_beyond_what_is_known_is_looked_for_again() {
    for (range, edge, beyond) in [
        ("bytes=0-999", 1_000, false),
        ("bytes=0-1000", 1_000, true),
        ("bytes=1000-", 1_000, true),
        ("bytes=999-", 1_000, false),
        ("bytes=5-9007199254740991", 1_000, false),
        ("bytes=-5", 1_000, false),
        ("bytes=-5", 0, true),
        ("bytes=0-", 0, true),
        ("bytes=0-1,5-6", 0, false),
        ("nonsense", 0, false),
    ] {
        assert_eq!(is_beyond(&Ask { range: Some(range), ..Ask::default() }, edge), beyond, "{range} of {edge}");
    }
}

#[test]
fn conditions_come_before_ranges() {
    let part = "206 0-9/* length";
    let date = "Sat, 21 Nov 2026 12:00:01 GMT";
    for (if_match, if_none_match, if_range, answer) in [
        (Some(ETAG), None, None, part),
        (Some("*"), None, None, part),
        (Some("\"x\", \"abc\""), None, None, part),
        (Some("\"x\""), None, None, "412"),
        (Some("W/\"abc\""), None, None, "412"),
        (Some("abc"), None, None, "412"),
        (Some("\"x\""), Some(ETAG), None, "412"),
        (None, Some(ETAG), None, "304"),
        (None, Some("W/\"abc\""), None, "304"),
        (None, Some("\"x\" , \"abc\""), None, "304"),
        (None, Some("*"), None, "304"),
        (None, Some("\"x\""), None, part),
        (None, None, Some(ETAG), part),
        (None, None, Some(DATE), part),
        (None, None, Some("W/\"abc\""), "200"),
        (None, None, Some("\"x\""), "200"),
        (None, None, Some(date), "200"),
        (Some(ETAG), Some("\"x\""), Some("\"x\""), "200"),
    ] {
        let ask = Ask { range: Some("bytes=0-9"), if_match, if_none_match, if_range, ..Ask::default() };
        assert_eq!(told(&ask, &known(1_000, false)), answer, "{if_match:?} {if_none_match:?} {if_range:?}");
        let finished = told(&ask, &known(1_000, true));
        assert_eq!(finished, answer.replace('*', "1000"), "{if_match:?} {if_none_match:?} {if_range:?}");
    }
}

#[test]
fn what_is_not_there_yet_is_waited_for_where_that_is_preferred() {
    for (prefer, range, answer) in [
        ("wait=5", "bytes=500-1999", "wait 2000 5"),
        ("wait=5", "bytes=500-1000", "wait 1001 5"),
        ("wait=5", "bytes=2000-", "wait 2001 5"),
        ("wait=5", "bytes=2000-2999", "wait 3000 5"),
        ("wait=5", "bytes=2000-9007199254740991", "wait 2001 5"),
        ("respond-async, wait=3", "bytes=1000-", "wait 1001 3"),
        ("Wait = \"3\"", "bytes=1000-", "wait 1001 3"),
        ("wait=99999999999999999999", "bytes=1000-", "wait 1001 10"),
        ("wait=5", "bytes=500-999", "206 500-999/* length"),
        ("wait=5", "bytes=0-", "200"),
        ("wait=5", "bytes=5-", "206 5-9007199254740991/* chunked"),
        ("wait=5", "bytes=-2000", "206 0-999/* length"),
        ("wait=0", "bytes=1000-", "416"),
        ("wait", "bytes=1000-", "416"),
        ("wait=x", "bytes=1000-", "416"),
        ("wait=-1", "bytes=1000-", "416"),
    ] {
        let ask = Ask { range: Some(range), prefer: Some(prefer), ..Ask::default() };
        assert_eq!(told(&ask, &known(1_000, false)), answer, "{prefer} {range}");
        assert!(!told(&ask, &known(1_000, true)).starts_with("wait"), "{prefer} {range}: it is finished");
        let after = decide(&ask, &known(1_000, false), true);
        assert!(!matches!(after, Decision::Wait { .. }), "{prefer} {range}: it has been waited for");
    }
}

proptest! {
    #[test]
    fn a_part_lies_within_what_there_is(text in "bytes=[0-9]{0,5}-[0-9]{0,5}(,[0-9]{0,3}-)?", edge in 0..20_000u64, finished: bool, head: bool) {
        let ask = Ask { head, range: Some(&text), ..Ask::default() };
        match decide(&ask, &known(edge, finished), false) {
            Decision::Part { first, last: Last::Byte(last) } => prop_assert!(first <= last && last < edge),
            Decision::Part { first, last: Last::End(_) } => prop_assert!(first < edge && !finished),
            _ => {}
        }
    }

    #[test]
    fn no_header_is_too_strange(text in "\\PC{0,80}", edge: u64, finished: bool) {
        for range in [text.clone(), format!("bytes={text}")] {
            let ask = Ask { range: Some(&range), if_range: Some(&text), prefer: Some(&text), ..Ask::default() };
            decide(&ask, &known(edge, finished), false);
            asks_for_edge(&ask);
        }
    }
}
