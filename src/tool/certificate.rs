//! The certificate that a listener shows, which is read again when its file changes, so that a renewed one needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Files of a certificate and its key, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those above it.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the certificate in {} with the key in {}: {reason}", files.chain.display(), files.key.display())]
pub struct CertificateError {
    /// The files.
    files: Certificate,
    /// Why not.
    reason: String,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Tls {
    files: Certificate,
    /// What is spoken above it, the first that both know; none: nothing is said about that.
    protocols: &'static [&'static [u8]],
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    changed: [Option<SystemTime>; 2],
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("changed", &self.changed).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn load(files: Certificate, protocols: &'static [&'static [u8]]) -> Result<Self, CertificateError> {
        let changed = changed(&files);
        match acceptor(&files, protocols) {
            Ok(acceptor) => Ok(Self { files, protocols, current: Mutex::new(Current { acceptor, changed }) }),
            Err(reason) => Err(CertificateError { files, reason }),
        }
    }

    /// With the certificate as it is now; as it was while the new one cannot be used.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = changed(&self.files);
        if now != current.changed {
            current.changed = now;
            match acceptor(&self.files, self.protocols) {
                Ok(acceptor) => current.acceptor = acceptor,
                Err(reason) => {
                    let chain = self.files.chain.display();
                    tracing::warn!(
                        "the certificate in {chain} has changed and cannot be used ({reason}); going on with the old one"
                    );
                }
            }
        }
        current.acceptor.clone()
    }
}

fn changed(files: &Certificate) -> [Option<SystemTime>; 2] {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    [changed(&files.chain), changed(&files.key)]
}

fn acceptor(files: &Certificate, protocols: &[&[u8]]) -> Result<TlsAcceptor, String> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", files.chain.display()))?;
    if chain.is_empty() {
        return Err(format!("there is no certificate in {}", files.chain.display()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| format!("{}: {error}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
