//! How a [`Store`] comes to be: credentials, region, endpoint, addressing, and the client's settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::TlsContext;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder, tls};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::service_config::ServiceConfigKey;

use super::address::Addresses;
use super::credentials;
use super::endpoint::{Endpoint, EndpointError};
use super::proxy::{Proxy, ProxyError};
use super::retry::Retry;
use super::tls::{self as trust, BundleError};
use super::watch::Watch;
use super::{Patience, Shared, Store};

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
    /// How long a service for credentials may be away at the start.
    pub retry: Retry,
}

/// Why a store could not even be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing names any.
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment or in .env (in this directory: {}), or \
         name a profile with AWS_PROFILE",
        if *dotenv { "there, without them" } else { "not there" }
    )]
    NoCredentials {
        /// Whether there is a `.env` here.
        dotenv: bool,
    },
    /// Who was to give credentials did not.
    #[error(
        "no credentials: {0}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment or in .env, or name a \
         profile with AWS_PROFILE"
    )]
    Credentials(String),
    /// The endpoint cannot be one.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The authorities to trust cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The proxy cannot be one.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The region cannot be signed for.
    #[error("the region {0:?} cannot be one: set AWS_REGION to a name such as us-west-004")]
    Region(String),
}

/// What was found out about the connection, for `--check` and for the log.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The region that requests are signed for.
    pub region: String,
    /// The endpoint, or `None` for Amazon's own.
    pub endpoint: Option<String>,
}

impl Store {
    /// Resolves credentials, region and endpoint, and builds the client. Sends nothing to the store itself.
    ///
    /// # Errors
    /// [`ConnectError`] when there are no credentials, or a setting can never work.
    pub async fn connect(connection: &Connection) -> Result<(Self, Resolved), ConnectError> {
        let proxy_of = |plain| Proxy::of(plain, |name| std::env::var(name).ok());
        let trust = trust::context(trust::bundle().as_deref())?;
        // Without this the region chain would end by asking a cloud machine's metadata service, which takes seconds elsewhere.
        let configured = configured_region().await?;
        // The loader wants a region up front; the right one is known once it has found the endpoint.
        let assumed = configured.clone().unwrap_or(Region::from_static("us-east-1"));
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(assumed.clone()).no_credentials();
        if let Some(url) = &connection.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let shared = loader.load().await;
        let endpoint = endpoint(&shared, connection.endpoint_url.is_some())?;
        let region = configured
            .or_else(|| endpoint.as_ref()?.backblaze_region().map(|region| Region::new(region.to_owned())))
            .unwrap_or(Region::from_static("us-east-1"));

        let plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.plain);
        let proxy = if endpoint.as_ref().is_some_and(Endpoint::is_here) { None } else { proxy_of(plain)? };
        if let Some(proxy) = &proxy {
            tracing::info!(
                "requests go through the proxy {} ({}), unless NO_PROXY spares the store",
                proxy.shown,
                proxy.variable
            );
        }
        let mut config = aws_sdk_s3::config::Builder::from(&shared);
        if connection.access == Access::Credentials {
            // Metadata services are asked without a proxy: each machine has its own.
            let client = https_client(proxy_of(false)?.as_ref(), trust.clone());
            let guard = credentials::find(assumed, client, connection.retry).await;
            let guard = guard.map_err(|error| match credentials::words(&error) {
                Some(words) => ConnectError::Credentials(words),
                None => ConnectError::NoCredentials { dotenv: Path::new(".env").is_file() },
            })?;
            config = config.credentials_provider(SharedCredentialsProvider::new(guard));
        }
        let by_path = connection.path_style || endpoint.as_ref().is_some_and(Endpoint::is_local);
        config.set_endpoint_url(endpoint.as_ref().map(|endpoint| endpoint.url.clone()));
        let config = config
            .region(region.clone())
            .http_client(if plain { http_client(proxy.as_ref()) } else { https_client(proxy.as_ref(), trust) })
            .force_path_style(by_path)
            .disable_s3_express_session_auth(true)
            // Backblaze B2 refuses the integrity headers that the SDK sends by default.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // One place decides about retries (crate::store::retry); a connection that failed is not used again.
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(1)
                    .with_reconnect_mode(ReconnectMode::ReconnectOnTransientError),
            )
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            // Stalls are cut by the callers, who know how long is long.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(Watch)
            .build();
        let client = aws_sdk_s3::Client::from_conf(config);
        let url = endpoint.map(|endpoint| endpoint.url);
        let addresses = Addresses { endpoint: url.clone(), region: region.to_string(), by_path };
        let shared = Shared::new(client, parts_by_md5(plain), connection.access == Access::Anonymous);
        let shared = Shared { addresses: Some(addresses), ..shared };
        let store = Self {
            shared: Arc::new(shared),
            bucket: connection.bucket.clone(),
            patience: Patience::new(connection.stall_timeout),
        };
        Ok((store, Resolved { region: region.to_string(), endpoint: url }))
    }
}

/// The region that the environment or the profile names, if any.
async fn configured_region() -> Result<Option<Region>, ConnectError> {
    let named = |region: Option<Region>| region.filter(|region| !region.as_ref().trim().is_empty());
    let region = match named(EnvironmentVariableRegionProvider::new().region().await) {
        Some(region) => Some(region),
        None => named(ProfileFileRegionProvider::new().region().await),
    };
    let Some(region) = region else { return Ok(None) };
    let name = region.as_ref().trim();
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(ConnectError::Region(name.to_owned()));
    }
    Ok(Some(Region::new(name.to_owned())))
}

/// The endpoint of the command line, else the one for S3 alone, else the one for all services.
fn endpoint(shared: &SdkConfig, typed: bool) -> Result<Option<Endpoint>, EndpointError> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let for_s3 = shared.service_config().zip(key.ok()).and_then(|(config, key)| config.load_config(key));
    if typed {
        return shared.endpoint_url().map(Endpoint::parse).transpose();
    }
    let set = |url: &String| !url.trim().is_empty();
    let url = for_s3.filter(set).or_else(|| shared.endpoint_url().map(str::to_owned).filter(set));
    url.as_deref().map(Endpoint::parse).transpose()
}

/// A client for TLS; the system's certificates are read when the first connection needs them.
fn https_client(proxy: Option<&Proxy>, trust: TlsContext) -> SharedHttpClient {
    let proxy = proxy.map(Proxy::config);
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = connector(settings, components);
        connector.set_proxy_config(proxy.clone());
        connector.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).tls_context(trust.clone()).build()
    })
}

/// A client without TLS.
fn http_client(proxy: Option<&Proxy>) -> SharedHttpClient {
    let proxy = proxy.map(Proxy::config);
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = connector(settings, components);
        connector.set_proxy_config(proxy.clone());
        connector.build_http()
    })
}

/// With the timeouts of the request and a clock to measure them.
fn connector(settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>) -> ConnectorBuilder {
    let mut connector = Connector::builder();
    connector.set_connector_settings(settings.cloned());
    connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    connector
}

/// Whether parts carry `Content-MD5` beside an unsigned payload: over TLS only, where SHA-256 is the slower hash, or where
/// `LIVE_READ_PART_HASH` says so (`md5` or `sha256`; for tests, which must see both on every machine).
fn parts_by_md5(plain: bool) -> bool {
    let md5 = match std::env::var("LIVE_READ_PART_HASH").as_deref() {
        Ok("md5") => true,
        Ok("sha256") => false,
        _ => !hashes_sha256_fast(),
    };
    md5 && !plain
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
