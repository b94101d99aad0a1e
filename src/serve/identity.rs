//! What tells one version of an object from all others, for as long as it is there: while it grows, and after. Pure.

use aws_smithy_types::date_time::Format;
use aws_smithy_types::{DateTime, base64};
use sha2::{Digest, Sha256};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What the store calls it: an upload or version id, a recording of live objects, else its entity tag.
    pub(crate) version: String,
    /// The entity tag here, with its quotation marks.
    pub(crate) etag: String,
    /// When it was begun, as a date of HTTP.
    pub(crate) modified: String,
    /// For tables.
    pub(crate) hash: [u8; 16],
}

impl Identity {
    /// Of a version that was begun at `began`, in seconds since 1970, as far as its own name does not tell.
    pub(crate) fn new(bucket: &str, key: &str, version: &str, began: i64) -> Self {
        let hash = hash(bucket, key, version);
        let modified = http_date(date_in(version).unwrap_or(began));
        let tag = hash.get(..12).map(base64url).unwrap_or_default();
        Self { version: version.to_owned(), etag: format!("\"{tag}\""), modified, hash }
    }
}

/// What tells a version from all others of all buckets.
pub(crate) fn hash(bucket: &str, key: &str, version: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(bucket).chain_update([0]).chain_update(key).chain_update([0]);
    let digest = digest.chain_update(version).finalize();
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or(0))
}

/// The moment in a version id of Backblaze B2, which is when its upload began: `…_d20260131_m120000_…`.
pub(crate) fn date_in(version: &str) -> Option<i64> {
    let date = version.split('_').skip(2);
    let digits = |name: &str, first: char, length: usize| {
        let digits = name.strip_prefix(first).filter(|digits| digits.len() == length)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.to_owned())
    };
    let mut names = date.skip_while(|name| digits(name, 'd', 8).is_none());
    let (day, time) = (digits(names.next()?, 'd', 8)?, digits(names.next()?, 'm', 6)?);
    let at = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let date = format!(
        "{}-{}-{}T{}:{}:{}Z",
        at(&day, 0, 4)?,
        at(&day, 4, 6)?,
        at(&day, 6, 8)?,
        at(&time, 0, 2)?,
        at(&time, 2, 4)?,
        at(&time, 4, 6)?
    );
    let nanos = crate::human::times::read_of_day(&date)?;
    i64::try_from(nanos.div_euclid(1_000_000_000)).ok()
}

/// Seconds since 1970 as a header has them.
fn http_date(seconds: i64) -> String {
    // A year that no header can have.
    DateTime::from_secs(seconds).fmt(Format::HttpDate).unwrap_or_default()
}

/// Bytes as a piece of a path, or of a header.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    base64::encode(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_of_the_version_and_the_same_everywhere() {
        let one = Identity::new("bucket", "a.mp4", "v1", 0);
        assert_eq!(one, Identity::new("bucket", "a.mp4", "v1", 0));
        assert_eq!((one.etag.len(), &one.etag[..1], one.hash.len()), (18, "\"", 16));
        for (bucket, key, version) in [("bucket2", "a.mp4", "v1"), ("bucket", "a.mp", "4v1"), ("bucket", "a.mp4", "v2")]
        {
            assert_ne!(one.etag, Identity::new(bucket, key, version, 0).etag);
        }
        // By `printf 'bucket\0a.mp4\0v1' | sha256sum | xxd -r -p | head -c 12 | base64 | tr +/ -_`.
        assert_eq!(one.etag, "\"3Vjo9st7fhnZCcaY\"");
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe, 0, 0, 1]), "-__-AAAB");
    }

    #[test]
    fn a_name_with_a_date_tells_when_it_began() {
        let b2 = "4_z27c88f1d182b150646ff0b16_f200ec6f324b5ae6f_d20260131_m120000_c004_v7007000_t0000_u0173";
        assert_eq!(Identity::new("b", "k", b2, 0).modified, "Sat, 31 Jan 2026 12:00:00 GMT");
        for other in ["", "v1", "4_z_d2026013_m120000", "4_zx_fx_d20261331_m120000_c", "4_zx_fx_d20260131"] {
            assert_eq!(Identity::new("b", "k", other, 86_400).modified, "Fri, 02 Jan 1970 00:00:00 GMT", "{other}");
        }
    }
}
