//! Keys of objects: where one's extension begins, so that other keys can be made beside it. Pure.

/// A key without its extension, and the extension with its dot: `a/live` and `.mp4`. A dot that a name begins with starts
/// no extension.
#[must_use]
pub fn split_extension(key: &str) -> (&str, &str) {
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    key.split_at(key.rfind('.').filter(|dot| *dot > name).unwrap_or(key.len()))
}

/// The longest key in bytes.
pub const MAX_KEY: usize = 1_024;

/// The key of the `number`th object of an input that goes into several: `match.mp4`, `match-0002.mp4`, `match-0003.mp4`, ...
#[must_use]
pub fn numbered(key: &str, number: u32) -> String {
    if number <= 1 {
        return key.to_owned();
    }
    let (stem, extension) = split_extension(key);
    format!("{stem}-{number:04}{extension}")
}

/// The number of the object, from the second on, that would have the key `other` among those that go on `key`.
#[must_use]
pub fn number_of(key: &str, other: &str) -> Option<u32> {
    let (stem, extension) = split_extension(key);
    let digits = other.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(extension)?;
    let number = digits.parse().ok().filter(|number| *number >= 2)?;
    (numbered(key, number) == other).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_before_the_extension() {
        for (key, second) in [
            ("match.mp4", "match-0002.mp4"),
            ("a.b/match", "a.b/match-0002"),
            ("live/match.one.mp4", "live/match.one-0002.mp4"),
            ("live/.hidden", "live/.hidden-0002"),
            ("match.", "match-0002."),
            ("live/", "live/-0002"),
        ] {
            assert_eq!(numbered(key, 1), key);
            assert_eq!(numbered(key, 2), second);
            assert_eq!(number_of(key, second), Some(2));
        }
        assert_eq!(numbered("a.ts", 12_345), "a-12345.ts");
        assert_eq!(number_of("a.ts", "a-12345.ts"), Some(12_345));
        for other in ["a.ts", "a-0001.ts", "a-2.ts", "a-00002.ts", "a-+002.ts", "a-0002.mp4", "b-0002.ts", "a-.ts"] {
            assert_eq!(number_of("a.ts", other), None, "{other}");
        }
    }

    #[test]
    fn an_extension_belongs_to_the_name_and_not_to_a_folder() {
        assert_eq!(split_extension("a/live.one.mp4"), ("a/live.one", ".mp4"));
        assert_eq!(split_extension("a.b/live"), ("a.b/live", ""));
        assert_eq!(split_extension("a/.live"), ("a/.live", ""));
        assert_eq!(split_extension(""), ("", ""));
    }
}
