//! Starting the other programs, and passing on what they say.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::show::say;

const BUCKET: &str = "demo";
const ACCESS_KEY: &str = "demo";
const SECRET_KEY: &str = "demo-secret";

/// A command whose end is the demo's business: it is in a process group of its
/// own, so that Ctrl-C reaches the demo alone, which then ends it in order.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    command
}

pub(crate) fn spawn(name: &str, command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| {
        let program = command.as_std().get_program().to_string_lossy();
        format!("cannot start {name} ({program})")
    })
}

/// A line of a log as people want it beside the seconds of the demo.
fn without_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, rest)) if time.len() > 20 && time.starts_with("20") && time.ends_with('Z') => rest.trim_start(),
        _ => line,
    }
}

/// Passes the lines of `from` on with the tool's name before them, except those
/// that `keep` refuses.
pub(crate) fn pass_on<R>(
    name: &'static str,
    from: R,
    mut keep: impl FnMut(&str) -> bool + Send + 'static,
) -> JoinHandle<()>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        // Bytes, not strings: a tool may print what is not UTF-8.
        while matches!(from.read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if !text.is_empty() && keep(text) {
                say!("{name:>6} | {}", without_time(text));
            }
            line.clear();
        }
    })
}

/// Waits for a program, but not for ever.
pub(crate) async fn finish(name: &str, child: &mut Child, patience: Duration) -> Result<ExitStatus> {
    let Ok(status) = timeout(patience, child.wait()).await else {
        child.start_kill().ok();
        bail!("{name} had not ended after {} s more", patience.as_secs());
    };
    status.with_context(|| format!("cannot wait for {name}"))
}

/// The programs of this build, beside which the demo itself lies.
pub(crate) struct Built {
    pub(crate) writer: PathBuf,
    pub(crate) reader: PathBuf,
    local_store: PathBuf,
}

impl Built {
    pub(crate) fn find() -> Result<Self> {
        let me = std::env::current_exe().context("cannot tell where this program lies")?;
        let examples = me.parent().context("this program lies nowhere")?;
        let release = examples.parent().unwrap_or(examples);
        let existing = |path: PathBuf| {
            if path.is_file() {
                Ok(path)
            } else {
                bail!("{} is not built; start the demo with `make demo`", path.display())
            }
        };
        Ok(Self {
            writer: existing(release.join("writer"))?,
            reader: existing(release.join("reader"))?,
            local_store: existing(examples.join("local_store"))?,
        })
    }
}

/// A local store in a directory that goes away with it.
pub(crate) struct Store {
    pub(crate) url: String,
    child: Child,
    dir: TempDir,
}

impl Store {
    pub(crate) async fn start(built: &Built) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("live-read-demo-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        let mut command = command(&built.local_store);
        command
            .arg("--dir")
            .arg(dir.path().join("store"))
            .args(["--listen", "127.0.0.1:0"])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .args(["--bucket", BUCKET]);
        let mut child = spawn("local_store", &mut command)?;
        if let Some(stderr) = child.stderr.take() {
            pass_on("store", stderr, |_| true);
        }
        let stdout = child.stdout.take().context("local_store has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = timeout(Duration::from_secs(20), async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("listening on ") {
                    return anyhow::Ok(url.trim().to_owned());
                }
            }
            bail!("local_store ended before it was listening")
        })
        .await
        .context("local_store did not say where it listens")??;
        pass_on("store", lines.into_inner(), |_| true);
        Ok(Self { url, child, dir })
    }

    /// Points a tool at this store, and at nothing else.
    pub(crate) fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("BUCKET_NAME", BUCKET)
            // Not where somebody's .env lies.
            .current_dir(self.dir.path())
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::without_time;

    #[test]
    fn the_time_of_a_log_is_left_out_and_nothing_else() {
        for (line, shown) in [
            (
                "2026-11-22T09:57:27.651784Z  INFO uploading to s3://demo/demo.mp4",
                "INFO uploading to s3://demo/demo.mp4",
            ),
            ("uploading to s3://demo/demo.mp4", "uploading to s3://demo/demo.mp4"),
            ("2026 frames", "2026 frames"),
            ("", ""),
        ] {
            assert_eq!(without_time(line), shown);
        }
    }
}
