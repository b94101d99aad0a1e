//! `/play/KEY`: index.html as it is in the program, told what to play.

use super::html;
use crate::protocol::escape;

/// What index.html names from beside itself.
const BESIDE: [&str; 2] = ["src=\"page/", "href=\"page/"];

/// The line of index.html behind which it is told what to play.
const SOURCES: &str = "<meta name=\"live-read-sources\" content=\"\">";

/// The page that plays `key`, as it is asked for at `rest` below `/play/`; `bucket`: where it is not the first one.
pub(crate) fn page(rest: &str, key: &str, bucket: Option<&str>) -> String {
    // Relative, so that it works below any address: of a proxy, or of a signed link.
    let up = "../".repeat(rest.matches('/').count() + 1);
    let of_bucket = bucket.map(|bucket| format!("bucket={}", escape::segment(bucket))).unwrap_or_default();
    let name = key.rsplit('/').next().unwrap_or(key);
    let path = escape::path(key);
    let list = format!("{up}hls/{path}/index.m3u8?{of_bucket}");
    let file = format!("{up}watch?v={path}&{of_bucket}");
    let told = [
        ("sources", "self"),
        ("src", list.trim_end_matches('?')),
        ("file", file.trim_end_matches('&')),
        ("library", &format!("{up}page/hls.light.min.js")),
        ("key", key),
        ("title", name),
    ];
    let told: Vec<_> = told
        .iter()
        .map(|(what, value)| format!("<meta name=\"live-read-{what}\" content=\"{}\">", html::text(value)))
        .collect();
    let mut page = include_str!("../../../index.html").replacen(SOURCES, &told.join("\n"), 1);
    for beside in BESIDE {
        page = page.replace(beside, &beside.replace("page/", &format!("{up}page/")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_told_what_to_play_and_where_all_else_is() {
        let shown = page("shows/a%22b.mp4", "shows/a\"b.mp4", None);
        for wanted in [
            "<meta name=\"live-read-sources\" content=\"self\">",
            "<meta name=\"live-read-src\" content=\"../../hls/shows/a%22b.mp4/index.m3u8\">",
            "<meta name=\"live-read-file\" content=\"../../watch?v=shows/a%22b.mp4\">",
            "<meta name=\"live-read-key\" content=\"shows/a&quot;b.mp4\">",
            "<meta name=\"live-read-title\" content=\"a&quot;b.mp4\">",
            "<link rel=\"stylesheet\" href=\"../../page/page.css\">",
            "<script defer src=\"../../page/hands.js\"></script>",
        ] {
            assert!(shown.contains(wanted), "{wanted}");
        }
        assert!(!shown.contains("\"page/") && !shown.contains(SOURCES));
        let other = page("x.mp4", "x.mp4", Some("two words"));
        assert!(other.contains("content=\"../hls/x.mp4/index.m3u8?bucket=two%20words\""));
        assert!(other.contains("content=\"../watch?v=x.mp4&amp;bucket=two%20words\""));
    }
}
