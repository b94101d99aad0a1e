//! Paths and queries as anybody may write them: they are understood in one way or not at all, and nothing panics.

use proptest::prelude::*;

use super::link;
use super::name::{Names, Query, decoded};
use super::{dash, hls, smooth};

/// Pieces that mean something, between others that do not.
fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/",
        "//",
        "..",
        ".",
        "a",
        "a.mp4",
        "%2F",
        "%2f",
        "%00",
        "%zz",
        "%C3%A9",
        "%ff",
        "é",
        "?",
        "&",
        "=",
        "+",
        "@",
        "2@",
        "-",
        "0",
        "00",
        "18446744073709551616",
        "index.m3u8",
        "media.m3u8",
        "iframes.m3u8",
        "iframe",
        "0-10.m4s",
        "10-.m4s",
        "0-0.mp4",
        "manifest.mpd",
        "now",
        "v1.mpd",
        "0-1",
        "init.mp4",
        "5.m4s",
        ".isml",
        ".ism",
        "Manifest",
        "QualityLevels(1)",
        "Fragments(video=0)",
        "FragmentInfo(video=0)",
        "s",
        "v=",
        "bucket=",
        "version=",
    ]);
    let piece = prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,3}", 1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}"))];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_asked_for_nothing_panics_and_no_hostile_key_is_looked_up(path in path()) {
        // What names nothing is left to whoever looks the key up, who takes no empty one.
        let keys = [
            hls::names::asked(&path).ok().flatten().and_then(|asked| match asked {
                hls::names::Asked::Version { key, .. } => Some(key),
                hls::names::Asked::Index { key, .. } => key,
            }),
            dash::names::asked(&path).ok().flatten().map(|asked| match asked {
                dash::names::Asked::Version { key, .. } | dash::names::Asked::Manifest { key } => key,
                dash::names::Asked::Several { master, .. } => master,
            }),
            smooth::names::asked(&path).ok().flatten().map(|asked| asked.key),
        ];
        let names = Names { buckets: vec!["one".to_owned()], live: crate::protocol::live_objects::Prefix::default() };
        for key in keys.into_iter().flatten() {
            let hostile = key.is_empty() || key.contains('\0') || key.split('/').any(|part| part == "..");
            prop_assert!(!hostile || names.check(&key).is_err(), "{path}: {key}");
        }
        if let Some((token, rest)) = link::split(&path) {
            prop_assert!(!token.contains('/') && rest.starts_with('/') && path.ends_with(rest), "{path}");
        }
        let query = Query::new(Some(&path));
        for name in ["v", "bucket", "version"] {
            // What is given twice is not understood.
            if path.split('&').filter(|pair| pair.split('=').next() == Some(name)).count() > 1 {
                prop_assert!(query.get(name).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn a_key_is_decoded_once(key in "[a-z%/ é+]{1,20}") {
        let written = crate::protocol::escape::path(&key);
        prop_assert_eq!(decoded(&written), Ok(key.clone()));
        // What is encoded twice is another key.
        let twice = crate::protocol::escape::path(&written);
        prop_assert_eq!(decoded(&twice), Ok(written));
        let query = format!("v={}", crate::protocol::escape::segment(&key));
        prop_assert_eq!(Query::new(Some(&query)).get("v"), Ok(Some(key)));
    }
}
