//! Streams in a Redis that several machines share.
//!
//! Two hashes and a number, in one slot of a cluster: streams by their ids as JSON, ids of streams by the hashes of keys, and
//! how often something changed. What is written goes by a script that writes only if nobody else has written meanwhile.

use std::time::Duration;

use redis::{Client, Connection, RedisError};

use super::KeysError;
use super::record::Stream;
use super::secret::KeyHash;

const STREAMS: &str = "{live-read}:streams";
const KEYS: &str = "{live-read}:keys";
const CHANGES: &str = "{live-read}:changes";
/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to write again what others came before.
const TRIES: usize = 50;
/// KEYS: streams, keys, changes. ARGV: id, stream before, stream after (empty: none), how many hashes go, hashes that go and
/// come.
const WRITE: &str = "local before = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if before ~= ARGV[2] then return 0 end
local gone = tonumber(ARGV[4])
for at = 5, #ARGV do
  if at < 5 + gone then redis.call('HDEL', KEYS[2], ARGV[at]) else redis.call('HSET', KEYS[2], ARGV[at], ARGV[1]) end
end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
redis.call('INCR', KEYS[3])
return 1";

/// See the [module](self).
pub(super) struct RedisStore {
    client: Client,
    place: String,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// The server of a URL; sends nothing.
    pub(super) fn new(url: &str) -> Result<Self, KeysError> {
        let place = shown(url);
        match Client::open(url) {
            Ok(client) => Ok(Self { client, place }),
            // What it says may have the URL in it.
            Err(_) => Err(KeysError::Unfit(format!(
                "{place} is no address of a Redis; it looks like redis://HOST:6379/0 or redis://:PASSWORD@HOST:6379/0"
            ))),
        }
    }

    pub(super) fn place(&self) -> String {
        self.place.clone()
    }

    pub(super) fn list(&self) -> Result<Vec<Stream>, KeysError> {
        let read: Result<Vec<String>, _> =
            self.connection().and_then(|mut server| redis::cmd("HVALS").arg(STREAMS).query(&mut server));
        read.map_err(|error| self.cannot("read", &error))?.iter().map(|text| self.stream(text)).collect()
    }

    /// The stream that this may be a key of.
    pub(super) fn find(&self, hash: KeyHash) -> Result<Option<Stream>, KeysError> {
        let read = self.connection().and_then(|mut server| {
            let id: Option<String> = redis::cmd("HGET").arg(KEYS).arg(hash.to_hex()).query(&mut server)?;
            // Whoever has no key is told so after as many looks.
            redis::cmd("HGET").arg(STREAMS).arg(id.unwrap_or_default()).query::<Option<String>>(&mut server)
        });
        let text = read.map_err(|error| self.cannot("read", &error))?;
        text.map(|text| self.stream(&text)).transpose()
    }

    /// Changes what is kept of a stream, or whether there is one.
    pub(super) fn change(
        &self,
        id: &str,
        change: &mut dyn FnMut(&mut Option<Stream>) -> Result<(), KeysError>,
    ) -> Result<(), KeysError> {
        let cannot = |error: RedisError| self.cannot("written", &error);
        let mut server = self.connection().map_err(cannot)?;
        for _ in 0..TRIES {
            let text: Option<String> = redis::cmd("HGET").arg(STREAMS).arg(id).query(&mut server).map_err(cannot)?;
            let before = text.as_deref().map(|text| self.stream(text)).transpose()?;
            let mut after = before.clone();
            change(&mut after)?;
            if before == after {
                return Ok(());
            }
            let hashes = |stream: &Option<Stream>| {
                stream.iter().flat_map(|stream| &stream.keys).map(|key| key.hash.clone()).collect::<Vec<_>>()
            };
            let (gone, come) = (hashes(&before), hashes(&after));
            let written = after.as_ref().map(serde_json::to_string).transpose();
            let written = written.map_err(|error| KeysError::Unfit(error.to_string()))?.unwrap_or_default();
            let mut script = redis::cmd("EVAL");
            script.arg(WRITE).arg(3).arg(STREAMS).arg(KEYS).arg(CHANGES);
            script.arg(id).arg(text.unwrap_or_default()).arg(written).arg(gone.len()).arg(gone).arg(come);
            if script.query::<u8>(&mut server).map_err(cannot)? == 1 {
                return Ok(());
            }
        }
        Err(self.unfit("written", "others write into it all the time"))
    }

    /// What is another one when somebody has written; none where that cannot be told.
    pub(super) fn version(&self) -> Option<String> {
        let mut server = self.connection().ok()?;
        let changes: Option<u64> = redis::cmd("GET").arg(CHANGES).query(&mut server).ok()?;
        Some(changes.unwrap_or(0).to_string())
    }

    fn connection(&self) -> Result<Connection, RedisError> {
        let server = self.client.get_connection_with_timeout(PATIENCE)?;
        server.set_read_timeout(Some(PATIENCE))?;
        server.set_write_timeout(Some(PATIENCE))?;
        Ok(server)
    }

    fn stream(&self, text: &str) -> Result<Stream, KeysError> {
        serde_json::from_str(text)
            .map_err(|error| self.unfit("read", &format!("what is in {STREAMS} is no stream: {error}")))
    }

    fn cannot(&self, what: &'static str, error: &RedisError) -> KeysError {
        self.unfit(what, &error.to_string())
    }

    fn unfit(&self, what: &'static str, reason: &str) -> KeysError {
        KeysError::Place { place: self.place(), what, reason: reason.to_owned() }
    }
}

/// The server without its password.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.map_or_else(String::new, |path| format!("/{}", path.split('?').next().unwrap_or_default()));
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, place) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://:s3cret@host/1", "redis://host/1"),
            ("redis://user:s3@cret@host:1", "redis://host:1"),
        ] {
            assert_eq!(shown(url), place, "{url}");
            let shown = RedisStore::new(url).map_or_else(|error| error.to_string(), |store| format!("{store:?}"));
            assert!(!shown.contains("s3"), "{shown}");
        }
        for url in ["redis://", "redis://:s3cret@:x/y", "rediss://:s3cret@host/"] {
            let refused = RedisStore::new(url).map(|_| ()).expect_err(url);
            assert!(!refused.to_string().contains("s3cret"), "{refused}");
        }
    }
}
