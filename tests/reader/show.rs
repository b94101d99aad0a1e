//! A recording of real pictures and sound, and where in it an excerpt lies.

use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, Frame, make, picture, sound};

pub const KEY: &str = "live/show.mp4";
pub const OBJECT: &str = "s3://bucket/live/show.mp4";

/// Stores an object as the writer does.
pub fn store(lab: &Lab, data: &[u8]) {
    lab.writer(&[KEY, "--part-size", "5000000"]).end_with(data).code(0);
}

/// How many requests it took to find the place.
pub fn requests(messages: &str) -> u32 {
    let line = messages.lines().find(|line| line.contains("found the place")).expect("the line of the place");
    let number = line.split_whitespace().find_map(|word| word.strip_prefix("requests=")).expect("their number");
    number.parse().expect("a number")
}

/// Where in the source the excerpt is: the frames are the same and none is missing in between.
#[track_caller]
pub fn place(source: &[Frame], excerpt: &[Frame], state: &str) -> usize {
    let first = &excerpt.first().unwrap_or_else(|| panic!("{state}: no frames")).hash;
    let at = source.iter().position(|frame| frame.hash == *first);
    let at = at.unwrap_or_else(|| panic!("{state}: the first frame is none of the source"));
    for (index, frame) in excerpt.iter().enumerate() {
        let same = source.get(at + index).is_some_and(|source| source.hash == frame.hash);
        assert!(same, "{state}: frame {index} of {} is not frame {} of the source", excerpt.len(), at + index);
    }
    at
}

/// The excerpt has all that is shown from one time to another, and not a great deal more.
#[track_caller]
pub fn covers(source: &[Frame], excerpt: &[Frame], from: f64, to: f64, slack: (f64, f64), state: &str) {
    let at = place(source, excerpt, state);
    let zero = source[0].time;
    let end = source.get(at + excerpt.len()).map_or(f64::INFINITY, |frame| frame.time - zero);
    let begin = source[at].time - zero;
    assert!(begin <= from + slack.0 && begin > from - slack.1, "{state}: begins at {begin} instead of {from}");
    assert!(end >= to && (end <= to + slack.1 || end.is_infinite()), "{state}: ends at {end} instead of {to}");
}

/// Forty seconds of more than twenty megabytes.
pub fn long() -> Vec<u8> {
    let output = format!("-c:v libx264 -preset ultrafast -qp 24 -g 25 -bf 2 {AAC} {FRAGMENTS}");
    make(&[picture(40, 40), sound(40)], &output)
}
