//! Whom to trust over TLS: the machine's own authorities, or those in the file that AWS_CA_BUNDLE names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The file that whoever started the program has named.
pub(crate) fn bundle() -> Option<PathBuf> {
    std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The most that is read of the file; all authorities of a system are some 300 kB.
const BUNDLE_MAX: u64 = 16 << 20;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("AWS_CA_BUNDLE names {}, and {reason}. It has to be a file of certificates in PEM form", path.display())]
pub struct BundleError {
    path: PathBuf,
    reason: String,
}

/// Trust in the authorities of `bundle` and nobody else, as in every AWS tool; without one, in those of the machine.
///
/// # Errors
/// [`BundleError`] when the file has no certificate that can be read. The HTTP client would panic over it.
pub(super) fn context(bundle: Option<&Path>) -> Result<TlsContext, BundleError> {
    let Some(path) = bundle else { return Ok(TlsContext::default()) };
    let mut trusted = TrustStore::empty();
    for certificate in authorities(path)? {
        trusted.add_pem_certificate(pem(&certificate));
    }
    let fail = |reason: String| BundleError { path: path.to_owned(), reason };
    TlsContext::builder().with_trust_store(trusted).build().map_err(|error| fail(error.to_string()))
}

/// The authorities in a file.
///
/// # Errors
/// [`BundleError`] when there is none that can be read.
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, BundleError> {
    let fail = |reason: String| BundleError { path: path.to_owned(), reason };
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| fail(format!("it cannot be read: {error}")))?;
    file.take(BUNDLE_MAX).read_to_end(&mut text).map_err(|error| fail(format!("it cannot be read: {error}")))?;
    // One that cannot be parsed is left out, as among the machine's own.
    let is_good = |certificate: &CertificateDer<'_>| RootCertStore::empty().add(certificate.clone()).is_ok();
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().filter(is_good).collect();
    if found.is_empty() {
        return Err(fail("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

fn pem(certificate: &CertificateDer) -> String {
    let text = aws_smithy_types::base64::encode(certificate);
    let lines: Vec<String> = text.chars().collect::<Vec<_>>().chunks(64).map(|line| line.iter().collect()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISRG Root X2: small, public, and valid as an authority until 2040.
    const ROOT: &str = "-----BEGIN CERTIFICATE-----\n\
         MIICGzCCAaGgAwIBAgIQQdKd0XLq7qeAwSxs6S+HUjAKBggqhkjOPQQDAzBPMQsw\n\
         CQYDVQQGEwJVUzEpMCcGA1UEChMgSW50ZXJuZXQgU2VjdXJpdHkgUmVzZWFyY2gg\n\
         R3JvdXAxFTATBgNVBAMTDElTUkcgUm9vdCBYMjAeFw0yMDA5MDQwMDAwMDBaFw00\n\
         MDA5MTcxNjAwMDBaME8xCzAJBgNVBAYTAlVTMSkwJwYDVQQKEyBJbnRlcm5ldCBT\n\
         ZWN1cml0eSBSZXNlYXJjaCBHcm91cDEVMBMGA1UEAxMMSVNSRyBSb290IFgyMHYw\n\
         EAYHKoZIzj0CAQYFK4EEACIDYgAEzZvVn4CDCuwJSvMWSj5cz3es3mcFDR0HttwW\n\
         +1qLFNvicWDEukWVEYmO6gbf9yoWHKS5xcUy4APgHoIYOIvXRdgKam7mAHf7AlF9\n\
         ItgKbppbd9/w+kHsOdx1ymgHDB/qo0IwQDAOBgNVHQ8BAf8EBAMCAQYwDwYDVR0T\n\
         AQH/BAUwAwEB/zAdBgNVHQ4EFgQUfEKWrt5LSDv6kviejM9ti6lyN5UwCgYIKoZI\n\
         zj0EAwMDaAAwZQIwe3lORlCEwkSHRhtFcP9Ymd70/aTSVaYgLXTWNLxBo1BfASdW\n\
         tL4ndQavEi51mI38AjEAi/V3bNTIZargCyzuFJ0nN6T5U6VR5CmD1/iQMVtCnwr1\n\
         /q4AaOeMSQ+2b1tbFfLn\n\
         -----END CERTIFICATE-----\n\
         ";

    fn trust(text: &str) -> Result<TlsContext, BundleError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("write it");
        context(Some(file.path()))
    }

    #[test]
    fn certificates_are_taken_and_what_is_none_is_left_out() {
        assert!(context(None).is_ok());
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in [ROOT.to_owned(), format!("# comment\n{ROOT}{bad}{ROOT}")] {
            let debug = format!("{:?}", trust(&text).expect("a certificate"));
            assert!(debug.contains("enable_native_roots: false"), "{debug:.200}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_with_its_name() {
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "hello", bad] {
            assert!(trust(text).expect_err("none").to_string().contains("AWS_CA_BUNDLE"));
        }
        let missing = context(Some(Path::new("/no/such/file"))).expect_err("no file").to_string();
        assert!(missing.contains("/no/such/file") && missing.contains("PEM"), "{missing}");
    }
}
