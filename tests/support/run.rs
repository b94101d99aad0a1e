//! The tools as processes: started with a clean environment, read all the time, and given up on after a deadline.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Store;

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A tool about to be started.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    words: String,
    read_stdout: bool,
}

impl Launch {
    /// A `writer` that is pointed at the store by its environment, and knows nothing else.
    pub fn writer(store: &Store, args: &[&str]) -> Self {
        Self::new("writer", env!("CARGO_BIN_EXE_writer"), args).at(store)
    }

    /// The same for a `reader`, which looks often so that tests are quick.
    pub fn reader(store: &Store, args: &[&str]) -> Self {
        let often = ["--poll-interval", "20ms"];
        let args: Vec<&str> =
            if args.contains(&"--poll-interval") { args.to_vec() } else { [args, &often[..]].concat() };
        Self::new("reader", env!("CARGO_BIN_EXE_reader"), &args).at(store)
    }

    /// A `writer` with an empty environment.
    pub fn bare_writer(args: &[&str]) -> Self {
        Self::new("writer", env!("CARGO_BIN_EXE_writer"), args)
    }

    /// A `reader` with an empty environment.
    pub fn bare_reader(args: &[&str]) -> Self {
        Self::new("reader", env!("CARGO_BIN_EXE_reader"), args)
    }

    fn new(name: &str, binary: &str, args: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command.args(args).env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, words: format!("{name} {}", args.join(" ")), read_stdout: true }
    }

    fn at(mut self, store: &Store) -> Self {
        // The tools themselves must know which checksums Backblaze B2 takes.
        let env = store.env().into_iter().filter(|(name, _)| !name.contains("CHECKSUM"));
        self.command.envs(env).current_dir(store.dir());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away.
    pub fn no_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the key of the store.
    pub fn key(self, access: &str, secret: &str) -> Self {
        self.env("AWS_ACCESS_KEY_ID", access).env("AWS_SECRET_ACCESS_KEY", secret)
    }

    /// Starts it in this directory.
    pub fn cwd(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Lets it begin with so many open files at most, of which it may allow itself more: as shells do it.
    pub fn with_files(self, most: u32) -> Self {
        self.by(&["/bin/sh", "-c", &format!("ulimit -Sn {most} && exec \"$0\" \"$@\"")])
    }

    /// Lets it hear that a terminal is closed, also where these tests run under nohup.
    pub fn with_hangups(self) -> Self {
        self.by(&["/usr/bin/env", "--default-signal=HUP"])
    }

    /// Has another program start it in its own place.
    fn by(mut self, words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command = command;
        self
    }

    /// Gives it another standard input than a pipe.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Leaves standard output to the test: see [`Run::stdout`].
    pub fn leave_stdout(mut self) -> Self {
        self.read_stdout = false;
        self
    }

    /// Gives it another standard error, of which nothing is read.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Run {
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.words));
        let (out, err) = (Arc::<Gathered>::default(), Arc::<Gathered>::default());
        let mut stdout = child.stdout.take();
        let mut threads = Vec::new();
        if let Some(stdout) = if self.read_stdout { stdout.take() } else { None } {
            threads.push(gather(stdout, &out));
        }
        if let Some(stderr) = child.stderr.take() {
            threads.push(gather(stderr, &err));
        }
        Run { stdin: child.stdin.take(), stdout, child, words: self.words, out, err, threads, feeder: None }
    }
}

/// What a stream of a tool has given so far.
#[derive(Debug, Default)]
struct Gathered {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Gathered {
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` likes what there is; false when the stream ends or the deadline passes first.
    fn wait(&self, mut ready: impl FnMut(&[u8]) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        loop {
            if ready(&state.0) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn gather(mut stream: impl Read + Send + 'static, into: &Arc<Gathered>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = stream.read(&mut buffer).unwrap_or(0);
            let mut state = into.lock();
            state.0.extend_from_slice(&buffer[..count]);
            state.1 = count == 0;
            into.changed.notify_all();
            if count == 0 {
                return;
            }
        }
    })
}

/// A running tool. Killed on drop.
#[derive(Debug)]
pub struct Run {
    child: Child,
    words: String,
    /// Its input, unless it is being fed.
    pub stdin: Option<ChildStdin>,
    /// Its output, if it was left to the test.
    pub stdout: Option<ChildStdout>,
    out: Arc<Gathered>,
    err: Arc<Gathered>,
    threads: Vec<JoinHandle<()>>,
    feeder: Option<JoinHandle<()>>,
}

/// How a tool ended.
#[derive(Debug)]
pub struct Outcome {
    words: String,
    /// Exit code, `None` after a signal that it did not catch.
    pub code: Option<i32>,
    /// All of its output.
    pub out: Vec<u8>,
    /// All of its messages.
    pub err: String,
}

impl Run {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Messages so far.
    pub fn messages(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().0).into_owned()
    }

    /// Output so far.
    pub fn output(&self) -> Vec<u8> {
        self.out.lock().0.clone()
    }

    /// Waits for a message with `text` in it, and gives all messages so far.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        let wanted = text.as_bytes();
        let seen = self.err.wait(|bytes| bytes.windows(wanted.len()).any(|window| window == wanted));
        assert!(seen, "no message '{text}' from {}", self.state());
        self.messages()
    }

    /// Waits until it has given this many bytes.
    pub fn wait_output(&self, count: usize) {
        let seen = self.out.wait(|bytes| bytes.len() >= count);
        assert!(seen, "{count} bytes did not come from {}", self.state());
    }

    /// Writes these bytes into its input and leaves that open.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut stdin = self.stdin.take().expect("standard input");
        let bytes = bytes.to_vec();
        let thread = std::thread::spawn(move || (stdin.write_all(&bytes).map_err(|error| error.to_string()), stdin));
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "the input was not taken by {}", self.state());
            std::thread::sleep(Duration::from_millis(1));
        }
        let (written, stdin) = thread.join().expect("the feeding thread");
        written.unwrap_or_else(|error| panic!("{error} from {}", self.state()));
        self.stdin = Some(stdin);
    }

    /// Whether nothing of what was written is still in the pipe.
    pub fn has_taken_all(&self) -> bool {
        self.stdin.as_ref().is_none_or(|stdin| rustix::io::ioctl_fionread(stdin).expect("a pipe") == 0)
    }

    /// Feeds it in the background and closes its input after that.
    pub fn feed(&mut self, bytes: Vec<u8>) {
        if let Some(mut stdin) = self.stdin.take() {
            // A tool that has failed takes no more.
            self.feeder = Some(std::thread::spawn(move || drop(stdin.write_all(&bytes))));
        }
    }

    /// Feeds it without an end, for as long as it lives; tells how much it has taken.
    pub fn feed_forever(&mut self) -> Arc<AtomicU64> {
        let taken = Arc::<AtomicU64>::default();
        let mut stdin = self.stdin.take().expect("standard input");
        let told = Arc::clone(&taken);
        self.feeder = Some(std::thread::spawn(move || {
            let bytes = super::bytes(7, 1 << 16);
            while let Ok(count) = stdin.write(&bytes) {
                told.fetch_add(count as u64, Relaxed);
            }
        }));
        taken
    }

    /// Sends it a signal by its short name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} of {}", self.state());
    }

    /// `kill -9`. It is still to be waited for.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the tool");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at the tool").is_none()
    }

    /// The most memory that it has held, in bytes, without the pages of the program itself: those are more the less it was
    /// optimised, and are the system's to take back.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the tool's status");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
        };
        bytes("VmHWM:").saturating_sub(bytes("RssFile:"))
    }

    /// Processor time that it has used, in clock ticks of a hundredth of a second.
    pub fn processor_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the tool's statistics");
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        [11, 12].iter().map(|at: &usize| fields[*at].parse::<u64>().expect("a number")).sum()
    }

    /// How often its threads have been woken up, or have been stopped while they had work.
    pub fn wakes(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the tool's threads");
        let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let number = |line: &str| line.split_whitespace().last().and_then(|count| count.parse::<u64>().ok());
        let count = |status: String| -> u64 {
            status.lines().filter(|line| line.contains("ctxt_switches")).filter_map(number).sum()
        };
        tasks.filter_map(Result::ok).map(status).map(count).sum()
    }

    /// Closes its input and waits for its end.
    pub fn end(mut self) -> Outcome {
        drop(self.stdin.take());
        self.wait()
    }

    /// Feeds it, closes its input, and waits for its end.
    pub fn end_with(mut self, input: &[u8]) -> Outcome {
        self.feed(input.to_vec());
        self.end()
    }

    /// Waits for its end, with its input left as it is.
    pub fn wait(mut self) -> Outcome {
        let status = self.wait_exit();
        drop(self.stdout.take());
        for thread in self.threads.drain(..) {
            thread.join().expect("a reading thread");
        }
        let out = std::mem::take(&mut self.out.lock().0);
        Outcome { words: self.words.clone(), code: status.code(), out, err: self.messages() }
    }

    fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the tool") {
                return status;
            }
            assert!(Instant::now() < deadline, "no end of {}", self.state());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn state(&self) -> String {
        format!("`{}`\nbytes on stdout: {}\nstderr:\n{}", self.words, self.out.lock().0.len(), self.messages())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// For the message of a failed assertion.
    pub fn state(&self) -> String {
        format!(
            "`{}`\nexit code: {:?}\nbytes on stdout: {}\nstderr:\n{}",
            self.words,
            self.code,
            self.out.len(),
            self.err
        )
    }

    /// What was started.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// It ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.state());
        assert!(!self.err.contains("panicked"), "a panic of {}", self.state());
        self
    }

    /// Its messages say this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "nothing of '{text}' in {}", self.state());
        self
    }

    /// Its messages do not say this.
    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        assert!(!self.err.contains(text), "'{text}' in {}", self.state());
        self
    }

    /// It gave exactly these bytes.
    #[track_caller]
    pub fn gave(self, bytes: &[u8]) -> Self {
        assert_same(&self.out, bytes, &self.state());
        self
    }

    /// Messages of this level.
    pub fn count(&self, level: &str) -> usize {
        // Most tests use parts of 5,000,000 bytes, of which stores without Live Read are warned.
        let lines = self.err.lines().filter(|line| !line.contains("bytes are less than most stores take"));
        lines.filter(|line| line.split_whitespace().any(|word| word == level)).count()
    }

    /// It failed with one message that names the object.
    #[track_caller]
    pub fn failed_with_one_message(self, object: &str) -> Self {
        let this = self.code(1);
        assert_eq!(this.count("ERROR"), 1, "not one message of failure from {}", this.state());
        this.says(object)
    }
}

/// Two long stretches of bytes are the same; says where they differ instead of printing them.
#[track_caller]
pub fn assert_same(have: &[u8], want: &[u8], state: &str) {
    if have != want {
        let at = have.iter().zip(want).take_while(|(a, b)| a == b).count();
        panic!("{} bytes instead of {}, different from byte {at} on: {state}", have.len(), want.len());
    }
}

/// Waits until `ready` gives something.
#[track_caller]
pub fn await_some<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `ready` is true.
#[track_caller]
pub fn await_that(what: &str, mut ready: impl FnMut() -> bool) {
    await_some(what, || ready().then_some(()));
}
