//! Where credentials come from: the AWS chain (environment, profiles, roles, containers, instances), and a guard around it.
//!
//! The guard takes line ends off what the chain gives, refuses what could not be sent, and keeps each secret out of all messages:
//! those of the start, and those of each renewal.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_s3::config::SharedHttpClient;

use tokio::time::sleep;

use super::hearing::Hearing;
use super::retry::Retry;
use super::{Kind, StoreError};
use crate::message::secrets;

/// How long an instance's metadata service may take. Where there is none, that is what it costs to find out.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(1);

/// The chain, guarded, with the first credentials that it gives. A service that is down is asked again.
///
/// # Errors
/// Why there are none.
pub(super) async fn find(region: Region, client: SharedHttpClient, retry: Retry) -> Result<Guard, CredentialsError> {
    let hearing = Hearing::default();
    let client = hearing.of(client);
    let config = ProviderConfig::without_region().with_region(Some(region)).with_http_client(client);
    let instance = imds::Client::builder()
        .configure(&config)
        .max_attempts(2)
        .connect_timeout(INSTANCE_PATIENCE)
        .read_timeout(INSTANCE_PATIENCE)
        .build();
    let chain = DefaultCredentialsChain::builder().imds_client(instance).configure(config).build().await;
    let mut failures = retry.start();
    loop {
        let error = match first(&chain).await {
            Ok(first) => {
                failures.passed();
                return Ok(Guard { chain, first: Mutex::new(Some(first)) });
            }
            Err(error) => error,
        };
        // Whoever has no service for credentials has none to wait for.
        let is_final =
            matches!(error, CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_));
        if !hearing.take_may_pass() || is_final {
            return Err(error);
        }
        let why = words(&error).unwrap_or_else(|| error.to_string());
        let trouble = StoreError::local("asking for credentials", "AWS".to_owned(), Kind::Passing, why);
        match failures.next_wait(trouble.with_advice("Check the network, and the service that gives them.")) {
            Ok(wait) => sleep(wait).await,
            Err(_) => return Err(error),
        }
    }
}

async fn first(chain: &DefaultCredentialsChain) -> provider::Result {
    checked(chain.provide_credentials().await?)
}

/// The last cause of a credentials error, and what helps where that is known; `None` where nothing names credentials at all.
/// How the SDK came to it is for those who debug.
pub(super) fn words(error: &CredentialsError) -> Option<String> {
    let top: &dyn std::error::Error = error;
    let causes: Vec<_> = std::iter::successors(Some(top), |error| error.source()).map(ToString::to_string).collect();
    tracing::debug!("credentials: {}", causes.join(": "));
    // Last of all the chain asks for an instance's credentials, also where this is none.
    let unset = matches!(error, CredentialsError::CredentialsNotLoaded(_));
    if unset || causes.iter().any(|cause| cause.contains("IMDS")) {
        return None;
    }
    let last = causes.last().cloned().unwrap_or_default();
    let login = causes.iter().any(|cause| cause.contains("SSO"));
    Some(if login { format!("{last} (`aws sso login` renews it)") } else { last })
}

/// A provider whose credentials can be sent, and are in no message.
#[derive(Debug)]
pub(super) struct Guard {
    chain: DefaultCredentialsChain,
    /// What the chain gave when it was asked at the start; the first request takes it.
    first: Mutex<Option<Credentials>>,
}

impl Guard {
    async fn credentials(&self) -> provider::Result {
        let kept = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let fresh = |credentials: &Credentials| credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now());
        match kept.filter(fresh) {
            Some(kept) => Ok(kept),
            None => first(&self.chain).await,
        }
    }
}

impl ProvideCredentials for Guard {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.chain.fallback_on_interrupt()
    }
}

/// The same without line ends, and known as secret.
fn checked(given: Credentials) -> provider::Result {
    let (id, secret) = (sendable("key id", given.access_key_id())?, sendable("secret", given.secret_access_key())?);
    let token = given.session_token().map(|token| sendable("session token", token)).transpose()?;
    secrets::learn(secret);
    if let Some(token) = token {
        secrets::learn(token);
    }
    let same = (id, secret, token) == (given.access_key_id(), given.secret_access_key(), given.session_token());
    if same {
        return Ok(given);
    }
    // One place gave all of it; its name is only for the SDK's own messages.
    let token = token.map(str::to_owned);
    Ok(Credentials::new(id, secret, token, given.expiry(), "trimmed"))
}

/// A part of credentials without blanks and line ends around it.
fn sendable<'a>(what: &str, value: &'a str) -> Result<&'a str, CredentialsError> {
    let meant = value.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    if !meant.is_empty() && meant.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(meant);
    }
    let problem =
        if meant.is_empty() { "is empty" } else { "has a blank, a line end or another character that none has" };
    Err(CredentialsError::invalid_configuration(format!("the {what} {problem}; copy it again")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, secret: &str, token: Option<&str>) -> provider::Result {
        checked(Credentials::new(id, secret, token.map(str::to_owned), None, "test"))
    }

    #[test]
    fn line_ends_are_taken_off_and_secrets_are_known() {
        let clean = check("id\r\n", " checked-secret\n", Some("checked-token\r")).expect("credentials");
        assert_eq!((clean.access_key_id(), clean.secret_access_key()), ("id", "checked-secret"));
        assert_eq!(clean.session_token(), Some("checked-token"));
        assert_eq!(secrets::scrub("checked-secret checked-token"), "*** ***");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_being_shown() {
        for (id, secret, token) in [
            ("i\nXX", "secret", None),
            ("id", "sec\nXX", None),
            ("id", "secret", Some("token\nXX")),
            ("id", "secret", Some("")),
            ("", "secret", None),
            ("\u{ef}XX", "secret", None),
        ] {
            let error = format!("{:?}", check(id, secret, token).expect_err("not credentials"));
            assert!(error.contains("copy it again") && !error.contains("XX"), "{error}");
        }
    }
}
