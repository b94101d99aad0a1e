//! The options of `writer` that are about stream keys, and what is done where only keys are asked for.

use std::io::{self, Write};
use std::time::Duration;

use clap::{ArgGroup, Args};

use crate::cli::writer::limit_args::{LimitArgs, shown};
use crate::human::sizes;
use crate::human::times::{read_of_day, show_of_day};
use crate::keys::KeysError;
use crate::keys::book::Book;
use crate::keys::record::{Stream, Wish};
use crate::keys::terms::Terms;
use crate::tool::exit::Exit;

/// How long the keys before a new one stay good.
const OVERLAP: Duration = Duration::from_secs(3600);

/// Options of stream keys.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Stream keys", group = ArgGroup::new("keys_alone").requires("keys"))]
pub struct KeyArgs {
    /// The file of stream keys, or a Redis that several machines share
    #[arg(long, value_name = "FILE|redis://HOST/0", group = "many")]
    pub keys: Option<String>,

    /// Make a stream NAME, and print its key: it is shown this once. This, and the next three, need no store, and may be done
    /// while a writer listens
    #[arg(long, value_name = "NAME", group = "keys_alone", group = "new_key")]
    pub add_key: Option<String>,

    /// Print a line for each stream: its id, its name, how its keys begin, until when they are good, when one was last used, and
    /// what it may not do
    #[arg(long, group = "keys_alone")]
    pub list_keys: bool,

    /// Print another key of the stream with this id
    #[arg(long, value_name = "ID", group = "keys_alone", group = "new_key")]
    pub rotate_key: Option<String>,

    /// With --rotate-key: how long the keys before it stay good [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = sizes::duration, requires = "rotate_key")]
    pub overlap: Option<Duration>,

    /// With --add-key or --rotate-key: until when the key is good, as in `2026-12-31T00:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "new_key", allow_hyphen_values = true)]
    pub expires: Option<i64>,

    /// Take away all keys of the stream with this id; what is published with one of them ends
    #[arg(long, value_name = "ID", group = "keys_alone")]
    pub revoke_key: Option<String>,

    /// What may be done with a key.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl KeyArgs {
    /// Whether only keys are asked for.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.list_keys || [&self.add_key, &self.rotate_key, &self.revoke_key].into_iter().any(Option::is_some)
    }

    /// Does what is asked for about keys; a stream that is made has these terms.
    pub async fn run(&self, terms: Terms) -> Exit {
        match self.said(terms).await {
            Ok(said) => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(said.as_bytes()).and_then(|()| stdout.flush()) {
                    Ok(()) => Exit::Done,
                    Err(error) => {
                        tracing::error!("cannot print that: {error}");
                        Exit::Failed
                    }
                }
            }
            Err(error @ KeysError::Unfit(_)) => {
                tracing::error!("{error}");
                Exit::Usage
            }
            Err(error) => {
                tracing::error!("{error}");
                Exit::Failed
            }
        }
    }

    /// What is to be printed.
    async fn said(&self, terms: Terms) -> Result<String, KeysError> {
        let book = Book::at(self.keys.as_deref().unwrap_or_default())?;
        if let Some(name) = &self.add_key {
            let wish = Wish { object: None, terms, expires: self.expires };
            let (stream, key) = book.create(name, wish).await?;
            tracing::info!("the stream {name} has the id {}; its key is shown this once", stream.id);
            return Ok(format!("{}\n", key.reveal()));
        }
        if let Some(id) = &self.rotate_key {
            let overlap = self.overlap.unwrap_or(OVERLAP);
            let (stream, key) = book.rotate(id, self.expires, Some(overlap)).await?;
            let (name, seconds) = (stream.stream, overlap.as_secs());
            tracing::info!(
                "a new key of the stream {name}, shown this once; those before it are good for another {seconds} s"
            );
            return Ok(format!("{}\n", key.reveal()));
        }
        if let Some(id) = &self.revoke_key {
            book.revoke(id).await?;
            tracing::info!("nobody can publish with a key of {id} any more");
            return Ok(String::new());
        }
        let streams = book.list().await?;
        if streams.is_empty() {
            tracing::info!("there are no streams; --add-key NAME makes one");
        }
        Ok(streams.iter().map(line).collect())
    }
}

/// A line of the list.
fn line(stream: &Stream) -> String {
    let keys: Vec<_> = stream
        .keys
        .iter()
        .map(|key| {
            let until = key.expires.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", show_of_day(at)));
            format!("{}… {until}", key.prefix)
        })
        .collect();
    let used = stream.last_used.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", show_of_day(at)));
    format!("{}  {}  {}  {used}{}\n", stream.id, stream.stream, keys.join(", "), shown(&stream.terms))
}

/// A time of day, in seconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    let nanos = read_of_day(text).ok_or_else(|| format!("{text:?} is no time such as 2026-12-31T00:00:00Z"))?;
    i64::try_from(nanos / 1_000_000_000).map_err(|_| format!("{text} is too far away"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::secret::StreamKey;

    #[test]
    fn a_line_has_the_beginning_of_a_key_and_no_more() {
        let key = StreamKey::new().expect("random bits");
        let mut stream = Stream::new("cam", &Wish::default(), 0).expect("a stream");
        stream.add(&key, None, None, 0).expect("room");
        let shown = line(&stream);
        assert_eq!(shown, format!("{}  cam  {}… for ever  never used\n", stream.id, key.prefix()));
        stream.add(&key, moment("2026-12-31T00:00:00Z").ok(), None, 0).expect("room");
        stream.is_used(1);
        assert!(line(&stream).ends_with("… until 2026-12-31T00:00:00Z  last used 1970-01-01T00:00:01Z\n"));
        stream.terms.enabled = false;
        assert!(line(&stream).ends_with("1970-01-01T00:00:01Z  disabled\n"));
        assert!(moment("tomorrow").is_err());
    }
}
