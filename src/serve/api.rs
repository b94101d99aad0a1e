//! The bucket's chores over HTTP: lists as JSON, a new bucket, a new object.

use http::{Response, StatusCode, request};
use hyper::body::Incoming;
use serde_json::json;

use super::access_log::Record;
use super::body::Body;
use super::chores::{PATIENCE, Wanted};
use super::gateway::Gateway;
use super::name::{Query, Unnamed, decoded};
use super::recordings::of_store;
use super::refusal::Refusal;
use super::reply;
use crate::human::times::show_of_day;
use crate::object::listing::Entry;
use crate::protocol::key::MAX_KEY;
use crate::store::{Kind, Patient};

/// Objects on a page, if that is not said, and at most.
const MOST: (u16, u16) = (100, 1_000);

/// What lies below `/buckets/`.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// `B`
    Bucket(String),
    /// `B/objects`
    Objects(String),
    /// `B/objects/KEY`
    Object(String, String),
}

/// The place that a path names, each name decoded once.
fn place(rest: &str) -> Result<Place, Refusal> {
    let (bucket, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = decoded(bucket)?;
    match (rest, rest.split_once('/')) {
        ("", _) => Ok(Place::Bucket(bucket)),
        ("objects", _) => Ok(Place::Objects(bucket)),
        (_, Some(("objects", key))) => Ok(Place::Object(bucket, decoded(key)?)),
        _ => Err(Refusal::not_there()),
    }
}

/// Answers `/buckets`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn buckets(gateway: &Gateway, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let found = gateway.chores.listings.buckets().await?;
    let buckets: Vec<_> = found.iter().map(|bucket| json!({ "name": bucket.name, "exists": bucket.exists })).collect();
    let default = gateway.names.buckets.first();
    Ok(reply::json(&json!({ "buckets": buckets, "default": default }), StatusCode::OK, parts))
}

/// Answers what is read below `/buckets/`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn read(gateway: &Gateway, rest: &str, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let bucket = match place(rest)? {
        Place::Objects(bucket) => bucket,
        Place::Bucket(bucket) => {
            gateway.names.bucket(Some(&bucket))?;
            let found = gateway.chores.listings.buckets().await?;
            let found = found.iter().find(|found| found.name == bucket && found.exists);
            let found = found.ok_or_else(Refusal::not_there)?;
            return Ok(reply::json(&json!({ "name": found.name, "exists": true }), StatusCode::OK, parts));
        }
        Place::Object(..) => {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this is read at /watch?v=KEY&bucket=BUCKET"));
        }
    };
    gateway.names.bucket(Some(&bucket))?;
    let wanted = wanted(bucket, &Query::new(parts.uri.query()))?;
    let (bucket, prefix) = (wanted.bucket.clone(), wanted.prefix.clone());
    let page = gateway.chores.listings.page(wanted, &gateway.recordings).await?;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let entry = |entry: &Entry| {
        json!({
            "key": entry.key,
            "state": entry.state,
            "size": entry.size,
            "since": entry.since.map(show_of_day),
            "age": entry.since.map(|since| now.saturating_sub(since).max(0)),
        })
    };
    let objects: Vec<_> = page.entries.iter().map(entry).collect();
    let list = json!({ "bucket": bucket, "prefix": prefix, "objects": objects, "next": page.next });
    Ok(reply::json(&list, StatusCode::OK, parts))
}

/// The page that a query asks for: `prefix`, `page` (the key after which it begins), `limit`.
pub(crate) fn wanted(bucket: String, query: &Query<'_>) -> Result<Wanted, Unnamed> {
    let text = |name: &str| {
        let text = query.get(name)?.unwrap_or_default();
        if text.len() > MAX_KEY || text.chars().any(char::is_control) {
            return Err(Unnamed::Wrong("prefix and page have at most 1024 bytes, and no control characters"));
        }
        Ok(text)
    };
    let most = match query.get("limit")?.filter(|limit| !limit.is_empty()) {
        None => MOST.0,
        Some(limit) => {
            let limit = limit.parse().ok().filter(|limit| (1..=MOST.1).contains(limit));
            limit.ok_or(Unnamed::Wrong("limit is a number from 1 to 1000"))?
        }
    };
    Ok(Wanted { bucket, prefix: text("prefix")?, after: text("page")?, most, only_open: false })
}

/// Does what is written below `/buckets/`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn write(
    gateway: &Gateway,
    rest: &str,
    parts: &request::Parts,
    record: Option<&mut Record>,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let place = place(rest)?;
    let (Place::Bucket(bucket) | Place::Objects(bucket) | Place::Object(bucket, _)) = &place;
    let bucket = gateway.names.bucket(Some(bucket))?;
    let store = gateway.chores.store.bucket_named(bucket);
    if let Some(record) = record {
        bucket.clone_into(&mut record.bucket);
        if let Place::Object(_, key) = &place {
            key.clone_into(&mut record.key);
        }
    }
    match &place {
        Place::Bucket(_) => create(&store, parts).await,
        Place::Objects(_) => Err(Unnamed::Wrong("the URL names no key").into()),
        Place::Object(_, key) => {
            gateway.names.check(key)?;
            let token = gateway.gate.who(&parts.headers);
            let done = gateway.chores.uploads.put(&store, key, token, body).await?;
            let told = json!({ "bucket": bucket, "key": key, "size": done.size, "version": done.version });
            Ok(reply::json(&told, StatusCode::CREATED, parts))
        }
    }
}

async fn create(store: &Patient, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let store = store.at_most(PATIENCE);
    match store.once().head_bucket().await.0 {
        Ok(()) => return Err(Refusal::new(StatusCode::CONFLICT, "this bucket is there already")),
        Err(error) if error.kind == Kind::NoBucket => {}
        Err(error) => return Err(of_store(&error)),
    }
    store.once().create_bucket().await.map_err(|error| match error.status {
        Some(409) => Refusal::new(StatusCode::CONFLICT, "somebody else has a bucket of this name"),
        _ => of_store(&error),
    })?;
    Ok(reply::json(&json!({ "name": store.bucket() }), StatusCode::CREATED, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_buckets_names_one_place() {
        let (bucket, objects) = (Place::Bucket("b".to_owned()), Place::Objects("b".to_owned()));
        let object = |key: &str| Place::Object("b".to_owned(), key.to_owned());
        for (rest, wanted) in [
            ("b", Some(bucket)),
            ("b/objects", Some(objects)),
            ("b/objects/a/b.mp4", Some(object("a/b.mp4"))),
            ("b/objects/a%2Fb%20.mp4", Some(object("a/b .mp4"))),
            ("b/objects/", Some(object(""))),
            ("b/objectsx", None),
            ("b/other/x", None),
            ("b/objects/%ff", None),
        ] {
            assert_eq!(place(rest).ok(), wanted, "{rest}");
        }
    }

    #[test]
    fn a_page_is_bounded() {
        let wanted =
            |query: &str| wanted("b".to_owned(), &Query::new(Some(query))).map(|wanted| (wanted.after, wanted.most));
        assert_eq!(wanted("prefix=a/&page=a%2Fb"), Ok(("a/b".to_owned(), 100)));
        assert_eq!(wanted("limit=1000"), Ok((String::new(), 1_000)));
        for query in ["limit=0", "limit=1001", "limit=x", "limit=-1", "page=%00", "prefix=a&prefix=b"] {
            assert!(wanted(query).is_err(), "{query}");
        }
        assert!(wanted(&format!("prefix={}", "k".repeat(1_025))).is_err());
    }
}
