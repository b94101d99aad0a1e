//! A strict reader of media playlists: what RFC 8216 says that a playlist, and a change of one, must be.

#![allow(dead_code)]

/// A segment as a playlist lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    pub uri: String,
    /// Offset and length of the header: `EXT-X-MAP`.
    pub map: (String, u64, u64),
    pub first: u64,
    pub len: u64,
    /// It is a whole object, and the two above say where it will be.
    pub whole: bool,
    /// `EXT-X-GAP`.
    pub gap: bool,
    pub seconds: f64,
    pub date: Option<String>,
    pub discontinuity: bool,
}

/// A media playlist that keeps the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Playlist {
    pub text: String,
    pub version: u64,
    pub target: u64,
    pub sequence: u64,
    pub discontinuity_sequence: u64,
    pub kind: Option<String>,
    pub ended: bool,
    pub segments: Vec<Segment>,
}

impl Playlist {
    /// Reads a playlist; panics with the rule that it breaks.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let rule = |kept: bool, rule: &str, line: &str| assert!(kept, "{rule}\nline: {line}\n{text}");
        // 4.1: UTF-8 without a byte order mark and control characters; lines end with LF or CRLF.
        rule(text.starts_with("#EXTM3U\n"), "4.3.1.1: EXTM3U MUST be the first line", "");
        rule(text.ends_with('\n'), "the last line is whole", "");
        rule(!text.contains(|c: char| c.is_control() && c != '\n'), "4.1: MUST NOT contain control characters", "");
        let mut list = Self {
            text: text.to_owned(),
            version: 0,
            target: 0,
            sequence: 0,
            discontinuity_sequence: 0,
            kind: None,
            ended: false,
            segments: Vec::new(),
        };
        let (mut seen, mut map, mut own, mut whole, mut gap) = (Vec::<String>::new(), None, None, false, false);
        let (mut extinf, mut range, mut date, mut discontinuity) = (None, None, None, false);
        for line in text.lines().skip(1) {
            rule(
                !line.is_empty() && line.trim() == line,
                "no blank lines or space around lines are written here",
                line,
            );
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let once = |seen: &mut Vec<String>| {
                let first = !seen.iter().any(|other| other == tag);
                seen.push(tag.to_owned());
                first
            };
            let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("not a decimal integer: {line}"));
            let early = list.segments.is_empty() && extinf.is_none();
            match tag {
                "#EXT-X-VERSION" => {
                    rule(once(&mut seen), "4.3.1.2: MUST NOT contain more than one EXT-X-VERSION", line);
                    list.version = number();
                }
                "#EXT-X-TARGETDURATION" => {
                    rule(once(&mut seen), "one EXT-X-TARGETDURATION", line);
                    list.target = number();
                }
                "#EXT-X-MEDIA-SEQUENCE" => {
                    rule(once(&mut seen) && early, "4.3.3.2: MUST appear before the first Media Segment", line);
                    list.sequence = number();
                }
                "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                    rule(
                        once(&mut seen) && early && !discontinuity,
                        "4.3.3.3: MUST appear before the first Media Segment and before any EXT-X-DISCONTINUITY",
                        line,
                    );
                    list.discontinuity_sequence = number();
                }
                "#EXT-X-PLAYLIST-TYPE" => {
                    rule(once(&mut seen) && early, "one EXT-X-PLAYLIST-TYPE", line);
                    rule(matches!(value, "EVENT" | "VOD"), "4.3.3.5: EVENT or VOD", line);
                    list.kind = Some(value.to_owned());
                }
                "#EXT-X-ENDLIST" => {
                    rule(once(&mut seen) && value.is_empty(), "4.3.3.4: MUST NOT occur more than once", line);
                    list.ended = true;
                }
                "#EXT-X-DISCONTINUITY" => {
                    rule(!discontinuity && extinf.is_none(), "one EXT-X-DISCONTINUITY before a segment's EXTINF", line);
                    discontinuity = true;
                }
                // What this writer notes for itself, in comments.
                "#LIVE-READ-OBJECT" => {
                    let (place, uri) = value.split_once(' ').expect(line);
                    let (len, first) = byte_range(place);
                    own = Some((uri.to_owned(), first, len));
                }
                "#LIVE-READ-RANGE" => (whole, range) = (true, Some(byte_range(value))),
                "#EXT-X-GAP" => gap = true,
                "#EXT-X-MAP" if own.is_some() => {
                    let uri = value.strip_prefix("URI=\"").and_then(|rest| rest.strip_suffix('"')).expect(line);
                    is_reference(uri);
                    let (_, first, len) = own.take().expect("a note");
                    map = Some((uri.to_owned(), first, len));
                }
                "#EXT-X-MAP" => {
                    let (uri, rest) = value.strip_prefix("URI=\"").and_then(|rest| rest.split_once('"')).expect(line);
                    let bytes = rest.strip_prefix(",BYTERANGE=\"").and_then(|rest| rest.strip_suffix('"')).expect(line);
                    let (len, first) = byte_range(bytes);
                    is_reference(uri);
                    map = Some((uri.to_owned(), first, len));
                }
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    let digits: String = value.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                    rule(digits == "0000-00-00T00:00:00.000Z", "4.3.2.6: ISO 8601 with a time zone", line);
                    date = Some(value.to_owned());
                }
                "#EXTINF" => {
                    let seconds = value.strip_suffix(',').and_then(|seconds| seconds.parse::<f64>().ok()).expect(line);
                    rule(extinf.is_none() && seconds > 0.0, "4.3.2.1: one EXTINF for each segment", line);
                    extinf = Some(seconds);
                }
                "#EXT-X-BYTERANGE" => range = Some(byte_range(value)),
                _ if line.starts_with('#') => panic!("an unknown tag: {line}"),
                uri => {
                    is_reference(uri);
                    let seconds =
                        extinf.take().unwrap_or_else(|| panic!("4.3.2.1: EXTINF is REQUIRED: {line}\n{text}"));
                    let (len, first) = range.take().expect("a byte range");
                    let map = map.clone().expect("4.3.2.5: fragmented MP4 MUST have an EXT-X-MAP");
                    let whole = std::mem::take(&mut whole);
                    rule(whole || map.0 == uri, "the header is in the same object", line);
                    let discontinuity = std::mem::take(&mut discontinuity);
                    if let Some(before) = list.segments.last() {
                        let same = before.uri == uri || before.map == map;
                        rule(!same || before.first + before.len <= first, "ranges rise and do not overlap", line);
                        rule(same || discontinuity, "4.3.2.3: MUST be present if the timestamps change", line);
                    }
                    let uri = uri.to_owned();
                    let (date, gap) = (date.take(), std::mem::take(&mut gap));
                    list.segments.push(Segment { uri, map, first, len, whole, gap, seconds, date, discontinuity });
                }
            }
            rule(!list.ended || tag == "#EXT-X-ENDLIST", "ENDLIST is the last line here", line);
        }
        rule(extinf.is_none() && range.is_none() && date.is_none() && !discontinuity, "tags without a segment", "");
        rule(list.version >= 6, "7: EXT-X-MAP needs version 6, EXT-X-BYTERANGE 4, and a fraction in EXTINF 3", "");
        rule(list.target > 0, "4.3.3.1: EXT-X-TARGETDURATION is REQUIRED", "");
        rule(!list.segments.is_empty(), "players take an empty list for an error", "");
        for segment in &list.segments {
            let rounded = segment.seconds.round();
            rule(rounded <= list.target as f64, "4.3.3.1: EXTINF, rounded, MUST NOT exceed the target duration", "");
        }
        list
    }

    /// Whether there is nothing that may leave it.
    fn is_short(&self) -> bool {
        self.segments.iter().skip(1).map(|segment| segment.seconds).sum::<f64>() < 3.0 * self.target as f64
    }

    /// Panics unless `next` is what this list may become.
    #[track_caller]
    pub fn may_become(&self, next: &Self) {
        let rule = |kept: bool, rule: &str| assert!(kept, "{rule}\nbefore:\n{}\nafter:\n{}", self.text, next.text);
        if self.ended {
            // Nobody who has seen the end asks again: what comes then is another presentation of the same numbers.
            rule(
                self.kind.is_none() && next.ended && next.kind.as_deref() == Some("VOD"),
                "a list that had ended changed",
            );
        } else {
            rule(self.target == next.target, "6.2.1: the target duration MUST NOT change");
            rule(next.sequence >= self.sequence, "6.2.2: the media sequence number MUST NOT decrease");
            // The list of live objects ends as one that slides: docs/hls.md says why.
            let turns = self.segments.iter().any(|segment| segment.whole) && next.ended && next.kind.is_none();
            rule(self.kind == next.kind || turns, "6.2.1: MUST NOT change");
            rule(!turns || next.sequence > self.sequence || next.is_short(), "GStreamer 1.22 would give up");
        }
        // Once its object can be read, a segment is a part of that.
        let located = |before: &Segment, now: &Segment| before.whole && !now.whole;
        let same_places = self.segments.iter().zip(&next.segments).all(|(one, other)| !located(one, other));
        if self.kind.as_deref() == Some("EVENT") && same_places {
            rule(next.text.starts_with(&self.text), "4.3.3.5: an EVENT list MUST NOT change but by lines at its end");
        }
        rule(self.kind.as_deref() != Some("VOD"), "4.3.3.5: a VOD list MUST NOT change");
        let mut removed = 0;
        for (number, segment) in (self.sequence..).zip(&self.segments) {
            let Some(at) = number.checked_sub(next.sequence) else {
                // A discontinuity goes with the segment behind it, when that is no longer the first.
                removed += 1;
                continue;
            };
            let Some(other) = next.segments.get(at as usize) else { panic!("6.2.1: a segment was taken from the end") };
            rule(
                (segment.first, segment.len, segment.map.1, segment.map.2)
                    == (other.first, other.len, other.map.1, other.map.2)
                    && (located(segment, other) || (&segment.uri, &segment.map) == (&other.uri, &other.map))
                    && (segment.seconds - other.seconds).abs() < 1e-9,
                "6.2.2: a number MUST NOT stand for another segment",
            );
        }
        if removed > 0 {
            let left: f64 = next.segments.iter().map(|segment| segment.seconds).sum();
            rule(left >= 3.0 * next.target as f64, "6.2.2: three target durations MUST remain");
            let tags = self.segments.iter().take(removed + 1).filter(|segment| segment.discontinuity).count() as u64;
            let kept = u64::from(next.segments[0].discontinuity);
            rule(
                next.discontinuity_sequence == self.discontinuity_sequence + tags - kept,
                "6.2.2: MUST count the discontinuities that were removed",
            );
        }
    }

    /// How long it plays, in seconds.
    pub fn seconds(&self) -> f64 {
        self.segments.iter().map(|segment| segment.seconds).sum()
    }
}

/// Length and offset.
fn byte_range(text: &str) -> (u64, u64) {
    let (len, first) = text.split_once('@').unwrap_or_else(|| panic!("a byte range without an offset: {text}"));
    let (len, first) = (len.parse().expect("a length"), first.parse().expect("an offset"));
    assert!(len > 0, "an empty byte range");
    (len, first)
}

/// A relative reference of RFC 3986.
fn is_reference(uri: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/?".contains(c);
    assert!(!uri.is_empty() && uri.chars().all(fits), "{uri} is no URI reference");
    assert!(!uri.split('/').next().unwrap_or_default().contains(':'), "{uri} begins with what looks like a scheme");
}
