//! `/`: what is live and what is recorded, as a list that needs no script; the script adds a picture of each. Pure.

use super::html;
use crate::object::listing::{Entry, State};
use crate::protocol::content_type::content_type_of;
use crate::protocol::escape;

/// What is shown.
#[derive(Debug)]
pub(crate) struct Front<'a> {
    /// Those that can be chosen from.
    pub(crate) buckets: &'a [String],
    /// The one that is meant where none is named.
    pub(crate) first: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) prefix: &'a str,
    /// Whether this is the beginning of the list.
    pub(crate) is_first: bool,
    pub(crate) live: Vec<&'a Entry>,
    pub(crate) recorded: Vec<&'a Entry>,
    /// The list goes on after this key.
    pub(crate) next: Option<&'a str>,
    pub(crate) now: i64,
}

impl Front<'_> {
    /// The page.
    pub(crate) fn page(&self) -> String {
        let bucket = html::text(self.bucket);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{bucket}</title>\n\
             <link rel=\"icon\" href=\"page/icon.svg\" type=\"image/svg+xml\">\n\
             <link rel=\"stylesheet\" href=\"page/front.css\">\n<script defer src=\"page/front.js\"></script>\n\
             </head>\n<body>\n<header>\n<h1>{bucket}</h1>\n"
        );
        if self.buckets.len() > 1 {
            page.push_str("<nav aria-label=\"Buckets\">\n");
            for name in self.buckets {
                let current = if name == self.bucket { " aria-current=\"page\"" } else { "" };
                let name = (html::text(name), escape::segment(name));
                page.extend([format!("<a href=\"?bucket={}\"{current}>{}</a>\n", name.1, name.0)]);
            }
            page.push_str("</nav>\n");
        }
        page.push_str(&self.search());
        page.push_str("</header>\n<main>\n");
        if self.is_first {
            page.push_str(&self.section("live", "Live", &self.live, "Nothing is live at the moment."));
        }
        page.push_str(&self.section("recorded", "Recorded", &self.recorded, "There is nothing here."));
        if let Some(next) = self.next {
            let (bucket, prefix) = (escape::segment(self.bucket), escape::segment(self.prefix));
            let next = escape::segment(next);
            page.extend([format!(
                "<nav aria-label=\"Pages\"><a rel=\"next\" href=\"?bucket={bucket}&amp;prefix={prefix}&amp;page={next}\">More</a></nav>\n"
            )]);
        }
        page.push_str("</main>\n<footer><a href=\"docs\">The interface for programs</a></footer>\n</body>\n</html>\n");
        page
    }

    fn search(&self) -> String {
        let (bucket, prefix) = (html::text(self.bucket), html::text(self.prefix));
        format!(
            "<form method=\"get\" role=\"search\">\n<input type=\"hidden\" name=\"bucket\" value=\"{bucket}\">\n\
             <label>Name begins with <input name=\"prefix\" value=\"{prefix}\" maxlength=\"1024\" autocomplete=\"off\"></label>\n\
             <button>Show</button>\n</form>\n"
        )
    }

    fn section(&self, id: &str, title: &str, entries: &[&Entry], none: &str) -> String {
        let list = if entries.is_empty() {
            format!("<p>{none}</p>\n")
        } else {
            format!("<ul>\n{}</ul>\n", entries.iter().map(|entry| self.entry(entry)).collect::<String>())
        };
        format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{list}</section>\n")
    }

    fn entry(&self, entry: &Entry) -> String {
        let kind = content_type_of(&entry.key).unwrap_or_default();
        let (is_picture, is_sound) = (kind.starts_with("video/"), kind.starts_with("audio/"));
        let of_bucket =
            if self.bucket == self.first { String::new() } else { format!("bucket={}", escape::segment(self.bucket)) };
        let path = |place: &str| match of_bucket.as_str() {
            "" => format!("{place}/{}", escape::path(&entry.key)),
            of_bucket => format!("{place}/{}?{of_bucket}", escape::path(&entry.key)),
        };
        let file = format!("watch?v={}&amp;{of_bucket}", escape::path(&entry.key));
        let file = file.trim_end_matches("&amp;").to_owned();
        let frame = match entry.state {
            State::Live if is_picture => path("live"),
            State::Recorded if is_picture => file.clone(),
            _ => String::new(),
        };
        let key = html::text(&entry.key);
        let state = match entry.state {
            State::Live => "live",
            State::Recorded => "recorded",
            State::Uploading => "uploading",
        };
        let picture = if frame.is_empty() { String::new() } else { format!(" data-frame=\"{frame}\"") };
        let mut facts =
            vec![if entry.state == State::Live { "<strong>Live</strong>".to_owned() } else { kind.to_owned() }];
        facts.extend(entry.since.map(|since| html::ago(since, self.now)));
        facts.extend(entry.size.filter(|_| entry.state != State::Uploading).map(html::size));
        facts.retain(|fact| !fact.is_empty());
        let facts = facts.join(" · ");
        let inner = format!(
            "<span class=\"picture\"{picture}></span><span class=\"name\">{key}</span>\
             <span class=\"facts\">{facts}</span>"
        );
        let entry = match entry.state {
            State::Uploading => format!("<div>{inner}</div>"),
            _ if is_picture || is_sound => format!("<a href=\"{}\">{inner}</a>", path("play")),
            _ => format!("<a href=\"{file}\">{inner}</a>"),
        };
        format!("<li class=\"{state}\" data-key=\"{key}\">{entry}</li>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, state: State) -> Entry {
        Entry { key: key.to_owned(), state, size: Some(1_500_000), since: Some(1_000), duration: None, upload_id: None }
    }

    #[test]
    fn a_list_says_what_each_is_and_nothing_in_a_name_becomes_an_element() {
        let buckets = ["tv".to_owned(), "two".to_owned()];
        let (live, other) = (entry("shows/<b>.mp4", State::Live), entry("notes.txt", State::Recorded));
        let (old, coming) = (entry("old \"one\".mp4", State::Recorded), entry("new.mp4", State::Uploading));
        let mut front = Front {
            buckets: &buckets,
            first: "tv",
            bucket: "tv",
            prefix: "\"><script>",
            is_first: true,
            live: vec![&live],
            recorded: vec![&other, &old, &coming],
            next: Some("old & \"one\".mp4"),
            now: 1_060,
        };
        let page = front.page();
        for wanted in [
            "<h1>tv</h1>",
            "<a href=\"?bucket=tv\" aria-current=\"page\">tv</a>",
            "href=\"play/shows/%3Cb%3E.mp4\"><span class=\"picture\" data-frame=\"live/shows/%3Cb%3E.mp4\">",
            "shows/&lt;b&gt;.mp4</span>",
            "<strong>Live</strong> · <time",
            ">1 minute ago</time> · 1.5 MB",
            "href=\"watch?v=notes.txt\"",
            "data-frame=\"watch?v=old%20%22one%22.mp4\"",
            "<li class=\"uploading\" data-key=\"new.mp4\"><div>",
            "page=old%20%26%20%22one%22.mp4\">More",
            "value=\"&quot;&gt;&lt;script&gt;\"",
        ] {
            assert!(page.contains(wanted), "{wanted} is not in {page}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        front.bucket = "two";
        front.is_first = false;
        let page = front.page();
        assert!(page.contains("href=\"play/old%20%22one%22.mp4?bucket=two\"") && !page.contains(">Live<"), "{page}");
        assert!(page.contains("watch?v=notes.txt&amp;bucket=two"), "{page}");
    }
}
