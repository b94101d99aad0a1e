//! Asks somebody else by HTTP whether a stream may be published, and tells him what becomes of it. Whoever cannot be asked has
//! not agreed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::question::{Form, Question, Reply, Verdict};
use crate::store::tls::authorities;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const MOST: usize = 4 << 10;
/// The shortest secret.
const SHORTEST: usize = 16;

/// Where to ask, and the secret by which it is known who asks.
#[derive(Clone)]
pub struct Hook {
    uri: Uri,
    /// None where it knows nothing of such.
    secret: Option<Arc<[u8]>>,
    form: Form,
    /// Whom to trust, for https.
    trust: Option<Arc<ClientConfig>>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Hook {
    /// Somebody at this address, who shows a certificate of an authority of the machine or of `bundle`. With `form` he is asked as
    /// nginx-rtmp asks, and needs no secret.
    ///
    /// # Errors
    /// In words, without the secret, and without what may be one in the URL.
    pub fn new(url: &str, secret: Option<&str>, bundle: Option<&Path>, form: bool) -> Result<Self, String> {
        let bad = || "it looks like https://HOST/PATH".to_owned();
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let named =
            uri.host().is_some_and(|host| !host.is_empty()) && matches!(uri.scheme_str(), Some("http" | "https"));
        if !named || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(bad());
        }
        let secret = secret.map(str::trim);
        if secret.is_some_and(|secret| secret.len() < SHORTEST) {
            return Err(format!("its secret has {SHORTEST} characters or more; `openssl rand -hex 32` makes one"));
        }
        let secure = uri.scheme_str() == Some("https");
        let trust = secure.then(|| trust(bundle)).transpose().map_err(|error| error.to_string())?;
        let secret = secret.map(|secret| secret.as_bytes().into());
        let form = if form { Form::Fields } else { Form::Json };
        Ok(Self { uri, secret, form, trust: trust.map(Arc::new) })
    }

    /// Asks whether a stream may be published.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Verdict {
        let body = match self.form {
            Form::Json => question.json(),
            Form::Fields => question.form(),
        };
        match timeout(PATIENCE, self.answer(body)).await {
            Ok(Ok(reply)) => reply.verdict(self.form),
            Ok(Err(error)) => Verdict::Silent(error.to_string()),
            Err(_) => Verdict::Silent(late()),
        }
    }

    /// Whether it understands more than that question.
    pub(super) fn hears(&self) -> bool {
        self.form == Form::Json
    }

    /// Tells it something, which is JSON; in words, why it has not heard that.
    pub(super) async fn tell(&self, body: String) -> Result<(), String> {
        match timeout(PATIENCE, self.answer(body)).await {
            // Whatever it thinks of that.
            Ok(Ok(Reply { status: 200..=499, .. })) => Ok(()),
            Ok(Ok(Reply { status, .. })) => Err(format!("it answered with status {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(late()),
        }
    }

    async fn answer(&self, body: String) -> Result<Reply, Failed> {
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.uri.port_u16().unwrap_or(if self.trust.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        match &self.trust {
            Some(trust) => {
                let name = ServerName::try_from(host.to_owned())?;
                self.sent(TlsConnector::from(trust.clone()).connect(name, stream).await?, body).await
            }
            None => self.sent(stream, body).await,
        }
    }

    async fn sent<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        body: String,
    ) -> Result<Reply, Failed> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let kind = match self.form {
            Form::Json => "application/json",
            Form::Fields => "application/x-www-form-urlencoded",
        };
        let mut request = Request::post(path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(CONTENT_TYPE, kind)
            .header(USER_AGENT, concat!("live-read/", env!("CARGO_PKG_VERSION")));
        if let Some(secret) = &self.secret {
            let signature = signature(secret, time, &body)?;
            request =
                request.header("x-live-read-timestamp", time.to_string()).header("x-live-read-signature", signature);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let location = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned);
        let words = Limited::new(answer.into_body(), MOST).collect().await;
        driven.abort();
        let words = words.map(|words| String::from_utf8_lossy(&words.to_bytes()).into_owned());
        Ok(Reply { status, location, body: words.unwrap_or_default() })
    }
}

/// Of a time and a body, in hexadecimal.
fn signature(secret: &[u8], time: u64, body: &str) -> Result<String, Failed> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    mac.update(format!("{time}.{body}").as_bytes());
    Ok(hex::encode(mac.finalize().into_bytes()))
}

fn late() -> String {
    format!("it did not answer in {} s", PATIENCE.as_secs())
}

/// The authorities that the system trusts; with those of `bundle`, since whoever answers may be of the same house as a store
/// that nobody else has certified, or anybody else.
fn trust(bundle: Option<&Path>) -> Result<ClientConfig, Failed> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = bundle {
        roots.add_parsable_certificates(authorities(path)?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::tool::certificate::{Certificate, Tls};

    const SECRET: &str = "0123456789abcdef";

    #[test]
    fn a_signature_is_of_the_time_and_the_body() {
        let of = |time| signature(SECRET.as_bytes(), time, "{}").expect("a signature");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(of(1_700_000_000), "e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e");
        assert_ne!(of(1_700_000_001), of(1_700_000_000));
    }

    #[test]
    fn what_is_no_hook_is_refused_without_its_secrets() {
        for url in ["", "ftp://h/", "h/x", "http://", "http://u:s3cret@h/"] {
            let refused = Hook::new(url, Some(SECRET), None, false).expect_err(url);
            assert!(!refused.contains("s3cret"), "{refused}");
        }
        assert!(
            Hook::new("https://h/x?token=y", Some("s3cret"), None, false).is_err_and(|why| !why.contains("s3cret"))
        );
        assert!(!format!("{:?}", Hook::new("https://h/s3cret", Some(SECRET), None, false)).contains("s3cret"));
    }
    #[tokio::test]
    async fn whoever_answers_may_be_certified_by_the_authority_that_the_store_is() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let dir = tempfile::tempdir().expect("a directory");
        let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        let tls = Tls::load(Certificate { chain: chain.clone(), key }, &[]).expect("it loads");
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}/may", socket.local_addr().expect("an address").port());
        let answering = tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.expect("somebody asks");
                let Ok(mut stream) = tls.acceptor().accept(stream).await else { continue };
                let mut asked = [0; 4096];
                assert!(stream.read(&mut asked).await.is_ok_and(|count| count > 0));
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("it is told");
            }
        });
        let hook = |bundle: Option<&Path>| Hook::new(&url, Some(SECRET), bundle, false).expect("a hook");
        let said = hook(None).tell("{}".to_owned()).await;
        assert!(said.as_ref().is_err_and(|why| why.contains("certificate")), "{said:?}");
        assert_eq!(hook(Some(&chain)).tell("{}".to_owned()).await, Ok(()));
        assert!(Hook::new(&url, Some(SECRET), Some(dir.path()), false).is_err_and(|why| why.contains("AWS_CA_BUNDLE")));
        answering.abort();
    }
}
