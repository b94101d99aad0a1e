//! What the tests stand on: a local store in a process of its own, and bare requests to it.

// Each test file uses a part of this.
#![allow(dead_code)]

pub mod admin;
pub mod encoder;
pub mod forward;
pub mod independent;
pub mod keys;
pub mod lab;
pub mod ladder;
pub mod liar;
pub mod media;
pub mod playlist;
pub mod proxy;
pub mod pusher;
pub mod recording;
pub mod redis;
pub mod run;
pub mod s3;
pub mod scene;
pub mod trouble;
pub mod wire;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    retry::RetryConfig,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use serde_json::Value;

/// Access key of [`Store`].
pub const ACCESS_KEY: &str = "local";
/// Secret key of [`Store`].
pub const SECRET_KEY: &str = "local-secret";
/// Private bucket that every [`Store`] has.
pub const BUCKET: &str = "bucket";
/// Public bucket that every [`Store`] has.
pub const PUBLIC_BUCKET: &str = "public-bucket";
/// The smallest part size of Live Read.
pub const PART: usize = 5_000_000;

/// A local store on a free port, with its data in a directory that goes with it. Killed on drop.
#[derive(Debug)]
pub struct Store {
    dir: tempfile::TempDir,
    args: Vec<String>,
    child: Child,
    endpoint: String,
    control: String,
}

impl Store {
    /// A store with [`BUCKET`] and [`PUBLIC_BUCKET`].
    pub fn start() -> Self {
        Self::with_args(&[])
    }

    /// The same with more arguments.
    pub fn with_args(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (child, endpoint, control) = spawn(dir.path(), "127.0.0.1:0", &args);
        Self { dir, args, child, endpoint, control }
    }

    /// A store that speaks TLS, with a certificate that [`Store::env`] makes the tools trust.
    pub fn with_tls(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let authority = dir.path().join(AUTHORITY).display().to_string();
        let args: Vec<_> = args.iter().copied().chain(["--tls", &authority]).map(str::to_owned).collect();
        let (child, endpoint, control) = spawn(dir.path(), "127.0.0.1:0", &args);
        Self { dir, args, child, endpoint, control }
    }

    /// The certificate of the authority that has to be trusted, of a store that speaks TLS.
    pub fn authority(&self) -> Option<PathBuf> {
        self.endpoint.starts_with("https://").then(|| self.dir.path().join(AUTHORITY))
    }

    /// Kills the store (as `kill -9` does) and starts it again on the same data and the same port.
    pub fn restart(&mut self) {
        self.kill();
        let address = address_of(&self.endpoint).to_owned();
        let (child, endpoint, control) = spawn(self.dir.path(), &address, &self.args);
        (self.child, self.endpoint, self.control) = (child, endpoint, control);
    }

    /// Kills the store; its data stay.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the store");
        self.child.wait().expect("wait for the store");
    }

    /// Sends the store a signal (`TERM`, `INT`) and gives the status with which it ends.
    pub fn signal(&mut self, name: &str) -> ExitStatus {
        let mut kill = Command::new("kill");
        let sent = kill.args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill").success());
        self.child.wait().expect("wait for the store")
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Address of the control API.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// Where the data and the log are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The environment that points an AWS tool, `writer` and `reader` at the store, and nowhere else.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let nowhere = self.dir.path().join("no-such-file").display().to_string();
        let trusted = self.authority().map(|file| ("AWS_CA_BUNDLE", file.display().to_string()));
        let fixed = [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_CONFIG_FILE", nowhere.clone()),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required".to_owned()),
            ("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required".to_owned()),
            ("BUCKET_NAME", BUCKET.to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
            // Where input waits and is kept.
            ("XDG_STATE_HOME", self.dir.path().display().to_string()),
        ];
        fixed.into_iter().chain(trusted).collect()
    }

    /// A command that is pointed at the store, whatever the environment of the test says.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in ["AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.envs(self.env());
        command
    }

    /// An SDK client with the main key, set as for Backblaze B2, that does not retry.
    pub fn client(&self) -> Client {
        self.client_as(ACCESS_KEY, SECRET_KEY)
    }

    /// The same with another key.
    pub fn client_as(&self, access: &str, secret: &str) -> Client {
        self.client_in("us-east-1", access, secret)
    }

    /// The same for another region.
    pub fn client_in(&self, region: &'static str, access: &str, secret: &str) -> Client {
        client_of(&self.endpoint, region, (access, secret), self.authority().as_deref())
    }

    /// Puts these fault rules in force in place of those before (see `examples/local_store/faults.rs`).
    pub fn faults(&self, rules: &Value) {
        let (status, answer) = http(&self.control, "PUT", "/faults", &[], rules.to_string().as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }

    /// Puts more rules in force, behind those that are.
    pub fn add_faults(&self, rules: &Value) {
        let (status, answer) = http(&self.control, "POST", "/faults", &[], rules.to_string().as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }

    /// A count of the rule with this index.
    fn told(&self, rule: usize, count: &str) -> u64 {
        let (status, answer) = http(&self.control, "GET", "/faults", &[], &[]);
        assert_eq!(status, 200);
        let told: Value = serde_json::from_slice(&answer).expect("what became of the rules");
        told[rule][count].as_u64().expect("a rule with this index")
    }

    /// How often the rule with this index has acted.
    pub fn acted(&self, rule: usize) -> u64 {
        self.told(rule, "acted")
    }

    /// Of how many requests on which the rule has acted the work is done.
    pub fn done(&self, rule: usize) -> u64 {
        self.told(rule, "done")
    }

    /// Waits until the rule with this index has acted so often.
    #[track_caller]
    pub fn wait_acted(&self, rule: usize, times: u64) {
        run::await_that("a fault that acts", || self.acted(rule) >= times);
    }

    /// Waits until so many requests on which the rule acted are with the store whole, to be worked on later.
    #[track_caller]
    pub fn wait_taken(&self, rule: usize, times: u64) {
        run::await_that("a body that is taken", || self.told(rule, "taken") >= times);
    }

    /// Waits until the work of so many of the requests on which the rule has acted is done.
    #[track_caller]
    pub fn wait_done(&self, rule: usize, times: u64) {
        run::await_that("work that is done in spite of a fault", || self.told(rule, "done") >= times);
    }

    /// No faults any more.
    pub fn clear_faults(&self) {
        let (status, _) = http(&self.control, "DELETE", "/faults", &[], &[]);
        assert_eq!(status, 200);
    }

    /// Waits until all has landed that was sent by somebody who may be gone (`late-put`).
    #[track_caller]
    pub fn wait_landed(&self) {
        run::await_that("the last late PUT", || http(&self.control, "GET", "/late", &[], &[]).1 == b"0");
    }

    /// Does something as of so long ago: what the store makes meanwhile has the dates of then.
    pub fn ago<T>(&self, age: Duration, what: impl FnOnce() -> T) -> T {
        self.set_behind(age);
        let done = what();
        self.set_behind(Duration::ZERO);
        done
    }

    /// Sets the store's clock behind, by so much: what it makes from now on has the dates of then.
    pub fn set_behind(&self, age: Duration) {
        let body = serde_json::json!({ "behind_ms": age.as_millis() as u64 }).to_string();
        let (status, answer) = http(&self.control, "PUT", "/clock", &[], body.as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }

    /// Makes the store differ in these points, and no others (see `examples/local_store/quirks.rs`).
    pub fn quirks(&self, names: &[&str]) {
        let list = serde_json::to_vec(names).expect("a list");
        let (status, answer) = http(&self.control, "PUT", "/quirks", &[], &list);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }

    /// Counts of answers by operation and status: `requests()["live"]["GetObject"]["416"]`.
    pub fn requests(&self) -> Value {
        let (status, answer) = http(&self.control, "GET", "/requests", &[], &[]);
        assert_eq!(status, 200);
        serde_json::from_slice(&answer).expect("counts")
    }

    /// Sets the counts to zero.
    pub fn clear_requests(&self) {
        let (status, _) = http(&self.control, "DELETE", "/requests", &[], &[]);
        assert_eq!(status, 200);
    }

    /// Lines of the request log so far.
    pub fn request_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(log_path(self.dir.path())).expect("the request log");
        // The store may be in the middle of the last line.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An SDK client of a store, which trusts this authority and does not retry.
pub fn client_of(
    endpoint: &str,
    region: &'static str,
    (access, secret): (&str, &str),
    authority: Option<&Path>,
) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client(authority))
        .endpoint_url(endpoint)
        .region(Region::new(region))
        .credentials_provider(Credentials::new(access, secret, None, None, "test"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

fn http_client(authority: Option<&Path>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    let Some(authority) = authority else {
        return builder.build_http();
    };
    let pem = std::fs::read(authority).expect("the authority");
    let context = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(pem)).build();
    let builder = builder.tls_provider(tls::Provider::Rustls(CryptoMode::Ring));
    builder.tls_context(context.expect("a context")).build_https()
}

/// Name of the file with the authority's certificate.
const AUTHORITY: &str = "authority.pem";

/// `HOST:PORT` of an endpoint.
pub fn address_of(endpoint: &str) -> &str {
    endpoint.trim_start_matches("http://").trim_start_matches("https://")
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("requests.jsonl")
}

/// `target/<profile>/examples/local_store`: `cargo test` builds the examples before it runs the tests, except when it is
/// told which tests to run (`--test NAME`); then `cargo build --example local_store` must come first.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let path = profile.join("examples").join("local_store");
    assert!(path.exists(), "{} is missing: cargo build --example local_store", path.display());
    path
}

fn spawn(dir: &Path, address: &str, args: &[String]) -> (Child, String, String) {
    let mut child = Command::new(binary())
        .arg("--dir")
        .arg(dir.join("data"))
        .args(["--listen", address, "--control", "127.0.0.1:0"])
        .args(["--bucket", BUCKET, "--public-bucket", PUBLIC_BUCKET])
        .arg("--request-log")
        .arg(log_path(dir))
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the local store");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut line = |start: &str| {
        let line = lines.next().expect("the store ended before it was ready").expect("a line");
        line.strip_prefix(start).unwrap_or_else(|| panic!("'{line}' instead of '{start}…'")).to_owned()
    };
    let endpoint = line("listening on ");
    let control = line("control on ");
    (child, endpoint, control)
}

/// A bare HTTP request, for what no client would send. Gives the status and the body.
pub fn http(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
    let (status, _, body) = http_full(base, method, path, headers, body);
    (status, body)
}

/// The same, with the head of the answer in lower case. The body is what came before the connection closed.
pub fn http_full(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String, Vec<u8>) {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("connect");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("send");
    let mut answer = Vec::new();
    // A connection that is cut has given what it had.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let body = answer.get(end + 4..).unwrap_or_default().to_vec();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head, body)
}

/// Whether this machine has a program that a test needs beside the tools. Without it the test is left out, loudly; where
/// everything must be tested (`CI` is set) that is a failure.
pub fn present(program: &str, args: &[&str]) -> bool {
    let runs = Command::new(program).args(args).output().is_ok_and(|output| output.status.success());
    let must = std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
    assert!(runs || !must, "`{program} {}` does not run on this machine, and CI is set", args.join(" "));
    if !runs {
        eprintln!("NOT TESTED: `{program} {}` does not run on this machine", args.join(" "));
    }
    runs
}

/// A certificate for this machine, which signs itself, and its key.
pub fn certificate(dir: &Path, name: &str) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = ["pem", "key"].map(|kind| dir.join(format!("{name}.{kind}")));
    std::fs::write(&files[0], made.cert.pem()).expect("a file");
    std::fs::write(&files[1], made.signing_key.serialize_pem()).expect("a file");
    files.map(|file| file.to_str().expect("a path").to_owned())
}

/// Bytes that look random and are the same each time.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}
