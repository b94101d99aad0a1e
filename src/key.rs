//! Keys of objects: where one's extension begins, so that other keys can be made beside it. Pure.

/// A key without its extension, and the extension with its dot: `a/live` and `.mp4`. A dot that a name begins with starts
/// no extension.
#[must_use]
pub fn split_extension(key: &str) -> (&str, &str) {
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    key.split_at(key.rfind('.').filter(|dot| *dot > name).unwrap_or(key.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_belongs_to_the_name_and_not_to_a_folder() {
        assert_eq!(split_extension("a/live.one.mp4"), ("a/live.one", ".mp4"));
        assert_eq!(split_extension("a.b/live"), ("a.b/live", ""));
        assert_eq!(split_extension("a/.live"), ("a/.live", ""));
        assert_eq!(split_extension(""), ("", ""));
    }
}
