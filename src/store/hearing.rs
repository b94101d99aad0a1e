//! Notes how services for credentials answer: the SDK's own errors do not tell a service that is down from one that
//! refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::fault;

/// Whether the newest request was answered by nobody, or by a service in trouble.
#[derive(Debug, Clone, Default)]
pub(super) struct Hearing(Arc<AtomicBool>);

impl Hearing {
    /// The same client, whose answers are noted.
    pub(super) fn of(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Heard { client, hearing: self.clone() })
    }

    /// Forgets what was heard; whether it may pass.
    pub(super) fn take_may_pass(&self) -> bool {
        self.0.swap(false, Relaxed)
    }
}

#[derive(Debug)]
struct Heard {
    client: SharedHttpClient,
    hearing: Hearing,
}

impl HttpClient for Heard {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(HeardConnector { connector, hearing: self.hearing.clone() })
    }
}

#[derive(Debug)]
struct HeardConnector {
    connector: SharedHttpConnector,
    hearing: Hearing,
}

impl HttpConnector for HeardConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connector, hearing) = (self.connector.clone(), self.hearing.clone());
        HttpConnectorFuture::new(async move {
            // Whoever gives up waiting leaves it at this.
            hearing.0.store(true, Relaxed);
            let answer = connector.call(request).await;
            let may_pass = match &answer {
                Ok(answer) => matches!(answer.status().as_u16(), 408 | 425 | 429 | 500 | 502..=599),
                // A bad certificate is a setting.
                Err(error) => !error.is_user() && fault::find::<rustls::Error>(error).is_none(),
            };
            hearing.0.store(may_pass, Relaxed);
            answer
        })
    }
}
