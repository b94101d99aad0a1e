//! Words that come from the store, made fit for a line of a message: printable, on one line, and not long. Pure.

/// The longest text that is taken over from the store, in characters.
const MOST: usize = 300;

/// A longer word is not cut but left out: it may be a token, and the beginning of one is still a secret.
const LONGEST_WORD: usize = 120;

/// `text` on one line, without control characters and what else can forge or hide parts of a line, and cut after some
/// 300 characters at the end of a word.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    // More than this is never looked at, whatever is in it.
    let looked_at = text.char_indices().nth(MOST * 4).map_or(text.len(), |(at, _)| at);
    let head = text.get(..looked_at).unwrap_or_default();
    let clean: String = head.chars().map(|char| if is_harmful(char) { ' ' } else { char }).collect();
    let mut whole = looked_at == text.len();
    for word in clean.split_whitespace() {
        let chars = word.chars().count();
        if length + chars + 1 > MOST {
            whole = false;
            break;
        }
        if length > 0 {
            out.push(' ');
        }
        let word = if chars > LONGEST_WORD { "…" } else { word };
        out.push_str(word);
        length += chars.min(LONGEST_WORD) + 1;
    }
    if !whole && !out.ends_with('…') {
        out.push_str(if out.is_empty() { "…" } else { " …" });
    }
    out
}

/// Control characters, and those that turn the direction of writing, join lines or are not seen at all.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Where a `Location` points to, without user, password, query and fragment, which may hold secrets.
pub(super) fn place(location: &str) -> String {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let bare = match location.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => location.to_owned(),
    };
    printable(&bare)
}

/// What stands in the first element of this name, as far as that is plain text.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = xml.find(&open)? + open.len();
    let rest = xml.get(from..)?;
    let text = rest.get(..rest.find(&close)?)?.trim();
    (!text.is_empty() && !text.contains('<')).then_some(text)
}

/// Whether an id that a store gives can be one: printable, and of a length that a request can carry.
pub(super) fn is_id(id: &str) -> bool {
    (1..=2048).contains(&id.len()) && !id.chars().any(is_harmful)
}

/// Whether this can be the name of a region.
pub(super) fn is_region(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_stays_on_its_line_and_moves_no_cursor() {
        let forged = "denied\n2026-01-31T12:00:00Z  INFO all is well\r\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}dlrow";
        assert_eq!(printable(forged), "denied 2026-01-31T12:00:00Z INFO all is well ]0;owned [2J dlrow");
    }

    #[test]
    fn a_message_is_cut_at_a_word_and_long_words_are_left_out_whole() {
        assert_eq!(printable(&"A".repeat(5_000_000)), "…");
        assert_eq!(printable(&format!("the token {} has expired", "t".repeat(200))), "the token … has expired");
        let words = printable(&"word ".repeat(1_000_000));
        assert!(words.ends_with("word …") && words.chars().count() <= MOST + 2, "{words}");
        assert_eq!(printable("as it is"), "as it is");
        assert_eq!(printable(""), "");
    }

    #[test]
    fn a_place_is_named_without_what_may_be_secret() {
        assert_eq!(place("http://user:pass@portal.example/login?token=1#x"), "http://portal.example/login");
        assert_eq!(place("https://a@b@bucket.example"), "https://bucket.example");
        assert_eq!(place("/login?x=1"), "/login");
        assert_eq!(place("http://portal.example/\r\nX: 1"), "http://portal.example/ X: 1");
    }

    #[test]
    fn an_element_is_found_where_it_is_plain() {
        let xml = "<Error><Code>PermanentRedirect</Code><Region> us-west-004 </Region><Endpoint></Endpoint></Error>";
        assert_eq!(element(xml, "Region"), Some("us-west-004"));
        assert_eq!(element(xml, "Endpoint"), None);
        assert_eq!(element(xml, "Error"), None);
        assert_eq!(element("<Region>cut", "Region"), None);
    }

    #[test]
    fn ids_are_told_from_what_no_store_would_give() {
        assert!(is_id("4_z27c88f1d182b150646ff0b16_f200ec6f324b5ae6f_d20260131_m120000_c004_v7007000_t0000_u0173"));
        for bad in ["", "a\r\nX-Evil: 1", "\u{1b}[2J", &"u".repeat(70_000)] {
            assert!(!is_id(bad), "{:?}", bad.get(..20));
        }
        assert!(is_region("us-west-004") && !is_region("a b") && !is_region("x;y") && !is_region(""));
    }

    proptest! {
        #[test]
        fn nothing_harmful_comes_through(text in "\\PC*|(?s).*") {
            let out = printable(&text);
            prop_assert!(out.chars().count() <= MOST + 2);
            prop_assert!(!out.chars().any(is_harmful));
            prop_assert!(!place(&text).chars().any(is_harmful));
        }
    }
}
