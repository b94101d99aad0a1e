//! A writer and several readers through random faults, kills and resumes, on a schedule that a seed repeats: the object and
//! every copy have the SHA-256 of the input.
//!
//! `make soak MINUTES=5 SEED=1` runs it for long; a short one with a fixed seed and one with a random seed belong to the
//! tests.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::proxy::{Proxy, Weather};
use crate::support::s3::{self, Ask};
use crate::support::{PART, Store, bytes};
use fastrand::Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

/// How long a round may take after its last fault.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_short_soak_with_a_fixed_seed() {
    soak(20, Duration::from_secs(12));
}

#[test]
fn a_short_soak_with_a_random_seed() {
    soak(fastrand::u64(..1_000_000), Duration::from_secs(12));
}

#[test]
#[ignore = "takes as long as SOAK_MINUTES says: make soak MINUTES=5"]
fn a_long_soak() {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let minutes: f64 = set("SOAK_MINUTES").map_or(5.0, |text| text.parse().expect("MINUTES: a number"));
    let seed =
        set("SOAK_SEED").map_or_else(|| fastrand::u64(..1_000_000), |text| text.parse().expect("SEED: a number"));
    soak(seed, Duration::from_secs_f64(minutes * 60.0));
}

/// Rounds until the time is up, at least one.
fn soak(seed: u64, time: Duration) {
    // Past the capture of the test runner: the seed is wanted after a pass, too.
    drop(writeln!(std::io::stderr(), "soak with seed {seed}: make soak SEED={seed}"));
    let began = Instant::now();
    let mut told = began;
    let mut random = Rng::with_seed(seed);
    let mut totals = Totals::default();
    loop {
        let round_seed = random.u64(..);
        Round::new(seed, totals.rounds, round_seed).run(&mut totals);
        totals.rounds += 1;
        if told.elapsed() >= Duration::from_secs(30) {
            println!("after {:.0} s: {totals:?}", began.elapsed().as_secs_f64());
            told = Instant::now();
        }
        if began.elapsed() >= time {
            break;
        }
    }
    println!("soak with seed {seed}: {totals:?} in {:.0} s", began.elapsed().as_secs_f64());
}

/// The file that a writer follows, in the store's directory.
const FOLLOWED: &str = "recording";

/// What a soak did.
#[derive(Debug, Default)]
struct Totals {
    rounds: usize,
    bytes: usize,
    faults: usize,
    kills: usize,
    connections_struck: u64,
}

/// A tool that runs in the background, with its messages in a file.
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(store: &Store, name: &str, binary: &str, args: &[String], input: Stdio) -> Self {
        let log = store.dir().join(format!("{name}.log"));
        let messages = File::options().create(true).append(true).open(&log).expect("a file for the messages");
        let mut command = store.command(binary);
        command.args(args).current_dir(store.dir()).stdin(input).stdout(Stdio::null()).stderr(messages);
        let child = command.spawn().expect("start the tool");
        Self { name: name.to_owned(), child, log }
    }

    fn messages(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The exit code, once it has ended.
    fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("look at the tool").map(|status| status.code())
    }

    /// `kill -9`, unless it has ended by itself.
    fn kill(&mut self) -> bool {
        let running = self.ended().is_none();
        drop(self.child.kill());
        drop(self.child.wait());
        running
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One object through its life.
struct Round {
    /// For messages: how to repeat it.
    name: String,
    random: Rng,
    store: Store,
    /// The networks of the writer and of the readers.
    networks: [Proxy; 2],
    key: String,
    data: Vec<u8>,
    /// Whether the writer follows a file, and is killed and resumed; else it reads a pipe.
    followed: bool,
    writers: usize,
}

impl Round {
    fn new(seed: u64, number: usize, round_seed: u64) -> Self {
        let mut random = Rng::with_seed(round_seed);
        let length = random.usize(2 * PART..6 * PART);
        let store = Store::start();
        let networks = [(); 2].map(|()| Proxy::before(store.endpoint()));
        let (name, key) = (format!("seed {seed}, round {number}"), "soak/stream.mp4".to_owned());
        let followed = random.bool();
        Self { name, data: bytes(round_seed, length), random, store, networks, key, followed, writers: 0 }
    }

    fn run(mut self, totals: &mut Totals) {
        let mut writer = self.start_writer(false);
        let id = self.upload_id(&mut writer);
        let readers = self.random.usize(2..5);
        let mut readers: Vec<_> = (0..readers).map(|number| self.reader(number, &id)).collect();
        let feeder = self.feed(&mut writer);
        let last_fault = Instant::now() + Duration::from_millis(self.random.u64(1500..4000));
        while Instant::now() < last_fault {
            std::thread::sleep(Duration::from_millis(self.random.u64(10..300)));
            match self.random.u32(..20) {
                0..9 => {
                    let weather = self.weather();
                    let network = self.random.usize(..2);
                    self.networks[network].set(weather);
                    std::thread::sleep(Duration::from_millis(self.random.u64(20..600)));
                    self.networks[network].set(Weather::Fine);
                    totals.faults += 1;
                }
                9..13 => {
                    let rules: Vec<Value> = (0..self.random.usize(1..4)).map(|_| self.rule()).collect();
                    totals.faults += rules.len();
                    self.store.faults(&Value::Array(rules));
                }
                14..16 if self.followed => {
                    totals.kills += usize::from(writer.kill());
                    writer = self.start_writer(true);
                }
                13 => {
                    self.store.kill();
                    std::thread::sleep(Duration::from_millis(self.random.u64(1..1000)));
                    self.store.restart();
                    totals.kills += 1;
                }
                _ => {
                    let chosen = self.random.usize(..readers.len());
                    totals.kills += usize::from(readers[chosen].0.kill());
                    // A reader that had finished finds that nothing is missing.
                    self.restart(&mut readers[chosen]);
                }
            }
        }
        self.store.clear_faults();
        if let Some(feeder) = feeder {
            feeder.join().expect("the feeding thread");
        }
        let end = Instant::now() + PATIENCE;
        if self.followed {
            // The file grows no more, which only a person can say.
            self.upload_id(&mut writer);
            let interrupt = std::process::Command::new("kill").args(["-INT", &writer.child.id().to_string()]).status();
            assert!(interrupt.expect("kill").success(), "{}: the writer is gone\n{}", self.name, writer.messages());
        }
        self.wait(&mut writer, end);
        for (reader, _) in &mut readers {
            self.wait(reader, end);
        }
        let wanted = hash(&self.data);
        let runtime = Runtime::new().expect("a runtime");
        let object =
            runtime.block_on(s3::get(&self.store.client(), &self.key, None, Ask::All, false)).expect("the object");
        assert_eq!(hash(&object.body), wanted, "{}: the object\n{}", self.name, writer.messages());
        for (reader, args) in &readers {
            let copy = std::fs::read(self.store.dir().join(&args[1])).expect("the copy");
            let state =
                format!("{}: {} bytes of {}\n{}", args.join(" "), copy.len(), self.data.len(), reader.messages());
            assert_eq!(hash(&copy), wanted, "{}: {state}", self.name);
        }
        totals.bytes += self.data.len() * (1 + readers.len());
        totals.connections_struck += self.networks.iter().map(Proxy::struck).sum::<u64>();
    }

    fn start_writer(&mut self, resume: bool) -> Process {
        let concurrency = self.random.u32(1..5).to_string();
        let endpoint = self.networks[0].endpoint();
        let input = if self.followed { FOLLOWED } else { "-" };
        let mut args = vec![&self.key, input, "-s", "5000000", "-c", &concurrency, "--endpoint-url", endpoint];
        args.extend(["--stall-timeout", "400ms"]);
        if self.random.bool() {
            args.extend(["--max-latency", "100ms"]);
        }
        if resume {
            args.push("--resume");
        }
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        self.writers += 1;
        if self.followed {
            // There from the beginning, as a recorder makes it.
            drop(File::options().create(true).append(true).open(self.store.dir().join(FOLLOWED)).expect("the file"));
        }
        let name = format!("writer-{}", self.writers);
        Process::start(&self.store, &name, env!("CARGO_BIN_EXE_writer"), &args, Stdio::piped())
    }

    /// Feeds the writer, or the file that it follows, at a random pace.
    fn feed(&mut self, writer: &mut Process) -> Option<std::thread::JoinHandle<()>> {
        let pipe = writer.child.stdin.take()?;
        let path = self.store.dir().join(FOLLOWED);
        let mut input: Box<dyn Write + Send> = if self.followed {
            Box::new(File::options().append(true).open(path).expect("the file"))
        } else {
            Box::new(pipe)
        };
        let (data, mut random) = (self.data.clone(), self.random.fork());
        Some(std::thread::spawn(move || {
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(random.usize(1..2_000_000).min(rest.len()));
                // A writer that failed is found out when its exit code is looked at.
                if input.write_all(now).is_err() {
                    return;
                }
                rest = later;
                std::thread::sleep(Duration::from_millis(random.u64(..120)));
            }
        }))
    }

    fn upload_id(&self, writer: &mut Process) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let messages = writer.messages();
            let begun = |line: &str| {
                let id = line.split_once("upload id ").or_else(|| line.split_once("going on with the upload "))?.1;
                line.contains("INFO").then(|| id.split_whitespace().next().unwrap_or_default().to_owned())
            };
            if let Some(id) = messages.lines().find_map(begun) {
                return id;
            }
            assert!(Instant::now() < end && writer.ended().is_none(), "{}: no upload\n{messages}", self.name);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn reader(&mut self, number: usize, id: &str) -> (Process, Vec<String>) {
        let by = ["range", "part"][self.random.usize(..2)];
        let chunk = self.random.u32(200_000..8_000_000).to_string();
        let queue = self.random.u32(1..6).to_string();
        let (copy, endpoint) = (format!("copy-{number}"), self.networks[1].endpoint());
        let mut args = vec![&self.key, &copy, "--resume", "--by", by, "--chunk-size", &chunk, "--queue-size", &queue];
        args.extend(["--endpoint-url", endpoint, "--poll-interval", "100ms", "--stall-timeout", "400ms"]);
        if self.random.bool() {
            args.extend(["--upload-id", id]);
        } else {
            args.push("--no-wait");
        }
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        let binary = env!("CARGO_BIN_EXE_reader");
        (Process::start(&self.store, &format!("reader-{number}"), binary, &args, Stdio::null()), args)
    }

    fn restart(&self, reader: &mut (Process, Vec<String>)) {
        let name = reader.0.name.clone();
        reader.0 = Process::start(&self.store, &name, env!("CARGO_BIN_EXE_reader"), &reader.1, Stdio::null());
    }

    fn weather(&mut self) -> Weather {
        let bytes = self.random.u64(1..6_000_000);
        match self.random.u32(..5) {
            0 => Weather::Refuse,
            1 => Weather::Stall,
            2 => Weather::Reset(bytes),
            3 => Weather::Cut(bytes),
            _ => Weather::Throttle(bytes.max(500_000)),
        }
    }

    /// A rule for the store: an operation that fails in one of the ways that pass.
    fn rule(&mut self) -> Value {
        let operations =
            ["UploadPart", "GetObject", "HeadObject", "ListMultipartUploads", "CompleteMultipartUpload", "GetObject"];
        let mut rule = json!({
            "operation": operations[self.random.usize(..operations.len())],
            "times": self.random.u32(1..4),
            "probability": 0.5,
            "seed": self.random.u32(..),
        });
        let (name, value) = match self.random.u32(..8) {
            0 => ("status", json!(500)),
            1 => ("status", json!(503)),
            2 => ("status", json!(429)),
            3 => ("refuse", json!(true)),
            4 => ("lose_answer", json!(true)),
            5 => ("cut_after", json!(self.random.u32(1..4_000_000))),
            6 => ("throttle_upload", json!(self.random.u32(2_000_000..20_000_000))),
            _ => ("delay_ms", json!(self.random.u32(1..700))),
        };
        rule[name] = value;
        rule
    }

    /// Waits for its end, which must be a good one.
    fn wait(&self, process: &mut Process, end: Instant) {
        loop {
            let (code, messages) = (process.ended(), process.messages());
            match code {
                Some(Some(0)) => return,
                Some(code) => panic!("{}: {} ended with {code:?}\n{messages}", self.name, process.name),
                None => assert!(Instant::now() < end, "{}: no end of {}\n{messages}", self.name, process.name),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
