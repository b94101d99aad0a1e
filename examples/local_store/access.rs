//! Who may do what: keys with rights, and public buckets for those who have none.

use std::collections::HashMap;
use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::args::{Args, Rights};
use crate::catalog::{self, Catalog};

/// The keys of the store, by access key id.
#[derive(Debug)]
pub struct Keys(HashMap<String, (SecretKey, Rights)>);

impl Keys {
    /// The main key and the further ones.
    pub fn new(args: &Args) -> Self {
        let main = (args.access_key.clone(), (args.secret_key.clone().into(), Rights::ALL));
        let users = args.users.iter().map(|user| (user.access.clone(), (user.secret.clone().into(), user.rights)));
        Self(users.chain([main]).collect())
    }
}

/// Looks secrets up for the check of signatures.
pub struct Auth(pub Arc<Keys>);

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0.0.get(access_key).map(|(secret, _)| secret.clone()).ok_or_else(|| {
            let message = "The access key id that you provided does not exist in our records.";
            S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, message)
        })
    }
}

/// Whether the sender of a request may list; goes with the request in its extensions.
#[derive(Debug, Clone, Copy)]
pub struct MayList(pub bool);

/// Checks rights, after the signature.
pub struct Access {
    /// The keys and what they may do.
    pub keys: Arc<Keys>,
    /// Knows which buckets are public.
    pub catalog: Arc<Catalog>,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name();
        let rights = cx
            .credentials()
            .map(|credentials| self.keys.0.get(&credentials.access_key).map(|(_, rights)| *rights).unwrap_or_default());
        let allowed = match rights {
            Some(rights) => permits(rights, operation),
            None => self.anonymous(cx.s3_path(), operation)?,
        };
        cx.extensions_mut().insert(MayList(rights.is_some_and(|rights| rights.list)));
        if allowed { Ok(()) } else { Err(S3Error::with_message(S3ErrorCode::AccessDenied, "Access denied.")) }
    }
}

impl Access {
    fn anonymous(&self, path: &S3Path, operation: &str) -> S3Result<bool> {
        let S3Path::Object { bucket, .. } = path else {
            return Ok(false);
        };
        let public = catalog::find(&self.catalog.read(), bucket)?.record.public;
        Ok(public && matches!(operation, "GetObject" | "HeadObject"))
    }
}

fn permits(rights: Rights, operation: &str) -> bool {
    match operation {
        "GetObject" | "HeadObject" | "GetObjectAttributes" => rights.read,
        "CopyObject" | "UploadPartCopy" => rights.read && rights.write,
        "ListObjects" | "ListObjectsV2" | "ListObjectVersions" | "ListMultipartUploads" => rights.list,
        "ListParts" => rights.list || rights.write,
        "ListBuckets" | "HeadBucket" | "GetBucketLocation" | "GetBucketVersioning" => true,
        "GetBucketCors" => rights.read || rights.list,
        _ => rights.write,
    }
}
