//! The options of `writer` that are about listening for encoders, and what they mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::human::sizes;
use crate::ingest;
use crate::ingest::address::{Address, is_url};
use crate::ingest::proxied::Proxies;
use crate::tool::certificate::Certificate;

/// How long a fragment is, unless told otherwise.
pub(super) const FRAGMENT: Duration = Duration::from_secs(1);
/// How long an encoder is waited for, unless told otherwise.
const RECONNECT: Duration = Duration::from_secs(60);

/// Options of listening for encoders.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Streams from encoders (rtmp://, rtmps://, http://, https://)")]
pub struct ListeningArgs {
    /// Further URLs to listen at for the same stream
    #[arg(value_name = "URL")]
    pub more: Vec<String>,

    /// How long a fragment of the object is at most; it also ends at each key frame. 200ms for a short delay [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = fragment)]
    pub fragment: Option<Duration>,

    /// How long an encoder that is gone without ending its stream is waited for: back in time, it goes on in the same object
    /// [default: 60s]. With --add-key: of this stream
    #[arg(long, value_name = "DURATION", value_parser = sizes::duration)]
    pub reconnect: Option<Duration>,

    /// Who publishes when another encoder comes with the same stream key [default: newest]
    #[arg(long, value_enum, value_name = "WHO")]
    pub takeover: Option<Takeover>,

    /// With --keys or --hook-form: how many streams there may be at once. Each takes a part and 2 MiB of memory while the store keeps up, and
    /// as much as a writer alone, part size times --concurrency plus two, while it does not [default: 100]
    #[arg(long, value_name = "N", requires = "many", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub max_streams: Option<u16>,

    /// The certificate for rtmps:// and https://, and those above it, as PEM; with it each rtmp:// port takes RTMPS too, and each http:// port HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Addresses and networks of proxies, with commas between: connections from there begin with who is behind the proxy, by the PROXY protocol
    /// (nginx `proxy_protocol on`, HAProxy `send-proxy`), and limits count for him
    #[arg(long, value_name = "ADDRS")]
    pub trusted_proxies: Option<Proxies>,
}

/// Who publishes when another encoder comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Takeover {
    /// The one that came last: the other may be a dead connection.
    Newest,
    /// The one that is there.
    Refuse,
}

impl ListeningArgs {
    /// What to listen for, where the input is one or more URLs.
    ///
    /// # Errors
    /// In words, for what does not go together. Stream keys are not in them.
    pub fn settings(&self, file: &Path, many: Option<&str>) -> Result<Option<ingest::Settings>, String> {
        let first = file.to_str().filter(|word| is_url(word));
        let Some(first) = first else { return self.is_not_given(many).map(|()| None) };
        let read = if many.is_some() { Address::of_many } else { Address::parse };
        let urls = std::iter::once(first).chain(self.more.iter().map(String::as_str));
        let addresses = urls.map(read).collect::<Result<Vec<_>, _>>()?;
        if let Some(secure) = addresses.iter().find(|address| address.secure && self.tls_cert.is_none()) {
            return Err(format!("{secure} needs --tls-cert and --tls-key"));
        }
        let open = addresses.iter().find(|address| address.is_open());
        if let (Some(open), true) = (open, self.trusted_proxies.is_some()) {
            return Err(format!(
                "{open} takes what comes from this machine without a key, and a proxy (--trusted-proxies) lets others in: add a key"
            ));
        }
        let certificate = self.tls_cert.clone().zip(self.tls_key.clone());
        Ok(Some(ingest::Settings {
            addresses,
            fragment: self.fragment.unwrap_or(FRAGMENT),
            reconnect: self.reconnect.unwrap_or(RECONNECT),
            takeover: match self.takeover {
                Some(Takeover::Refuse) => ingest::Takeover::Refuse,
                Some(Takeover::Newest) | None => ingest::Takeover::Newest,
            },
            certificate: certificate.map(|(chain, key)| Certificate { chain, key }),
            proxies: self.trusted_proxies.clone().unwrap_or_default(),
            renditions: false,
            max_bitrate: None,
        }))
    }

    /// Without a URL none of it means anything.
    fn is_not_given(&self, many: Option<&str>) -> Result<(), String> {
        if let Some(word) = self.more.first() {
            // A URL has a key in it.
            let word = if is_url(word) { String::new() } else { format!("'{word}' is one too many: ") };
            return Err(format!("{word}there is one FILE; only URLs to listen at can be several"));
        }
        let given = [
            (many.unwrap_or_default(), many.is_some()),
            ("--fragment", self.fragment.is_some()),
            ("--reconnect", self.reconnect.is_some()),
            ("--takeover", self.takeover.is_some()),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--trusted-proxies", self.trusted_proxies.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(format!(
                "{option} is about streams from encoders, and needs a URL to listen at, such as \
                 rtmp://0.0.0.0:1935/live/STREAMKEY"
            )),
            None => Ok(()),
        }
    }
}

/// The length of a fragment.
fn fragment(text: &str) -> Result<Duration, String> {
    let time = sizes::duration(text)?;
    let fits = (Duration::from_millis(50)..=Duration::from_secs(30)).contains(&time);
    if fits { Ok(time) } else { Err("a fragment lasts 50ms to 30s".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        file: PathBuf,
        #[arg(long, group = "many")]
        keys: Option<PathBuf>,
        #[command(flatten)]
        listening: ListeningArgs,
    }

    fn settings(line: &str) -> Result<Option<ingest::Settings>, String> {
        let line = Line::try_parse_from(std::iter::once("writer").chain(line.split_whitespace())).expect("it parses");
        line.listening.settings(&line.file, None)
    }

    #[test]
    fn a_url_is_listened_at_and_a_file_is_not() {
        let one = settings("rtmp://:1935/live/key").expect("settings").expect("a URL");
        assert_eq!((one.addresses.len(), one.fragment, one.reconnect), (1, FRAGMENT, RECONNECT));
        assert_eq!((one.takeover, one.certificate), (ingest::Takeover::Newest, None));
        let line = "rtmp://:1935/live/key rtmps://:443/live/key --tls-cert c --tls-key k --fragment 200ms --reconnect 5 --takeover refuse";
        let two = settings(line).expect("settings").expect("URLs");
        assert_eq!((two.addresses.len(), two.fragment), (2, Duration::from_millis(200)));
        assert_eq!((two.reconnect, two.takeover), (Duration::from_secs(5), ingest::Takeover::Refuse));
        assert_eq!(settings("file.mp4"), Ok(None));
        for bad in [
            "file.mp4 other.mp4",
            "- --reconnect 5",
            "rtmps://:443/live/s3cret",
            "rtmp://:1935/s3cret",
            "rtmp://:1935/live/s3cret file.mp4",
            "http://:80/s3cret",
            "- --trusted-proxies 127.0.0.1",
            "http://127.0.0.1:80 --trusted-proxies 127.0.0.1",
        ] {
            let refused = settings(bad).expect_err(bad);
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
