//! What whoever has the key of a stream may do with it: from where, how, how fast and for how long; and what is made of it. Pure.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::rungs::Rungs;

/// The most networks of one stream.
const MOST_NETWORKS: usize = 64;
/// The slowest and the fastest that a limit makes sense of, in bits a second.
const SLOWEST: u64 = 10_000;
const FASTEST: u64 = 10_000_000_000;
/// The longest limit of a recording, and the longest that an encoder is waited for, in seconds: ten years.
const LONGEST: u64 = 315_360_000;

/// See the [module](self). What is kept of streams by earlier versions has none of it: then everything is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Whether it may be published at all.
    pub enabled: bool,
    /// From where; from anywhere if there are none.
    pub allow_ip: Vec<Network>,
    /// How; in any way if there are none.
    pub protocols: Vec<Protocol>,
    /// How fast, in bits a second.
    pub max_bitrate: Option<u64>,
    /// How long a recording may be, in seconds.
    pub max_duration: Option<u64>,
    /// Which smaller renditions are made of it; none: those of `--ladder`.
    pub ladder: Option<Rungs>,
    /// How long an encoder that is gone is waited for, in seconds; none: as long as `--reconnect` says.
    pub reconnect: Option<u64>,
}

/// How a stream comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RTMP and RTMPS.
    Rtmp,
    /// HTTP and HTTPS.
    Http,
}

impl Protocol {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Http => "http",
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Rtmp, Self::Http].into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| format!("{text:?} is neither rtmp nor http (with or without TLS)"))
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_ip: Vec::new(),
            protocols: Vec::new(),
            max_bitrate: None,
            max_duration: None,
            ladder: None,
            reconnect: None,
        }
    }
}

impl Terms {
    /// Whether these make sense.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        if self.allow_ip.len() > MOST_NETWORKS {
            return Err(format!("a stream may come from {MOST_NETWORKS} networks at most"));
        }
        if self.max_bitrate.is_some_and(|rate| !(SLOWEST..=FASTEST).contains(&rate)) {
            return Err("a limit of bits a second is 10k to 10000M".to_owned());
        }
        if self.max_duration.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
            return Err("a limit of time is 1 s to ten years".to_owned());
        }
        if self.reconnect.is_some_and(|seconds| seconds > LONGEST) {
            return Err("an encoder is waited for ten years at most".to_owned());
        }
        Ok(())
    }

    /// Whether somebody may publish from there, and so.
    ///
    /// # Errors
    /// In words.
    pub fn allow(&self, from: IpAddr, protocol: Protocol) -> Result<(), &'static str> {
        if !self.enabled {
            return Err("this stream is disabled");
        }
        if !self.protocols.is_empty() && !self.protocols.contains(&protocol) {
            return Err("this stream is not taken by this protocol");
        }
        if !self.allow_ip.is_empty() && !self.allow_ip.iter().any(|network| network.has(from)) {
            return Err("this stream is not taken from this address");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_terms_everything_is_allowed_and_with_them_what_they_say() {
        let (here, there) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([203, 0, 113, 1]));
        let allow = |json: &str, from, protocol| {
            let terms: Terms = serde_json::from_str(json).expect(json);
            assert_eq!(
                serde_json::from_str::<Terms>(&serde_json::to_string(&terms).expect("JSON")).ok(),
                Some(terms.clone())
            );
            terms.check().and_then(|()| terms.allow(from, protocol).map_err(str::to_owned))
        };
        for (json, from, protocol, says) in [
            ("{}", there, Protocol::Http, None),
            (r#"{"enabled":false}"#, here, Protocol::Rtmp, Some("disabled")),
            (r#"{"allow_ip":["192.0.2.0/24","::1"]}"#, here, Protocol::Rtmp, None),
            (r#"{"allow_ip":["192.0.2.0/24","::1"]}"#, there, Protocol::Rtmp, Some("this address")),
            (r#"{"protocols":["rtmp"]}"#, here, Protocol::Rtmp, None),
            (r#"{"protocols":["rtmp"]}"#, here, Protocol::Http, Some("this protocol")),
            (r#"{"max_bitrate":10000,"max_duration":1}"#, here, Protocol::Http, None),
            (r#"{"max_bitrate":9999}"#, here, Protocol::Http, Some("bits a second")),
            (r#"{"max_duration":0}"#, here, Protocol::Http, Some("limit of time")),
            (r#"{"ladder":"720p,480p:1M","reconnect":0}"#, here, Protocol::Rtmp, None),
            (r#"{"reconnect":315360001}"#, here, Protocol::Rtmp, Some("waited for")),
        ] {
            let said = allow(json, from, protocol);
            assert_eq!(said.is_err(), says.is_some(), "{json}");
            assert!(said.err().is_none_or(|said| says.is_some_and(|says| said.contains(says))), "{json}");
        }
        assert!(serde_json::from_str::<Terms>(r#"{"allow_ip":["nowhere"]}"#).is_err());
        assert!(serde_json::from_str::<Terms>(r#"{"ladder":"720"}"#).is_err());
        assert!(
            serde_json::from_str::<Terms>(r#"{"protocols":["srt"]}"#).is_err() && "srt".parse::<Protocol>().is_err()
        );
    }
}
