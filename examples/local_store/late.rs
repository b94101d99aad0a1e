//! PUTs that land after their sender has gone (`late-put`).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::once;
use http::{HeaderMap, header, request};
use http_body_util::BodyExt;
use s3s::service::S3Service;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::body::{Error, RequestBody};
use crate::catalog::Catalog;
use crate::effects::Answer;
use crate::faults::Effect;
use crate::model::{ContentHeaders, Manifest};
use crate::operation::Operation;
use crate::quirks::Landing;
use crate::receive::receive;
use crate::uploads::{self, Place, WriteConditions};

/// How much later.
const LATER: Duration = Duration::from_secs(1);

/// A PUT that is worked on whatever becomes of its sender. The wait that a fault orders comes after the body.
pub async fn put(
    s3: S3Service,
    catalog: Arc<Catalog>,
    mut effect: Effect,
    (head, operation): (request::Parts, Operation),
    mut body: RequestBody,
    landing: Landing,
) -> Answer {
    let (answer, answered) = oneshot::channel();
    // This task outlives the connection.
    tokio::spawn(async move {
        let _under_way = landing;
        let mut bytes = BytesMut::new();
        let cut = loop {
            match body.frame().await {
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        effect.wait().await;
        if cut || answer.is_closed() {
            sleep(LATER).await;
        }
        if cut {
            if let Err(error) = store(&catalog, &operation, &head.headers, bytes.freeze()).await {
                tracing::warn!("what came of a cut-off PUT could not be stored: {error}");
            }
            return;
        }
        let done = s3.call(http::Request::from_parts(head, s3s::Body::from(bytes.freeze()))).await;
        // Nobody may wait for it any more.
        let _ = answer.send(done);
    });
    answered.await.map_err(|_| Error::from("the PUT was cut off"))?.map_err(Error::from)
}

/// Stores what came of a cut-off PUT under its key.
async fn store(catalog: &Catalog, operation: &Operation, headers: &HeaderMap, bytes: Bytes) -> s3s::S3Result<()> {
    let (Some(bucket), Some(key)) = (&operation.bucket, &operation.key) else { return Ok(()) };
    let (id, dir) = catalog.new_version(bucket)?;
    let body = Box::pin(once(async { Ok::<_, Error>(bytes) }));
    let received = receive(Some(body), &dir, None).await?;
    let part = received.file.keep(1, received.size, received.md5);
    let part = part.map_err(|error| crate::errors::disk("storing an object", &error))?;
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let metadata = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), text(value))));
    let said = ContentHeaders {
        content_type: headers.get(header::CONTENT_TYPE).map(text),
        cache_control: headers.get(header::CACHE_CONTROL).map(text),
        metadata: metadata.collect(),
        ..ContentHeaders::default()
    };
    let manifest = Manifest::new(vec![part], false, None);
    let place = Place { bucket, key };
    uploads::put(catalog, place, (id, dir), said, manifest, &WriteConditions::default())?;
    Ok(())
}
