//! All streams that may be published, wherever they are kept: what can be asked of them, and done to them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;

use super::KeysError;
use super::file::FileStore;
use super::record::{Change, Stream, Wish, id_of};
use super::redis_server::RedisStore;
use super::secret::{StreamKey, hash_of};
use super::template::Template;
use super::terms::Terms;

/// Streams and their keys.
#[derive(Debug, Clone)]
pub struct Book(Arc<Place>);

/// Where they are kept.
#[derive(Debug)]
enum Place {
    File(FileStore),
    Redis(RedisStore),
    /// Nowhere here: somebody else knows what may be published.
    Elsewhere,
}

/// What was known of the streams at some time; see [`Book::news`].
#[derive(Debug, Default)]
pub struct Known(Option<String>);

/// Who may publish, by the key that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The stream's id.
    pub id: String,
    /// The key's.
    pub key: String,
    /// The stream's name.
    pub stream: String,
    /// The template of its objects, where it has one of its own.
    pub object: Option<String>,
    /// What may be done with the key.
    pub terms: Terms,
}

impl Permit {
    /// The stream, where it still holds. A key that has expired meanwhile lets whoever publishes go on.
    #[must_use]
    pub fn held<'a>(&self, streams: &'a [Stream]) -> Option<&'a Stream> {
        let holds = |stream: &&Stream| stream.terms.enabled && stream.keys.iter().any(|key| key.id == self.key);
        streams.iter().find(|stream| stream.id == self.id).filter(holds)
    }
}

impl Book {
    /// The streams of a file, or of a server (`redis://`). Nothing is read yet.
    ///
    /// # Errors
    /// For a URL that cannot be one.
    pub fn at(place: &str) -> Result<Self, KeysError> {
        let place = match place.split_once("://") {
            Some(_) => Place::Redis(RedisStore::new(place)?),
            None => Place::File(FileStore::new(Path::new(place))),
        };
        Ok(Self(Arc::new(place)))
    }

    /// No streams: somebody else knows what may be published, by the name that is offered.
    #[must_use]
    pub fn of_others() -> Self {
        Self(Arc::new(Place::Elsewhere))
    }

    /// Whether streams are kept here, and have keys.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !matches!(*self.0, Place::Elsewhere)
    }

    /// Where they are kept, without a password.
    #[must_use]
    pub fn place(&self) -> String {
        match &*self.0 {
            Place::File(file) => file.place(),
            Place::Redis(server) => server.place(),
            Place::Elsewhere => "--on-publish".to_owned(),
        }
    }

    /// Sees whether they can be read, and makes the file where there is none; how many there are.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn open(&self) -> Result<usize, KeysError> {
        self.on(|place| {
            if let Place::File(file) = place {
                file.create()?;
            }
            Ok(place.list()?.len())
        })
        .await
    }

    /// All streams, by name.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn list(&self) -> Result<Vec<Stream>, KeysError> {
        self.on(Place::list).await
    }

    /// All streams, where something may have changed since they were last asked for so.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn news(&self, known: &mut Known) -> Result<Option<Vec<Stream>>, KeysError> {
        if !self.is_kept() {
            return Ok(None);
        }
        let before = known.0.take();
        let (version, streams) = self
            .on(move |place| {
                let version = place.version();
                if version.is_some() && version == before {
                    return Ok((version, None));
                }
                let streams = place.list()?;
                // Reading a file writes into it, too.
                Ok((if matches!(place, Place::File(_)) { place.version() } else { version }, Some(streams)))
            })
            .await?;
        known.0 = version;
        Ok(streams)
    }

    /// Makes a stream, and its first key.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn create(&self, name: &str, wish: Wish) -> Result<(Stream, StreamKey), KeysError> {
        is_template(wish.object.as_deref())?;
        let key = StreamKey::new()?;
        let (name, now, new) = (name.to_owned(), now(), key.clone());
        let stream = self
            .on(move |place| {
                let fresh = Stream::new(&name, &wish, now)?;
                if let Place::File(file) = place {
                    file.create()?;
                }
                place.change(&fresh.id, |stream| {
                    if stream.is_some() {
                        return Err(KeysError::Exists { name: fresh.stream.clone(), id: fresh.id.clone() });
                    }
                    stream.insert(fresh.clone()).add(&new, wish.expires, None, now)
                })
            })
            .await?;
        stream.map(|stream| (stream, key)).ok_or_else(|| KeysError::NoStream(String::new()))
    }

    /// Gives a stream another key. With `overlap`, those that it has are good for so long; else as long as they were.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn rotate(
        &self,
        id: &str,
        expires: Option<i64>,
        overlap: Option<Duration>,
    ) -> Result<(Stream, StreamKey), KeysError> {
        let key = StreamKey::new()?;
        let (new, now) = (key.clone(), now());
        let until = overlap.map(|overlap| now.saturating_add_unsigned(overlap.as_secs()));
        let stream = self.changed(id, move |stream| stream.add(&new, expires, until, now)).await?;
        Ok((stream, key))
    }

    /// Changes a stream; its keys stay.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn change(&self, id: &str, change: Change) -> Result<Stream, KeysError> {
        is_template(change.object.as_ref().and_then(Option::as_deref))?;
        self.changed(id, move |stream| stream.change(&change)).await
    }

    /// Takes a stream away, with all its keys.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn revoke(&self, id: &str) -> Result<(), KeysError> {
        let id = id.to_owned();
        self.on(move |place| {
            place.change(&id, |stream| stream.take().map(drop).ok_or_else(|| KeysError::NoStream(id.clone())))
        })
        .await
        .map(drop)
    }

    /// Takes one key of a stream away.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn revoke_key(&self, id: &str, key: &str) -> Result<Stream, KeysError> {
        let key = key.to_owned();
        self.changed(id, move |stream| {
            let no_key = || KeysError::NoKey { stream: stream.id.clone(), key: key.clone() };
            let refused = no_key();
            if stream.remove(&key) { Ok(()) } else { Err(refused) }
        })
        .await
    }

    /// What may be published with what somebody offers as a key; none, whatever is wrong with it.
    ///
    /// # Errors
    /// [`KeysError`] when nobody can tell.
    pub async fn permit(&self, offered: &str) -> Result<Option<Permit>, KeysError> {
        if !self.is_kept() {
            return Ok(of_others(offered));
        }
        let (hash, now) = (hash_of(offered), now());
        self.on(move |place| {
            let Some(mut stream) = place.find(hash)? else { return Ok(None) };
            let Some(key) = stream.key(hash, now).map(|key| key.id.clone()) else { return Ok(None) };
            if stream.is_used(now) {
                // It may be published without a note of it.
                let noted = place.change(&stream.id, |kept| {
                    if let Some(kept) = kept {
                        kept.is_used(now);
                    }
                    Ok(())
                });
                if let Err(error) = noted {
                    tracing::warn!("{error}");
                }
            }
            let Stream { id, stream, object, terms, .. } = stream;
            Ok(Some(Permit { id, key, stream, object, terms }))
        })
        .await
    }

    /// Changes a stream that there is.
    async fn changed(
        &self,
        id: &str,
        mut change: impl FnMut(&mut Stream) -> Result<(), KeysError> + Send + 'static,
    ) -> Result<Stream, KeysError> {
        let id = id.to_owned();
        self.on(move |place| {
            let no_stream = || KeysError::NoStream(id.clone());
            let changed = place.change(&id, |stream| change(stream.as_mut().ok_or_else(no_stream)?))?;
            changed.ok_or_else(no_stream)
        })
        .await
    }

    /// Does what may wait for a disk or a server.
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, KeysError> + Send + 'static,
    ) -> Result<T, KeysError> {
        let place = self.0.clone();
        let done = spawn_blocking(move || work(&place)).await;
        done.unwrap_or_else(|error| Err(KeysError::Unfit(error.to_string())))
    }
}

impl Place {
    fn list(&self) -> Result<Vec<Stream>, KeysError> {
        let mut streams = match self {
            Self::File(file) => file.list(),
            Self::Redis(server) => server.list(),
            Self::Elsewhere => Err(none_kept()),
        }?;
        streams.sort_by(|one, other| one.stream.cmp(&other.stream));
        Ok(streams)
    }

    fn find(&self, hash: super::secret::KeyHash) -> Result<Option<Stream>, KeysError> {
        match self {
            Self::File(file) => file.find(hash),
            Self::Redis(server) => server.find(hash),
            Self::Elsewhere => Err(none_kept()),
        }
    }

    /// What is kept then.
    fn change(
        &self,
        id: &str,
        mut change: impl FnMut(&mut Option<Stream>) -> Result<(), KeysError>,
    ) -> Result<Option<Stream>, KeysError> {
        let mut after = None;
        let mut noted = |stream: &mut Option<Stream>| {
            change(stream)?;
            after.clone_from(stream);
            Ok(())
        };
        match self {
            Self::File(file) => file.change(id, &mut noted),
            Self::Redis(server) => server.change(id, &mut noted),
            Self::Elsewhere => Err(none_kept()),
        }?;
        Ok(after)
    }

    fn version(&self) -> Option<String> {
        match self {
            Self::File(file) => file.version(),
            Self::Redis(server) => server.version(),
            Self::Elsewhere => None,
        }
    }
}

/// What may be published by a name that somebody else knows, as far as can be told here.
fn of_others(name: &str) -> Option<Permit> {
    let (id, stream) = (id_of(name), name.to_owned());
    let permit = Permit { id, key: String::new(), stream, object: None, terms: Terms::default() };
    Some(permit).filter(|_| !name.is_empty())
}

fn none_kept() -> KeysError {
    KeysError::Unfit("no stream keys are kept here (--keys): --on-publish knows what may be published".to_owned())
}

/// Whether objects can be named by it.
fn is_template(object: Option<&str>) -> Result<(), KeysError> {
    object.map(Template::parse).transpose().map(drop).map_err(KeysError::Unfit)
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
