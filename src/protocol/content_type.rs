//! Content types that the endings of keys stand for. Pure.

/// The content type that a key's ending stands for.
#[must_use]
pub fn content_type_of(key: &str) -> Option<&'static str> {
    let (_, ending) = key.rsplit('/').next()?.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "mp4" | "m4v" | "cmfv" => "video/mp4",
        "m4a" | "cmfa" => "audio/mp4",
        "m4s" => "video/iso.segment",
        "mov" => "video/quicktime",
        "ts" | "m2ts" | "mts" => "video/mp2t",
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "flv" => "video/x-flv",
        "avi" => "video/x-msvideo",
        "aac" => "audio/aac",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "ogv" => "video/ogg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "m3u8" => "application/vnd.apple.mpegurl",
        "json" => "application/json",
        "jsonl" | "ndjson" => "application/x-ndjson",
        "txt" | "log" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "gz" | "tgz" => "application/gzip",
        "zst" => "application/zstd",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_go_by_the_last_ending() {
        assert_eq!(content_type_of("shows/match.one.MP4"), Some("video/mp4"));
        assert_eq!(content_type_of("shows.mp4/match"), None);
        assert_eq!(content_type_of("match"), None);
    }
}
