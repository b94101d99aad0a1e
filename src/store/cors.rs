//! Requests about the bucket's CORS rules.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::types::{CorsConfiguration, CorsRule as SdkRule};
use md5::{Digest, Md5};

use super::{Store, StoreError, send};

/// A rule: which pages may send which requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsRule {
    /// Its name.
    pub id: Option<String>,
    /// Whose pages.
    pub origins: Vec<String>,
    /// Which requests.
    pub methods: Vec<String>,
    /// With which headers.
    pub headers: Vec<String>,
    /// Which headers of the answer the page may see.
    pub exposed: Vec<String>,
    /// For how many seconds a browser may keep that in mind.
    pub max_age: Option<i32>,
}

impl Store {
    /// The bucket's rules; none if none have been set.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn cors(&self) -> Result<Vec<CorsRule>, StoreError> {
        let request = self.client().get_bucket_cors().bucket(&self.bucket);
        let doing = "reading the CORS rules";
        match send!(self, other, doing, format!("s3://{}", self.bucket), self.patience.answer, request.send()) {
            Ok(answer) => Ok(answer.cors_rules().iter().map(known).collect()),
            Err(error) if error.code.as_deref() == Some("NoSuchCORSConfiguration") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sets all of the bucket's rules, in place of those that there are.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn set_cors(&self, rules: &[CorsRule]) -> Result<(), StoreError> {
        let doing = "setting the CORS rules";
        let object = format!("s3://{}", self.bucket);
        let rules = rules.iter().map(sent).collect::<Result<Vec<_>, _>>();
        let rules = rules.map_err(|error| StoreError::local(doing, object.clone(), super::Kind::Refused, error))?;
        let rules = CorsConfiguration::builder().set_cors_rules(Some(rules)).build();
        let rules =
            rules.map_err(|error| StoreError::local(doing, object.clone(), super::Kind::Refused, error.to_string()))?;
        let request = self.client().put_bucket_cors().bucket(&self.bucket).cors_configuration(rules);
        let request = request.customize().interceptor(ByMd5);
        send!(self, other, doing, object, self.patience.answer, request.send())?;
        Ok(())
    }
}

fn known(rule: &SdkRule) -> CorsRule {
    CorsRule {
        id: rule.id().map(str::to_owned),
        origins: rule.allowed_origins().to_vec(),
        methods: rule.allowed_methods().to_vec(),
        headers: rule.allowed_headers().to_vec(),
        exposed: rule.expose_headers().to_vec(),
        max_age: rule.max_age_seconds(),
    }
}

fn sent(rule: &CorsRule) -> Result<SdkRule, String> {
    let filled = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    let built = SdkRule::builder()
        .set_id(rule.id.clone())
        .set_allowed_origins(Some(rule.origins.clone()))
        .set_allowed_methods(Some(rule.methods.clone()))
        .set_allowed_headers(filled(&rule.headers))
        .set_expose_headers(filled(&rule.exposed))
        .set_max_age_seconds(rule.max_age)
        .build();
    built.map_err(|error| error.to_string())
}

/// Sends `Content-MD5` in place of the checksum header that the SDK insists on for some requests, and Backblaze B2 refuses.
#[derive(Debug)]
pub(super) struct ByMd5;

impl Intercept for ByMd5 {
    fn name(&self) -> &'static str {
        "ContentMd5InPlaceOfChecksum"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), aws_sdk_s3::error::BoxError> {
        let request = context.request_mut();
        let body = request.body().bytes().ok_or("the body is not in memory")?;
        let md5 = aws_smithy_types::base64::encode(Md5::digest(body));
        let checksums = request.headers().iter().map(|(name, _)| name.to_owned());
        let checksums =
            checksums.filter(|name| name.starts_with("x-amz-checksum-") || name == "x-amz-sdk-checksum-algorithm");
        for name in checksums.collect::<Vec<_>>() {
            request.headers_mut().remove(name);
        }
        request.headers_mut().insert("content-md5", md5);
        Ok(())
    }
}
