//! What an encoder calls its sources, beside the header of a recording that may become several objects: in a box of its own that
//! players skip, for whoever splits it. It goes into no object. Pure.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::read_back::boxes;

/// What the body of the box begins with.
const MARK: &[u8] = b"live-read names\0";
/// The longest name.
const LONGEST: usize = 64;

/// A name as part of an object's: letters, digits, dots, hyphens and underscores; none where nothing is left of it.
pub(super) fn plain(name: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().map(plain).take(LONGEST).collect();
    Some(name).filter(|name| name.contains(|c: char| c.is_ascii_alphanumeric()))
}

/// The box, with the names by the numbers of tracks; nothing where there are none.
pub(super) fn written(names: &BTreeMap<u32, String>) -> Bytes {
    if names.is_empty() {
        return Bytes::new();
    }
    let body = serde_json::to_vec(names).unwrap_or_default();
    let size = u32::try_from(8 + MARK.len() + body.len()).unwrap_or(u32::MAX);
    [&size.to_be_bytes(), &b"free"[..], MARK, &body].concat().into()
}

/// A header without it, and the names that were in it.
pub(super) fn apart(header: &Bytes) -> (Bytes, BTreeMap<u32, String>) {
    let body = |from: usize, to: usize| header.get(from + 8..to)?.strip_prefix(MARK);
    let is_it = |kind: &[u8; 4], from, to| kind == b"free" && body(from, to).is_some();
    let Some((_, from, to)) = boxes(header).find(|(kind, from, to)| is_it(kind, *from, *to)) else {
        return (header.clone(), BTreeMap::new());
    };
    let names = body(from, to).and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let mut rest = BytesMut::from(header.get(..from).unwrap_or_default());
    rest.extend_from_slice(header.get(to..).unwrap_or_default());
    (rest.freeze(), names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_again_and_the_header_is_as_it_was() {
        let header = Bytes::from_static(b"\0\0\0\x0cftypiso6\0\0\0\x09free1\0\0\0\x0amoov12");
        assert_eq!(apart(&header), (header.clone(), BTreeMap::new()));
        assert!(written(&BTreeMap::new()).is_empty());
        let names = BTreeMap::from([(1, "a".to_owned()), (7, "b\"".to_owned())]);
        let with = Bytes::from([&header[..12], &written(&names), &header[12..]].concat());
        assert_eq!(apart(&with), (header, names));
    }

    #[test]
    fn a_name_is_part_of_that_of_an_object_and_leads_nowhere_else() {
        for (name, wanted) in [
            ("oceans-400k-64k", Some("oceans-400k-64k")),
            ("../a/b c", Some("-a-b-c")),
            ("..", None),
            ("", None),
            ("é", None),
            ("720p%20", Some("720p-20")),
        ] {
            assert_eq!(plain(name).as_deref(), wanted, "{name}");
        }
        assert_eq!(plain(&"x".repeat(100)).map(|name| name.len()), Some(LONGEST));
    }
}
