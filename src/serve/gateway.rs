//! What every answer needs: the gateway with all that it holds, the connection of a request, and small parts of answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use http::{Response, StatusCode, request};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::access_log::Record;
use super::body::Body;
use super::chores::Chores;
use super::gate::Gate;
use super::hls::indexed::{Next, Text};
use super::hls::indexes::Indexes;
use super::hls::siblings::Siblings;
use super::join::Join;
use super::link::Grant;
use super::metrics::Metrics;
use super::name::{self, Names, Query};
use super::once::Once;
use super::recordings::Recordings;
use super::refusal::Refusal;
use super::renditions::Told;
use super::stall::Stalls;
use super::viewing::Viewing;
use crate::media::fmp4::single::Samples;
use crate::protocol::escape;

/// Answers that are held back at one time, at most, for each connection that there may be: HTTP/2 could wait for many.
const HELD: usize = 2;

/// How often what counts no more is forgotten.
const TIDY: Duration = Duration::from_secs(5);

/// The connection of a request.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) remote: SocketAddr,
    /// Set where it has to be reset because an answer broke off.
    pub(crate) torn: Arc<AtomicBool>,
    pub(crate) stalls: Arc<Stalls>,
}

/// All that answers need.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) names: Names,
    pub(crate) gate: Gate,
    pub(crate) recordings: Recordings,
    pub(crate) joins: Once<([u8; 16], Duration), Join>,
    /// For HLS, DASH and Smooth Streaming.
    pub(crate) indexes: Indexes,
    /// What goes on a version, under a key.
    pub(crate) followers: Once<([u8; 16], String), Next>,
    /// Tracks of segments by themselves.
    pub(crate) singles: Once<([u8; 16], u64, u32), Arc<Samples>>,
    /// Renditions that writers have told of beside a multivariant playlist of a bucket.
    pub(crate) programs: Once<(String, String), Arc<Vec<Told>>>,
    /// Which renditions are beside each other.
    pub(crate) siblings: Siblings,
    /// Manifests of several renditions, by what they are of.
    pub(crate) manifests: Once<String, (Text, bool)>,
    pub(crate) held: Semaphore,
    most_held: usize,
    pub(crate) chores: Chores,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: bool,
    /// Whether the program is about to end.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Gateway {
    pub(crate) fn new(
        names: Names,
        gate: Gate,
        recordings: Recordings,
        chores: Chores,
        access_log: bool,
        connections: usize,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let (joins, singles, followers) = (Once::default(), Once::default(), Once::default());
        let most_held = connections.saturating_mul(HELD).min(Semaphore::MAX_PERMITS);
        let (indexes, held) = (Indexes::default(), Semaphore::new(most_held));
        let (programs, manifests, siblings) = (Once::default(), Once::default(), Siblings::default());
        let metrics = Arc::default();
        Self {
            names,
            gate,
            recordings,
            joins,
            indexes,
            followers,
            singles,
            programs,
            siblings,
            manifests,
            held,
            most_held,
            chores,
            metrics,
            access_log,
            ending,
        }
    }

    /// Forgets, from time to time, what was asked and answered a while ago.
    pub(crate) async fn tidy(&self) {
        loop {
            sleep(TIDY).await;
            self.joins.tidy();
            self.singles.tidy();
            self.followers.tidy();
            self.programs.tidy();
            self.manifests.tidy();
        }
    }

    /// Answers that are held back now.
    pub(crate) fn held_now(&self) -> u64 {
        self.most_held.saturating_sub(self.held.available_permits()) as u64
    }

    /// The bucket that a query names.
    pub(crate) fn bucket(&self, query: &Query<'_>) -> Result<&str, Refusal> {
        Ok(self.names.bucket(query.bucket()?.as_deref())?)
    }

    /// What the URLs of an answer end in, so that they lead to the same bucket.
    pub(crate) fn suffix(&self, query: &Query<'_>) -> Result<String, Refusal> {
        let (bucket, first) = (self.bucket(query)?, self.names.bucket(None)?);
        Ok(if bucket == first { String::new() } else { format!("?bucket={}", escape::segment(bucket)) })
    }

    /// What the parameters of a query and a key stand for, and whether that is a certain version.
    pub(crate) async fn find(
        &self,
        query: &Query<'_>,
        key: &str,
        record: Option<&mut Record>,
        parts: &request::Parts,
    ) -> Result<(Viewing, bool), Refusal> {
        let bucket = self.named(query, key, record, parts)?;
        let version = name::version(query.get("version")?)?;
        let viewing = self.recordings.find(bucket, key, version.as_deref()).await?;
        Ok((viewing, version.is_some()))
    }

    /// A certain version, also where the store has no name for it.
    pub(crate) async fn find_version(
        &self,
        query: &Query<'_>,
        key: &str,
        version: String,
        record: Option<&mut Record>,
        parts: &request::Parts,
    ) -> Result<Viewing, Refusal> {
        let bucket = self.named(query, key, record, parts)?;
        self.version(bucket, key, version).await
    }

    /// The same, where it may be asked for.
    pub(crate) async fn version(&self, bucket: &str, key: &str, version: String) -> Result<Viewing, Refusal> {
        let version = name::version(Some(version))?.ok_or_else(Refusal::not_there)?;
        let found = self.recordings.find(bucket, key, Some(&version)).await;
        let may_be_newest =
            |refusal: &Refusal| matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::BAD_GATEWAY);
        match found {
            Err(refusal) if may_be_newest(&refusal) => {
                let newest = self.recordings.find(bucket, key, None).await?;
                if newest.identity.version == version { Ok(newest) } else { Err(Refusal::not_there()) }
            }
            found => found,
        }
    }

    /// The bucket that is meant, where the key may be asked for.
    pub(crate) fn named(
        &self,
        query: &Query<'_>,
        key: &str,
        record: Option<&mut Record>,
        parts: &request::Parts,
    ) -> Result<&str, Refusal> {
        let bucket = self.bucket(query)?;
        if let Some(record) = record {
            bucket.clone_into(&mut record.bucket);
            key.clone_into(&mut record.key);
            record.range = text(&parts.headers, &header::RANGE).unwrap_or_default();
        }
        self.names.check(key)?;
        may(parts, bucket, key)?;
        Ok(bucket)
    }
}

/// What a request asks for beside its path; a link leads to its own bucket.
pub(crate) fn query(parts: &request::Parts) -> Query<'_> {
    let grant = parts.extensions.get::<Grant>();
    Query::new(parts.uri.query()).within(grant.map(|grant| grant.bucket.as_str()))
}

/// Whether a request may have an object, as far as it comes by a link.
pub(crate) fn may(parts: &request::Parts, bucket: &str, key: &str) -> Result<(), Refusal> {
    match parts.extensions.get::<Grant>() {
        Some(grant) if !grant.allows(bucket, key) => {
            Err(Refusal::new(StatusCode::FORBIDDEN, "this link does not lead here, or not any more"))
        }
        _ => Ok(()),
    }
}

/// An answer without anything.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::text(""));
    *answer.status_mut() = status;
    answer
}

/// A header of which there is one, as text; of lists, all of them together.
pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str()).collect::<Result<_, _>>().ok()?;
    (!values.is_empty()).then(|| values.join(","))
}
