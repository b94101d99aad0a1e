//! Where to listen, as a URL: `rtmp://ADDRESS[:PORT]/APPLICATION/KEY`, or `http://`, without the key where there are many, or
//! where only this machine can come. A key is never shown.

use std::fmt;
use std::net::IpAddr;

use crate::keys::template::check_app;
use crate::keys::terms::Protocol;

/// The usual ports.
const RTMP_PORT: u16 = 1935;
const RTMPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Where one stream is listened for.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Fragments are pushed by HTTP there; else streams by RTMP.
    pub http: bool,
    /// Only TLS is taken.
    pub secure: bool,
    /// The address of an interface; all of them if empty.
    pub host: String,
    /// The port; 0 for a free one.
    pub port: u16,
    /// The application.
    app: String,
    lock: Lock,
}

/// Who may publish there.
#[derive(Clone, PartialEq, Eq)]
enum Lock {
    /// Whoever has this key, into the one stream.
    Key(String),
    /// Whoever has the key of a stream.
    Keys,
    /// Whoever is on this machine.
    Open,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(&format!("{}:{}", self.host, self.port)))
    }
}

/// Whether a word on the command line means to listen.
#[must_use]
pub fn is_url(word: &str) -> bool {
    ["rtmp://", "rtmps://", "http://", "https://", "srt://"].iter().any(|scheme| starts_with(word, scheme))
}

fn starts_with(word: &str, scheme: &str) -> bool {
    word.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

impl Address {
    /// Reads a URL with the key of one stream.
    ///
    /// # Errors
    /// In words, which have nothing of the URL behind its application in them.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (address, path) = Self::socket(url)?;
        if address.http && !path.contains('/') {
            return address.open(path);
        }
        let (app, key) = path.rsplit_once('/').ok_or_else(|| {
            let host = if address.host.is_empty() { "0.0.0.0" } else { &address.host };
            format!(
                "a URL to listen at has an application and a stream key, as in {}://{host}:{}/live/KEY: whoever knows the key \
                 may publish. With --keys FILE it has an application alone",
                address.scheme(),
                address.port
            )
        })?;
        if key.contains(['?', '#']) || app.contains(['?', '#']) {
            return Err("a stream key has no ? and no # in it".to_owned());
        }
        Ok(Self { app: app.to_owned(), lock: Lock::Key(key.to_owned()), ..address })
    }

    /// Without a key: for whoever is on this machine, and for nobody else.
    fn open(self, path: &str) -> Result<Self, String> {
        if !is_loopback(&self.host) {
            let (scheme, host, port) = (self.scheme(), self.host(), self.port);
            return Err(format!(
                "{scheme}:// without a stream key takes a stream from whoever can reach it, so it listens at addresses of this \
                 machine only: give {scheme}://127.0.0.1:{port}, or {scheme}://{host}:{port}/live/KEY with a stream key of your \
                 own as the last part, or --keys FILE"
            ));
        }
        if !path.is_empty() {
            check_app(path)?;
        }
        Ok(Self { app: path.to_owned(), lock: Lock::Open, ..self })
    }

    /// Reads a URL of many streams, which has no key.
    ///
    /// # Errors
    /// In words.
    pub fn of_many(url: &str) -> Result<Self, String> {
        let (address, path) = Self::socket(url)?;
        check_app(path)?;
        Ok(Self { app: path.to_owned(), ..address })
    }

    /// Where to listen, and the path behind that.
    fn socket(url: &str) -> Result<(Self, &str), String> {
        const KNOWN: [(&str, bool, bool, u16); 4] = [
            ("rtmp://", false, false, RTMP_PORT),
            ("rtmps://", false, true, RTMPS_PORT),
            ("http://", true, false, HTTP_PORT),
            ("https://", true, true, HTTPS_PORT),
        ];
        let known = KNOWN.into_iter().find(|(scheme, ..)| starts_with(url, scheme));
        let (_, http, secure, usual) = known.ok_or_else(|| {
            let scheme = url.split(':').next().unwrap_or_default();
            format!(
                "{scheme}:// is not taken yet, only rtmp://, rtmps://, http:// and https://; `ffmpeg … -f mp4 - | writer KEY` takes \
                 it meanwhile"
            )
        })?;
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(
                "a name and a password are not for listening: the stream key is the last part of the path".to_owned()
            );
        }
        let (host, port) = split_port(authority, usual)?;
        let address = Self { http, secure, host: host.to_owned(), port, app: String::new(), lock: Lock::Keys };
        Ok((address, path.trim_matches('/')))
    }

    /// The application.
    pub(super) fn app(&self) -> &str {
        &self.app
    }

    /// The application's URL at the socket where it is listened, without the key.
    #[must_use]
    pub fn at(&self, socket: &str) -> String {
        format!("{}://{socket}/{}", self.scheme(), self.app)
    }

    /// What is spoken there, as URLs have it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match (self.http, self.secure) {
            (false, false) => "rtmp",
            (false, true) => "rtmps",
            (true, false) => "http",
            (true, true) => "https",
        }
    }

    /// What is spoken there, with or without TLS.
    pub(super) fn protocol(&self) -> Protocol {
        if self.http { Protocol::Http } else { Protocol::Rtmp }
    }

    /// Where to bind.
    pub(super) fn host(&self) -> &str {
        if self.host.is_empty() { "0.0.0.0" } else { &self.host }
    }

    /// Whether an encoder's application and stream name are these. Where one ends and the other begins is for the encoder to
    /// say, and what follows a `?` is for others.
    pub(super) fn is_for(&self, app: &str, name: &str) -> bool {
        let plain = |text: &str| text.split('?').next().unwrap_or_default().trim_matches('/').to_owned();
        let (app, name) = (plain(app), plain(name));
        let given = if name.is_empty() { app } else { format!("{app}/{name}") };
        match &self.lock {
            Lock::Key(key) => is_same(given.as_bytes(), format!("{}/{key}", self.app).as_bytes()),
            Lock::Keys => false,
            Lock::Open => given.trim_matches('/') == self.app,
        }
    }

    /// Whether streams are published below this path at all, by whoever has their key.
    pub(super) fn has(&self, app: &str, name: &str) -> bool {
        let plain = |text: &str| text.split('?').next().unwrap_or_default().trim_matches('/').to_owned();
        match self.lock {
            Lock::Open => self.is_for(app, name),
            Lock::Key(_) | Lock::Keys => plain(app) == self.app || (plain(app).is_empty() && plain(name) == self.app),
        }
    }

    /// Whether no key is asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock == Lock::Open
    }

    /// The stream key that an encoder has, and the name where it has one beside it: `live/KEY`, or `live/NAME?key=KEY`. None
    /// where the application is another one.
    pub(super) fn key_in(&self, app: &str, name: &str) -> Option<(Option<String>, String)> {
        let (name, query) = self.name_in(app, name)?;
        match query.split('&').find_map(|pair| pair.strip_prefix("key=")) {
            Some(key) => Some((Some(name), key.to_owned())),
            None => Some((None, name)),
        }
    }

    /// The last part of the path that an encoder comes with, and what follows it behind a `?`. None where the application is
    /// another one.
    pub(super) fn name_in(&self, app: &str, name: &str) -> Option<(String, String)> {
        let (path, query) = match (app.split_once('?'), name.split_once('?')) {
            (_, Some((name, query))) => (format!("{}/{name}", app.split('?').next().unwrap_or_default()), query),
            (Some((app, query)), None) => (format!("{app}/{name}"), query),
            (None, None) => (format!("{app}/{name}"), ""),
        };
        let path = path.trim_matches('/');
        let (app, name) = path.rsplit_once('/').unwrap_or((path, ""));
        if app.trim_matches('/') != self.app {
            return None;
        }
        Some((name.to_owned(), query.to_owned()))
    }
}

/// Whether only this machine can reach it.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Compares in a time that does not depend on where they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn split_port(authority: &str, usual: u16) -> Result<(&str, u16), String> {
    let (host, port) = match authority.rsplit_once(':') {
        // Colons inside brackets are those of the address.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let bad = || format!("{port:?} is no port");
    let port = if port.is_empty() { usual } else { port.parse().map_err(|_| bad())? };
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_keys_are_not_shown() {
        for (url, secure, host, port, shown) in [
            ("rtmp://0.0.0.0:1935/live/s3cret", false, "0.0.0.0", 1935, "rtmp://0.0.0.0:1935/live"),
            ("rtmp://127.0.0.1:0/live/s3cret/", false, "127.0.0.1", 0, "rtmp://127.0.0.1:0/live"),
            ("RTMP://:1936/a/b/s3cret", false, "0.0.0.0", 1936, "rtmp://:1936/a/b"),
            ("rtmps://[::1]/live/s3cret", true, "::1", 443, "rtmps://::1:443/live"),
            ("rtmp://[::]:7/live/s3cret", false, "::", 7, "rtmp://:::7/live"),
            ("http://:8080/live/s3cret", false, "0.0.0.0", 8080, "http://:8080/live"),
            ("https://[::1]/live/s3cret", true, "::1", 443, "https://::1:443/live"),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!((address.secure, address.host(), address.port), (secure, host, port), "{url}");
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?} {address}").contains("s3cret"));
        }
        for url in [
            "rtmp://h",
            "rtmp://h/s3cret",
            "rtmp://h:x/live/s3cret",
            "rtmp://u:p@h/live/s3cret",
            "srt://:9000/s3cret",
            "http://h/s3cret",
            "rtmp://h/live/s3cret?x",
        ] {
            let refused = Address::parse(url).expect_err(url);
            assert!(!refused.contains("s3cret"), "{refused}");
        }
        assert!(is_url("rtmp://x") && is_url("HTTP://x") && !is_url("rtmp") && !is_url("./rtmp://x") && !is_url("é"));
    }

    #[test]
    fn without_a_key_only_this_machine_may_push() {
        for (url, app) in [
            ("http://127.0.0.1:8080", ""),
            ("http://127.0.0.1:0/", ""),
            ("http://[::1]:8080/live", "live"),
            ("HTTP://localhost/live/", "live"),
            ("https://127.8.0.1/live", "live"),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!((address.app(), address.is_open()), (app, true), "{url}");
            assert!(address.is_for(app, "") && !address.is_for(app, "other") && !address.is_for("other", ""), "{url}");
            assert!(address.has(app, "") && !address.has("other", "") && !address.has("live", "key"), "{url}");
        }
        for url in
            ["http://:8080", "http://0.0.0.0:8080/live", "http://192.0.2.1", "https://[::]/live", "http://h/live"]
        {
            let refused = Address::parse(url).expect_err(url);
            assert!(refused.contains("this machine only") && refused.contains("--keys FILE"), "{refused}");
        }
        assert!(Address::parse("http://127.0.0.1/li?ve").is_err() && Address::parse("rtmp://127.0.0.1/live").is_err());
        let locked = Address::parse("http://127.0.0.1/live/key").expect("a URL");
        assert!(!locked.is_open() && locked.has("live", "k") && locked.has("", "live") && locked.has("live", "k?x"));
        assert!(!locked.has("", "key") && !locked.has("live/key", "more") && !locked.has("", ""));
    }

    #[test]
    fn of_many_streams_a_key_is_in_the_name_or_behind_it() {
        let address = Address::of_many("rtmp://:0/a/live/").expect("a URL");
        assert_eq!((address.app(), address.to_string().as_str()), ("a/live", "rtmp://:0/a/live"));
        assert!(!address.is_for("a/live", "") && !address.is_for("a", "live"));
        for (app, name, wanted) in [
            ("a/live", "lr_x", Some((None, "lr_x"))),
            ("a", "live/lr_x", Some((None, "lr_x"))),
            ("/a/live/", "lr_x?token=1", Some((None, "lr_x"))),
            ("a/live", "cam?key=lr_x", Some((Some("cam"), "lr_x"))),
            ("a/live", "cam?x=y&key=lr_x", Some((Some("cam"), "lr_x"))),
            ("a/live?key=lr_x", "cam", Some((Some("cam"), "lr_x"))),
            ("a/live/lr_x", "", Some((None, "lr_x"))),
            ("a/live", "", None),
            ("live", "lr_x", None),
            ("", "", None),
        ] {
            let found = address.key_in(app, name);
            let found = found.as_ref().map(|(name, key)| (name.as_deref(), key.as_str()));
            assert_eq!(found, wanted, "{app} {name}");
        }
        for bad in ["rtmp://:0", "rtmp://:0/", "rtmp://:0/a b", "rtmp://:0/live?x", "rtmp://:0/a//b", "srt://:0/live"] {
            assert!(Address::of_many(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whoever_knows_the_key_may_publish() {
        let address = Address::parse("rtmp://:0/live/key").expect("a URL");
        for (app, name, may) in [
            ("live", "key", true),
            ("live/", "key?token=1", true),
            ("/live", "key", true),
            ("live/key", "", true),
            ("live?x=y", "key", true),
            ("live", "Key", false),
            ("live", "ke", false),
            ("live", "keykey", false),
            ("other", "key", false),
            ("", "", false),
            ("live", "", false),
        ] {
            assert_eq!(address.is_for(app, name), may, "{app} {name}");
        }
    }
}
