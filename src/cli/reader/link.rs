//! `--link`: a signed link to an object, or to all that begin alike. Pure but for the clock.

use crate::cli::reader::job::ServeJob;
use crate::protocol::escape;
use crate::protocol::key::MAX_KEY;
use crate::serve::auth::Tokens;
use crate::serve::link::Grant;

/// The link.
pub(super) fn link(job: &ServeJob, wanted: &str, tokens: &Tokens) -> Result<String, String> {
    let (bucket, key) = wanted.strip_prefix("s3://").map_or((None, wanted), |place| {
        let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
        (Some(bucket), key)
    });
    let (key, is_prefix) = key.strip_suffix('*').map_or((key, false), |prefix| (prefix, true));
    if (key.is_empty() && !is_prefix) || key.len() > MAX_KEY || key.chars().any(char::is_control) {
        return Err(
            "--link: a key has 1 to 1024 bytes, and no control characters; PREFIX* is all that begin with PREFIX"
                .to_owned(),
        );
    }
    let bucket = bucket.or(job.buckets.first().map(String::as_str)).filter(|bucket| !bucket.is_empty());
    let bucket = bucket.ok_or("--link needs --bucket, or a bucket in it: s3://BUCKET/KEY")?.to_owned();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let seconds = job.options.expires.map_or(0, |expires| i64::try_from(expires.as_secs()).unwrap_or(i64::MAX));
    let grant = Grant { bucket, key: key.to_owned(), is_prefix, until: now.saturating_add(seconds) };
    let token = tokens.secret().sign(&grant).ok_or("--link: no bucket has such a name")?;
    let base = job.options.base_url.as_deref().unwrap_or_default();
    let rest = if is_prefix { String::new() } else { format!("play/{}", escape::path(key)) };
    Ok(format!("{base}/s/{token}/{rest}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::reader::args::ReaderArgs;
    use crate::cli::reader::job::Job;

    fn made(wanted: &str, more: &str) -> Result<String, String> {
        let line = format!("reader --serve -b tv --auth tokens --expires 2h {more} --link");
        let args = ReaderArgs::try_parse_from(line.split_whitespace().chain([wanted])).expect("it parses");
        let Job::Serve(job) = Job::of(args) else { panic!("no gateway") };
        link(&job, wanted, &Tokens::parse("watch token").expect("tokens"))
    }

    #[test]
    fn a_link_leads_to_the_player_or_to_all_that_begin_alike() {
        let token = |link: &str| link.split('/').nth(2).expect("a token").to_owned();
        let one = made("shows/a b.mp4", "").expect("a link");
        assert!(one.ends_with("/play/shows/a%20b.mp4") && one.starts_with("/s/"), "{one}");
        let all = made("shows/*", "--base-url https://tv.example/live/").expect("a link");
        assert!(all.starts_with("https://tv.example/live/s/") && all.ends_with('/'), "{all}");
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let grant = Tokens::parse("watch token").expect("tokens").secret().read(&token(&one), now).expect("it reads");
        assert_eq!((grant.bucket.as_str(), grant.key.as_str(), grant.is_prefix), ("tv", "shows/a b.mp4", false));
        assert!((now + 7_190..=now + 7_201).contains(&grant.until), "{}", grant.until - now);
        for (wanted, key, is_prefix) in [("s3://two/shows/a.mp4", "shows/a.mp4", false), ("s3://two/*", "", true)] {
            let link = made(wanted, "").expect("a link");
            let grant = Tokens::parse("watch token").expect("tokens").secret().read(&token(&link), now);
            let grant = grant.expect("it reads");
            assert_eq!((grant.bucket.as_str(), grant.key.as_str(), grant.is_prefix), ("two", key, is_prefix));
        }
        for wrong in ["", "a\nb", "s3://two", "s3:///a", &"k".repeat(1_025)] {
            assert!(made(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_usage_is_told() {
        for line in [
            "reader --serve --link k --auth f",
            "reader --serve --link k --expires 2h",
            "reader --serve --expires 2h",
            "reader --serve --base-url https://a",
            "reader --serve --link k --auth f --expires 0",
            "reader --serve --link k --auth f --expires 88000h",
            "reader --serve --link k --auth f --expires 1h --base-url ftp://x",
            "reader --serve --tls-cert f",
            "reader --serve --tls-key f",
        ] {
            assert!(ReaderArgs::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
