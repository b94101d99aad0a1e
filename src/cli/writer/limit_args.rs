//! The options of `writer` about what may be done with a stream key, and how fast any stream may come.

use std::time::Duration;

use clap::Args;

use crate::human::sizes;
use crate::keys::network::Network;
use crate::keys::terms::{Protocol, Terms};

/// See the [module](self).
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Stream keys")]
pub struct LimitArgs {
    /// With --add-key: from where the stream may come, as in `192.0.2.0/24,2001:db8::7`; else from anywhere
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',', requires = "add_key")]
    pub allow_ip: Vec<Network>,

    /// With --add-key: how the stream may come, `rtmp` or `http` (each with or without TLS); else in any way
    #[arg(long, value_name = "PROTOCOL,…", value_delimiter = ',', requires = "add_key")]
    pub protocols: Vec<Protocol>,

    /// The most bits a second that are taken of a stream, as in `8M`: an encoder that sends more is made to wait, and nothing
    /// is dropped. With --add-key: of this stream; else of each that has no limit of its own
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub max_bitrate: Option<u64>,

    /// With --add-key: how long a recording of the stream may be, as in `4h`: then it is ended
    #[arg(long, value_name = "DURATION", value_parser = sizes::duration, requires = "add_key")]
    pub max_duration: Option<Duration>,
}

impl LimitArgs {
    /// What may be done with a key that is made.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            enabled: true,
            allow_ip: self.allow_ip.clone(),
            protocols: self.protocols.clone(),
            max_bitrate: self.max_bitrate,
            max_duration: self.max_duration.map(|most| most.as_secs()),
            ..Terms::default()
        }
    }
}

/// Bits a second.
fn rate(text: &str) -> Result<u64, String> {
    let rate = sizes::bits_a_second(text)
        .ok_or_else(|| format!("{text:?} is no rate of bits a second; write 8M, 800k or a plain number"))?;
    Terms { max_bitrate: Some(rate), ..Terms::default() }.check().map(|()| rate)
}

/// What a stream has of its own beside its keys, at the end of its line; nothing where all is as usual.
pub(super) fn shown(terms: &Terms) -> String {
    let listed = |what: &str, all: Vec<String>| (!all.is_empty()).then(|| format!("{what} {}", all.join(" ")));
    let said = [
        (!terms.enabled).then(|| "disabled".to_owned()),
        listed("from", terms.allow_ip.iter().map(ToString::to_string).collect()),
        listed("by", terms.protocols.iter().map(|protocol| protocol.name().to_owned()).collect()),
        terms.max_bitrate.map(|most| format!("at most {most} bit/s")),
        terms.max_duration.map(|most| format!("at most {most} s")),
        terms.ladder.as_ref().map(|ladder| format!("ladder {ladder}")),
        terms.reconnect.map(|wait| format!("waited for {wait} s")),
    ];
    let said: Vec<_> = said.into_iter().flatten().collect();
    if said.is_empty() { String::new() } else { format!("  {}", said.join(", ")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[arg(long)]
        add_key: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn limits(line: &str) -> Result<LimitArgs, String> {
        let line = Line::try_parse_from(std::iter::once("writer").chain(line.split_whitespace()));
        line.map(|line| line.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_those_of_the_key_that_is_made() {
        let line = "--add-key cam --allow-ip 192.0.2.0/24,::1 --allow-ip 203.0.113.1 --protocols rtmp --max-bitrate 2.5M --max-duration 4h";
        let terms = limits(line).expect("limits").terms();
        assert_eq!(
            shown(&terms),
            "  from 192.0.2.0/24 ::1 203.0.113.1, by rtmp, at most 2500000 bit/s, at most 14400 s"
        );
        assert_eq!(shown(&Terms::default()), "");
        let own = Terms { ladder: "720p".parse().ok(), reconnect: Some(5), ..Terms::default() };
        assert_eq!(shown(&own), "  ladder 720p:2800000, waited for 5 s");
        assert_eq!(shown(&Terms { enabled: false, ..Terms::default() }), "  disabled");
        assert_eq!(limits("--add-key cam").expect("none").terms(), Terms::default());
        assert_eq!(limits("--max-bitrate 8M").expect("of all").max_bitrate, Some(8_000_000));
        for bad in [
            "--allow-ip ::1",
            "--protocols rtmp",
            "--max-duration 4h",
            "--add-key cam --allow-ip here",
            "--add-key cam --protocols srt",
            "--max-bitrate 5",
            "--max-bitrate 8MB",
        ] {
            assert!(limits(bad).is_err(), "{bad}");
        }
    }
}
