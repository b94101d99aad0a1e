//! The options of `writer` with many streams that are about who may ask it, and whom it asks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use crate::admin::gate::Gate;
use crate::ingest::Hook;
use crate::store::tls::bundle;

/// The longest file of a token or a secret.
const MOST: u64 = 4 << 10;

/// Options of administration.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Many streams", group = ArgGroup::new("many").multiple(true))]
pub struct AdminArgs {
    /// With --keys or --hook-form: where stream keys, what is recorded and figures for Prometheus can be asked for by HTTP, as in
    /// `127.0.0.1:8090`; /openapi.json tells how. Addresses of this machine only, unless there is a token
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, requires = "many")]
    pub admin: Option<SocketAddr>,

    /// A file with the token that whoever asks there needs
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub admin_token_file: Option<PathBuf>,

    /// With --keys: ask here, with a POST of JSON, before a stream is published; only a 2xx in 5 seconds allows it. Then tell there
    /// what becomes of it
    #[arg(long, value_name = "URL", requires = "many")]
    pub on_publish: Option<String>,

    /// A file with the secret that such questions are signed with (HMAC-SHA256)
    #[arg(long, value_name = "FILE", requires = "on_publish")]
    pub hook_secret_file: Option<PathBuf>,

    /// Ask as nginx-rtmp asks its on_publish, with the fields of a form; the secret is not needed then. Without --keys what
    /// encoders have as a stream key is asked about, and nothing else decides who may publish
    #[arg(long, requires = "on_publish", group = "many")]
    pub hook_form: bool,
}

impl AdminArgs {
    /// Where to be asked, and by whom.
    ///
    /// # Errors
    /// In words, for what does not go together, and for files that cannot be read.
    pub fn admin(&self) -> Result<Option<(SocketAddr, Gate)>, String> {
        let Some(address) = self.admin else { return Ok(None) };
        let Some(path) = &self.admin_token_file else {
            if !address.ip().is_loopback() {
                return Err(format!(
                    "--admin {address}: without --admin-token-file FILE only programs of this machine are answered; take \
                     127.0.0.1, or give a file with a token"
                ));
            }
            return Ok(Some((address, Gate::default())));
        };
        let gate = Gate::with_token(&secret(path, "--admin-token-file")?);
        gate.map(|gate| Some((address, gate)))
            .map_err(|why| format!("{} (--admin-token-file) cannot be used: {why}", path.display()))
    }

    /// Whom to ask whether a stream may be published.
    ///
    /// # Errors
    /// In words.
    pub fn hook(&self) -> Result<Option<Hook>, String> {
        let Some(url) = &self.on_publish else { return Ok(None) };
        let known = self.hook_secret_file.as_ref().map(|path| secret(path, "--hook-secret-file")).transpose()?;
        if known.is_none() && !self.hook_form {
            return Err(
                "--on-publish needs --hook-secret-file FILE, by which it is known who asks; or --hook-form".to_owned()
            );
        }
        let hook = Hook::new(url, known.as_deref(), bundle().as_deref(), self.hook_form);
        hook.map(Some).map_err(|why| format!("--on-publish cannot be asked: {why}"))
    }
}

/// What is in a file, of which others should not know.
fn secret(path: &Path, option: &str) -> Result<String, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("cannot read {shown} ({option}): {error}");
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if meta.len() > MOST {
        return Err(format!("{shown} ({option}) is too long"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&meta) & 0o044 != 0 {
        tracing::warn!("{shown} ({option}) can be read by others than its owner: chmod 600 keeps it to you");
    }
    std::fs::read_to_string(path).map_err(cannot)
}

/// `ADDRESS:PORT`, `:PORT` or `PORT`.
fn address(text: &str) -> Result<SocketAddr, String> {
    match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        Ok(port) => Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()),
        Err(_) => text.parse().map_err(|_| "an address looks like 127.0.0.1:8090".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_answered_only_with_a_token() {
        let admin = |text: &str, file: Option<&Path>| {
            let admin = Some(address(text)?);
            let args = AdminArgs { admin, admin_token_file: file.map(Path::to_owned), ..AdminArgs::default() };
            args.admin().map(|found| found.map(|(address, _)| address.to_string()))
        };
        let local = |text| Ok(Some(String::from(text)));
        assert_eq!(admin("8090", None), local("127.0.0.1:8090"));
        assert_eq!(admin(":0", None), local("127.0.0.1:0"));
        assert_eq!(admin("[::1]:8090", None), local("[::1]:8090"));
        assert!(admin("0.0.0.0:8090", None).is_err_and(|why| why.contains("--admin-token-file")));
        assert!(admin("somewhere", None).is_err());
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(admin("0.0.0.0:8090", Some(file.path())).is_err_and(|why| why.contains("token of 16")));
        std::fs::write(file.path(), "0123456789abcdef\n").expect("a token");
        assert_eq!(admin("0.0.0.0:8090", Some(file.path())), local("0.0.0.0:8090"));
        assert!(admin("8090", Some(Path::new("/nonexistent/token"))).is_err_and(|why| why.contains("/nonexistent")));
    }
}
