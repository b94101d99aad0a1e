//! How a [`Store`] comes to be: credentials, region, endpoint, addressing, and the client's settings.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};

use super::{Patience, Store, Tally};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// With the credentials that the AWS environment names.
    Credentials,
    /// Without any: a public bucket.
    Anonymous,
}

/// What a person may set about a store; the rest comes from the AWS environment and its files.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The bucket.
    pub bucket: String,
    /// The endpoint, where it is given on the command line.
    pub endpoint_url: Option<String>,
    /// Whether to address the bucket by path even where its endpoint has a domain name.
    pub path_style: bool,
    /// Who is asking.
    pub access: Access,
    /// How long the store may be silent, where that is given.
    pub stall_timeout: Option<Duration>,
}

/// Why a store could not even be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No provider of the chain has credentials.
    #[error(
        "no credentials: {0}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment or in .env, or name a \
         profile with AWS_PROFILE"
    )]
    Credentials(String),
    /// The endpoint is not a URL that could be asked.
    #[error("the endpoint {0:?} is not a URL such as https://s3.us-west-004.backblazeb2.com")]
    Endpoint(String),
}

/// What was found out about the connection, for `--check` and for the log.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The region that requests are signed for.
    pub region: String,
    /// The endpoint, or `None` for Amazon's own.
    pub endpoint: Option<String>,
    /// Where the credentials came from, and the secrets among them, so that no log line can carry them.
    pub secrets: Vec<String>,
}

impl Store {
    /// Resolves credentials, region and endpoint, and builds the client. Sends nothing to the store itself.
    ///
    /// # Errors
    /// [`ConnectError`] when there are no credentials or the endpoint is not a URL.
    pub async fn connect(connection: &Connection) -> Result<(Self, Resolved), ConnectError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https_client());
        // Without this the region chain would end by asking a cloud machine's metadata service, which takes seconds elsewhere.
        let region_chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        let configured = region_chain.region().await;
        // The loader wants a region up front; the right one is known once it has found the endpoint.
        let region = configured.clone().unwrap_or(Region::from_static("us-east-1"));
        loader = loader.region(region.clone());
        let mut secrets = Vec::new();
        loader = match connection.access {
            Access::Anonymous => loader.no_credentials(),
            Access::Credentials => {
                let chain = DefaultCredentialsChain::builder().region(region.clone()).build().await;
                let provider = SharedCredentialsProvider::new(chain);
                let found =
                    provider.provide_credentials().await.map_err(|error| ConnectError::Credentials(words(&error)))?;
                secrets.push(found.secret_access_key().to_owned());
                secrets.extend(found.session_token().map(str::to_owned));
                loader.credentials_provider(provider)
            }
        };
        if let Some(url) = &connection.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let shared = loader.load().await;
        let endpoint = shared.endpoint_url().map(str::to_owned);
        if let Some(url) = &endpoint {
            host_of(url).ok_or_else(|| ConnectError::Endpoint(url.clone()))?;
        }
        let region = configured
            .or_else(|| endpoint.as_deref().and_then(backblaze_region).map(Region::new))
            .unwrap_or(Region::from_static("us-east-1"));

        let plain = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
        let by_path = connection.path_style || endpoint.as_deref().and_then(host_of).is_some_and(is_local);
        let config = aws_sdk_s3::config::Builder::from(&shared)
            .region(region.clone())
            .http_client(if plain { Builder::new().build_http() } else { https_client() })
            .force_path_style(by_path)
            .disable_s3_express_session_auth(true)
            // Backblaze B2 refuses the integrity headers that the SDK sends by default.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // One place decides about retries (crate::retry); a connection that failed is not used again.
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(1)
                    .with_reconnect_mode(ReconnectMode::ReconnectOnTransientError),
            )
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            // Stalls are cut by the callers, who know how long is long.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let store = Self {
            client: Arc::new(RwLock::new(aws_sdk_s3::Client::from_conf(config))),
            bucket: connection.bucket.clone(),
            tally: Arc::new(Tally::default()),
            granted: Arc::default(),
            patience: Patience::new(connection.stall_timeout),
            content_md5: !plain && !hashes_sha256_fast(),
        };
        Ok((store, Resolved { region: region.to_string(), endpoint, secrets }))
    }
}

/// A client for TLS; the system's certificates are read when the first connection needs them.
fn https_client() -> aws_sdk_s3::config::SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Whether this processor has instructions for SHA-256. With them the signed payload's hash is the cheaper one (about
/// three times as fast as MD5), without them MD5 is (about twice as fast as SHA-256).
fn hashes_sha256_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("sha")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("sha2")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

/// The region in a Backblaze endpoint: `https://s3.us-west-004.backblazeb2.com` → `us-west-004`.
fn backblaze_region(endpoint: &str) -> Option<String> {
    let region = host_of(endpoint)?.strip_suffix(".backblazeb2.com")?.strip_prefix("s3.")?;
    (!region.is_empty() && !region.contains('.')).then(|| region.to_owned())
}

/// The host of an `http` or `https` URL, without its port.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split(']').next()?,
        None => authority.split(':').next()?,
    };
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(host)
}

/// Whether a host is an IP address or `localhost`: a bucket cannot be put in front of those.
fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<std::net::IpAddr>().is_ok()
}

/// The causes of a credentials error, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        last = cause.to_string();
        next = cause.source();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_comes_from_a_backblaze_endpoint_only() {
        assert_eq!(backblaze_region("https://s3.us-west-004.backblazeb2.com").as_deref(), Some("us-west-004"));
        assert_eq!(backblaze_region("https://s3.eu-central-003.backblazeb2.com/").as_deref(), Some("eu-central-003"));
        assert_eq!(backblaze_region("https://f004.backblazeb2.com"), None);
        assert_eq!(backblaze_region("https://s3.amazonaws.com"), None);
        assert_eq!(backblaze_region("s3.us-west-004.backblazeb2.com"), None);
    }

    #[test]
    fn addresses_and_localhost_are_addressed_by_path() {
        for url in ["http://127.0.0.1:9000", "http://[::1]:9000/x", "http://localhost", "https://10.0.0.7"] {
            assert!(host_of(url).is_some_and(is_local), "{url}");
        }
        for url in ["https://s3.us-west-004.backblazeb2.com", "http://minio.example:9000"] {
            assert!(!host_of(url).is_some_and(is_local), "{url}");
        }
        for url in ["", "minio:9000", "http://", "ftp://host", "https:// x"] {
            assert_eq!(host_of(url), None, "{url}");
        }
    }
}
