//! Stores by others, each a process of its own on a free port, with a bucket: what our own store cannot tell, because the same
//! people wrote it.
//!
//! `scripts/install-deps.sh` installs moto and s3rver. A Ceph gateway is started by `make test-ceph`, which names it in
//! `LIVE_READ_CEPH` (endpoint, access key and secret, with spaces between).

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_sdk_s3::Client;
use tokio::runtime::Runtime;

use super::run::{Launch, await_that};
use super::{BUCKET, client_of};

/// A store of another make. Killed on drop.
#[derive(Debug)]
pub struct Independent {
    /// Where it answers.
    pub endpoint: String,
    keys: (String, String),
    dir: tempfile::TempDir,
    child: Option<Child>,
    runtime: Runtime,
}

impl Independent {
    /// moto, a simulation of AWS in Python; `None` where it is not installed.
    pub fn moto() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/stores/bin/moto_server");
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(installed(&program)?);
        command.args(["-H", "127.0.0.1", "-p", "0"]).current_dir(dir.path());
        let (child, address) = begin(command.stderr(Stdio::piped()), |child| child.stderr.take(), "Running on http://");
        Some(Self::ready(format!("http://{address}"), ("key", "secret"), dir, Some(child)))
    }

    /// s3rver, a small store in JavaScript; `None` where it is not installed.
    pub fn s3rver() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/stores/node_modules/s3rver/bin/s3rver.js");
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("node");
        command.arg(installed(&program)?).args(["-a", "127.0.0.1", "-p", "0", "-s", "-d"]).arg(dir.path());
        let (child, address) = begin(command.stdout(Stdio::piped()), |child| child.stdout.take(), "listening on ");
        Some(Self::ready(format!("http://{address}"), ("S3RVER", "S3RVER"), dir, Some(child)))
    }

    /// The Ceph gateway that somebody has started; `None` where nobody has.
    pub fn ceph() -> Option<Self> {
        let told = std::env::var("LIVE_READ_CEPH").ok()?;
        let mut words = told.split_whitespace();
        let mut word = || words.next().expect("LIVE_READ_CEPH: an endpoint, an access key and a secret").to_owned();
        let (endpoint, access, secret) = (word(), word(), word());
        Some(Self::ready(endpoint, (&access, &secret), tempfile::tempdir().expect("a directory"), None))
    }

    fn ready(endpoint: String, (access, secret): (&str, &str), dir: tempfile::TempDir, child: Option<Child>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let keys = (access.to_owned(), secret.to_owned());
        let store = Self { endpoint, keys, dir, child, runtime };
        // It has said where it listens, but may not answer yet.
        await_that("a bucket", || {
            let made = store.runtime.block_on(store.client().create_bucket().bucket(BUCKET).send());
            made.map_or_else(|error| error.into_service_error().is_bucket_already_owned_by_you(), |_| true)
        });
        store
    }

    /// An SDK client that does not retry.
    pub fn client(&self) -> Client {
        client_of(&self.endpoint, "us-east-1", (&self.keys.0, &self.keys.1), None)
    }

    /// Something to run the client on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A `writer` that is pointed at it, as people start it.
    pub fn writer(&self, args: &[&str]) -> Launch {
        self.point(Launch::bare_writer(args))
    }

    /// The same for a `reader`.
    pub fn reader(&self, args: &[&str]) -> Launch {
        self.point(Launch::bare_reader(args))
    }

    fn point(&self, launch: Launch) -> Launch {
        let launch =
            launch.key(&self.keys.0, &self.keys.1).cwd(self.dir.path()).env("AWS_ENDPOINT_URL", &self.endpoint);
        let launch = launch.env("AWS_REGION", "us-east-1").env("BUCKET_NAME", BUCKET).env("NO_PROXY", "127.0.0.1");
        launch.env("XDG_STATE_HOME", self.dir.path().as_os_str())
    }
}

impl Drop for Independent {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The program; `None`, said, where it is not installed. Under CI it has to be.
fn installed(program: &Path) -> Option<&Path> {
    if program.exists() {
        return Some(program);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: scripts/install-deps.sh test", program.display());
    eprintln!("skipped: {} is not installed (scripts/install-deps.sh test)", program.display());
    None
}

/// Starts a store and waits until it says where it listens: what stands behind `words` in a line. Its further lines are read
/// and dropped, so that it never waits for somebody to read them.
fn begin<R: Read + Send + 'static>(
    command: &mut Command,
    output: fn(&mut Child) -> Option<R>,
    words: &str,
) -> (Child, String) {
    let mut child = command.stdin(Stdio::null()).spawn().expect("start the store");
    let mut lines = BufReader::new(output(&mut child).expect("its output")).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, address) = line.split_once(words)?;
        Some(address.trim().to_owned())
    });
    let address = address.expect("the store ended before it was ready");
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (child, address)
}
