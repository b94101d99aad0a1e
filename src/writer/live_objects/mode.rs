//! Which way a recording is live, what that costs, and the words for both. Pure.

use std::time::Duration;

use super::When;
use crate::protocol::part::PartSize;

/// How a recording is to be live, as people ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveMode {
    /// By Live Read where the store has it, else by live objects.
    #[default]
    Auto,
    /// By Live Read, by name.
    LiveRead,
    /// By live objects, also where there is Live Read.
    Objects,
    /// Not at all.
    Off,
}

/// What follows for the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It is marked for Live Read.
    LiveRead,
    /// It is marked for Live Read, and has live objects beside it where the store has none.
    Either,
    /// It has live objects beside it.
    Objects,
    /// It cannot be read before it is complete.
    Nothing,
    /// The same although live objects were wanted, for this reason.
    Refrained(&'static str),
}

impl LiveMode {
    /// What follows for the store at `endpoint`, which is Amazon's own if none is named.
    #[must_use]
    pub fn choose(self, endpoint: Option<&str>) -> Chosen {
        match self {
            Self::LiveRead => Chosen::LiveRead,
            Self::Auto | Self::Objects if endpoint.is_some_and(is_wasabi) => Chosen::Refrained(
                "Wasabi bills each deleted object for 90 days, and live objects are deleted at the end",
            ),
            Self::Auto => Chosen::Either,
            Self::Objects => Chosen::Objects,
            Self::Off => Chosen::Nothing,
        }
    }
}

fn is_wasabi(endpoint: &str) -> bool {
    is_at(endpoint, "wasabisys.com")
}

/// Whether it is an endpoint of Backblaze B2.
#[must_use]
pub fn is_backblaze(endpoint: &str) -> bool {
    is_at(endpoint, "backblazeb2.com")
}

/// Whether its host is `domain` or below it.
fn is_at(endpoint: &str, domain: &str) -> bool {
    let endpoint = endpoint.to_ascii_lowercase();
    let authority = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
    let host = authority.split(['/', ':', '?']).next().unwrap_or_default();
    host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Bits a second of a usual stream in high definition.
const USUAL: u64 = 6_000_000;

/// What the requests of an hour cost, in dollars: of writes and of reads, by the million. Prices of November 2026.
const PRICES: [(&str, f64, f64); 2] = [("Amazon S3", 5.0, 0.4), ("Cloudflare R2", 4.5, 0.36)];

/// Requests of a writer in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hourly {
    /// PUT and copies.
    pub writes: u64,
    /// GET.
    pub reads: u64,
    /// Bytes sent for each byte of the input, in hundredths.
    pub sent: u64,
}

/// What live objects ask of the store in an hour of a stream with so many bits a second.
#[must_use]
pub fn hourly(when: When, part_size: PartSize, bits: u64, copies: bool) -> Hourly {
    const HOUR: u64 = 3_600;
    let parts = bits / 8 * HOUR / part_size.get();
    let (objects, sent) = match when {
        When::PartIsFull => (parts, if copies { 100 } else { 200 }),
        When::After(time) | When::AtSegment(time) => {
            let millis = u64::try_from(time.max(Duration::from_millis(1)).as_millis()).unwrap_or(u64::MAX);
            ((HOUR * 1_000 / millis).max(parts), 200)
        }
    };
    let heads = HOUR / super::BEAT.as_secs();
    Hourly { writes: objects + parts + heads + objects / 256, reads: HOUR / 30, sent }
}

/// What live objects give to readers, and what they cost; `below` is where they lie.
#[must_use]
pub fn readers_can(below: &str, when: When, part_size: PartSize) -> String {
    let costs = costs(when, part_size);
    format!("readers can follow by live objects below {below}, until the upload is complete: {costs}")
}

/// One line about what live objects cost.
#[must_use]
pub fn costs(when: When, part_size: PartSize) -> String {
    let hour = hourly(when, part_size, USUAL, true);
    #[allow(clippy::cast_precision_loss, reason = "requests of an hour are few")]
    let dollars = |(name, writes, reads): (&str, f64, f64)| {
        let dollars = (hour.writes as f64).mul_add(writes, hour.reads as f64 * reads) / 1e6;
        format!("${dollars:.3} on {name}")
    };
    let sent = if hour.sent == 100 {
        "each byte is sent once (twice where the store copies no parts)"
    } else {
        "each byte is sent twice"
    };
    format!("an hour at 6 Mbit/s costs {} in requests, and {sent}", PRICES.map(dollars).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_live_objects_where_they_are_asked_for_and_do_no_harm() {
        let at = |host: &'static str| Some(host);
        for (mode, endpoint, chosen) in [
            (LiveMode::Auto, None, Some(Chosen::Either)),
            (LiveMode::Auto, at("https://s3.us-west-004.backblazeb2.com"), Some(Chosen::Either)),
            (LiveMode::Auto, at("https://s3.wasabisys.com"), None),
            (LiveMode::LiveRead, at("https://s3.wasabisys.com"), Some(Chosen::LiveRead)),
            (LiveMode::LiveRead, at("https://s3.us-west-004.backblazeb2.com"), Some(Chosen::LiveRead)),
            (LiveMode::Objects, None, Some(Chosen::Objects)),
            (LiveMode::Objects, at("https://s3.us-west-004.backblazeb2.com"), Some(Chosen::Objects)),
            (LiveMode::Objects, at("https://notwasabisys.com"), Some(Chosen::Objects)),
            (LiveMode::Objects, at("https://example.com/s3.wasabisys.com"), Some(Chosen::Objects)),
            (LiveMode::Objects, at("https://s3.eu-central-1.WasabiSys.com"), None),
            (LiveMode::Objects, at("https://s3.wasabisys.com:443/"), None),
            (LiveMode::Off, None, Some(Chosen::Nothing)),
        ] {
            let have = Some(mode.choose(endpoint)).filter(|have| !matches!(have, Chosen::Refrained(_)));
            assert_eq!(have, chosen, "{mode:?} {endpoint:?}");
        }
    }

    #[test]
    fn backblaze_is_known_by_its_name() {
        for (endpoint, is) in [
            ("https://s3.us-west-004.backblazeb2.com", true),
            ("http://S3.eu-central-003.Backblazeb2.com:443/", true),
            ("https://notbackblazeb2.com", false),
            ("https://s3.amazonaws.com/backblazeb2.com", false),
        ] {
            assert_eq!(is_backblaze(endpoint), is, "{endpoint}");
        }
    }

    #[test]
    fn an_hour_costs_what_the_table_says() {
        let second = When::After(Duration::from_secs(1));
        assert_eq!(hourly(second, PartSize::DEFAULT, USUAL, true).writes, 3_600 + 514 + 720 + 14);
        assert_eq!(hourly(When::PartIsFull, PartSize::DEFAULT, USUAL, true).writes, 514 + 514 + 720 + 2);
        let said = costs(When::PartIsFull, PartSize::DEFAULT);
        assert!(said.contains("$0.009 on Amazon S3") && said.contains("sent once"), "{said}");
        let said = costs(second, PartSize::DEFAULT);
        assert!(said.contains("$0.024 on Amazon S3") && said.contains("$0.022 on Cloudflare R2"), "{said}");
        assert!(said.contains("sent twice"), "{said}");
        // Parts that are full sooner than the time is up are cut, too.
        assert_eq!(hourly(second, PartSize::DEFAULT, 800_000_000, true).sent, 200);
        assert!(hourly(second, PartSize::DEFAULT, 800_000_000, true).writes > 2 * 68_000);
    }
}
