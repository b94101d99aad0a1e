//! TLS with certificates of the store's own: an authority, and a certificate by it for this machine.
//!
//! They are made at the first start and stay with the data, so that clients that trust the authority also trust a store
//! that has been started again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Name in the directory of the data.
const FILE: &str = "tls.json";
/// How long certificates are good for: no client takes one for ever.
const DAYS: i64 = 365;

/// What is kept, all of it in PEM.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    authority: String,
    certificate: String,
    key: String,
    /// What the certificate is for.
    names: Vec<String>,
    /// Until when it is good, in seconds since 1970.
    until: i64,
}

/// A name that only a proxy can know, and no name service: tools go to `localhost` without any.
const BEHIND_A_PROXY: &str = "store.example.test";

/// Takes connections with the certificate in `dir`, which is made if there is none, for `address` and this machine's own
/// names; writes the authority that clients have to trust to `ca_file`.
pub fn acceptor(dir: &Path, address: IpAddr, ca_file: &Path) -> anyhow::Result<TlsAcceptor> {
    let mut names = ["localhost", "127.0.0.1", "::1", BEHIND_A_PROXY].map(str::to_owned).to_vec();
    let address = address.to_string();
    if !names.contains(&address) {
        names.push(address);
    }
    let identity = match kept(dir)?.filter(|kept| kept.names == names && kept.until > now() + 86_400) {
        Some(identity) => identity,
        None => make(dir, names)?,
    };
    fs::write(ca_file, &identity.authority)
        .with_context(|| format!("writing the authority to {}", ca_file.display()))?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn kept(dir: &Path) -> anyhow::Result<Option<Identity>> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn make(dir: &Path, names: Vec<String>) -> anyhow::Result<Identity> {
    let (from, until) =
        (OffsetDateTime::now_utc() - Duration::days(1), OffsetDateTime::now_utc() + Duration::days(DAYS));
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "local_store authority");
    (authority.not_before, authority.not_after) = (from, until);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(names.clone())?;
    server.distinguished_name.push(DnType::CommonName, "local_store");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (from, until);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?;

    let identity = Identity {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        names,
        until: until.unix_timestamp(),
    };
    let path = dir.join(FILE);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(&serde_json::to_vec(&identity)?).with_context(|| format!("writing {}", path.display()))?;
    Ok(identity)
}
