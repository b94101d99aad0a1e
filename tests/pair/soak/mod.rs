//! A writer and several readers through random faults, kills and resumes, on a schedule that a seed repeats: the object and
//! every copy have the SHA-256 of the input. By Live Read, and by live objects on stores with quirks, which leave nothing
//! beside the object. The writer follows a file, reads a pipe, goes on in further objects, or writes a playlist beside; some
//! of the tools speak to a standard error that nobody reads.
//!
//! `make soak MINUTES=5 SEED=1` runs it for long; a short one with a fixed seed and one with a random seed belong to the
//! tests.

mod process;

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use self::process::Process;
use crate::support::playlist::Playlist;
use crate::support::proxy::{Proxy, Weather};
use crate::support::s3::{self, Ask};
use crate::support::trouble::{self, Trouble};
use crate::support::{BUCKET, PART, Store, bytes, media, present};
use aws_sdk_s3::types::MultipartUpload;
use fastrand::Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

/// How long a round may take after its last fault.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_short_soak_with_a_fixed_seed() {
    soak(20, Duration::from_secs(12), Trouble::Untrue);
}

#[test]
fn a_short_soak_with_a_random_seed() {
    soak(fastrand::u64(..1_000_000), Duration::from_secs(12), Trouble::Common);
}

#[test]
fn a_short_soak_by_live_objects() {
    soak_by(Some(true), 7, Duration::from_secs(10), Trouble::Seldom);
}

#[test]
#[ignore = "takes as long as SOAK_MINUTES says: make soak MINUTES=5"]
fn a_long_soak() {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let minutes: f64 = set("SOAK_MINUTES").map_or(5.0, |text| text.parse().expect("MINUTES: a number"));
    let seed =
        set("SOAK_SEED").map_or_else(|| fastrand::u64(..1_000_000), |text| text.parse().expect("SEED: a number"));
    soak(seed, Duration::from_secs_f64(minutes * 60.0), Trouble::Untrue);
}

fn soak(seed: u64, time: Duration, trouble: Trouble) {
    soak_by(None, seed, time, trouble);
}

/// Rounds until the time is up, at least one: by live objects, by Live Read, or as it comes.
fn soak_by(objects: Option<bool>, seed: u64, time: Duration, trouble: Trouble) {
    // Past the capture of the test runner: the seed is wanted after a pass, too.
    drop(writeln!(std::io::stderr(), "soak with seed {seed}: make soak SEED={seed}"));
    let began = Instant::now();
    let mut told = began;
    let mut random = Rng::with_seed(seed);
    let mut totals = Totals::default();
    loop {
        let round_seed = random.u64(..);
        Round::new((seed, totals.rounds, round_seed), objects, trouble).run(&mut totals);
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

/// A fragmented MP4 of some parts; `None` where there is no ffmpeg.
static STREAM: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let output = format!("-c:v libx264 -preset ultrafast -qp 12 -g 25 {}", media::FRAGMENTS);
    present("ffmpeg", &["-version"]).then(|| media::make(&[media::picture(12, 90)], &output))
});

/// What the writer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It reads a pipe.
    Piped,
    /// It reads a pipe, is killed, and is resumed with another.
    Stream,
    /// It follows a file, and is killed and resumed.
    Followed,
    /// It reads a pipe, and goes on in further objects.
    Rolling,
    /// It reads a pipe, and writes a playlist beside.
    Playlist,
}

/// Some of what stores do that are not Backblaze B2.
fn quirks(random: &mut Rng) -> Vec<&'static str> {
    let mut chosen = if random.bool() { vec!["unversioned"] } else { Vec::new() };
    let all = ["late-put", "torn-put", "same-key-429", "no-part-copy", "delete-errors-in-200", "denied-missing"];
    chosen.extend(all.into_iter().filter(|_| random.u32(..4) == 0));
    chosen
}

/// The file that a writer follows, in the store's directory.
const FOLLOWED: &str = "recording";

/// What a soak did.
#[derive(Debug, Default)]
struct Totals {
    rounds: usize,
    by_live_objects: usize,
    bytes: usize,
    faults: usize,
    kills: usize,
    connections_struck: u64,
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
    way: Way,
    /// By live objects, on a store with these quirks.
    objects: Option<Vec<&'static str>>,
    trouble: Trouble,
    /// Whether the answer to the start of the upload is lost.
    lost_start: bool,
    writers: usize,
}

impl Round {
    fn new((seed, number, round_seed): (u64, usize, u64), objects: Option<bool>, trouble: Trouble) -> Self {
        let mut random = Rng::with_seed(round_seed);
        let ways = [Way::Piped, Way::Followed, Way::Followed, Way::Rolling, Way::Playlist, Way::Stream];
        let by_objects = objects.unwrap_or_else(|| random.bool());
        let way = ways[random.usize(..ways.len())];
        let stream = STREAM.as_ref().filter(|_| way == Way::Playlist && !by_objects);
        let way = if way == Way::Playlist && stream.is_none() { Way::Piped } else { way };
        let length = random.usize(2 * PART..6 * PART);
        let data = stream.cloned().unwrap_or_else(|| bytes(round_seed, length));
        let objects = by_objects.then(|| quirks(&mut random));
        let mut args = if by_objects { vec!["--no-live-read"] } else { Vec::new() };
        args.extend(objects.iter().flatten().flat_map(|quirk| ["--quirk", quirk]));
        let store = Store::with_args(&args);
        let networks = [(); 2].map(|()| Proxy::before(store.endpoint()));
        let (name, key) = (format!("seed {seed}, round {number}, {way:?}, {objects:?}"), "soak/stream.mp4".to_owned());
        // A reader that goes on in a next object believes the lists.
        let untrue = trouble == Trouble::Untrue && way == Way::Rolling;
        let trouble = if untrue { Trouble::Seldom } else { trouble };
        let lost_start = trouble != Trouble::Common && random.u32(..4) == 0;
        Self { name, data, random, store, networks, key, way, objects, trouble, lost_start, writers: 0 }
    }

    fn run(mut self, totals: &mut Totals) {
        let mut readers = Vec::new();
        if self.lost_start {
            let rules = trouble::lost_start(&mut self.random);
            self.store.faults(&rules);
            totals.faults += 1;
            // It may find what the first start has begun before the next one.
            readers.push(self.reader(0, None));
        }
        let mut writer = self.start_writer(false);
        let id = self.upload_id(&mut writer);
        let last = self.random.usize(2..5);
        readers.extend((readers.len()..last).map(|number| self.reader(number, Some(&id))));
        let mut feeder = self.feed(&mut writer, 0);
        let last_fault = Instant::now() + Duration::from_millis(self.random.u64(1500..4000));
        while Instant::now() < last_fault {
            std::thread::sleep(Duration::from_millis(self.random.u64(10..300)));
            match self.random.u32(..20) {
                0..9 => {
                    let weather = trouble::weather(&mut self.random);
                    let network = self.random.usize(..2);
                    self.networks[network].set(weather);
                    std::thread::sleep(Duration::from_millis(self.random.u64(20..600)));
                    self.networks[network].set(Weather::Fine);
                    totals.faults += 1;
                }
                9 => {
                    let storm = serde_json::json!([{"status": 503, "for_ms": self.random.u32(100..1500)}]);
                    self.store.faults(&storm);
                    totals.faults += 1;
                }
                10..13 => {
                    let count = self.random.usize(1..4);
                    let rules: Vec<Value> = (0..count).map(|_| trouble::rule(&mut self.random, self.trouble)).collect();
                    totals.faults += rules.len();
                    self.store.faults(&Value::Array(rules));
                }
                14..16 if self.way == Way::Stream && feeder.as_ref().is_some_and(|feeder| !feeder.is_finished()) => {
                    totals.kills += usize::from(writer.kill());
                    self.store.clear_faults();
                    writer = self.start_writer(true);
                    drop(feeder.take().map(std::thread::JoinHandle::join));
                    let from = self.kept(&mut writer);
                    feeder = self.feed(&mut writer, from);
                }
                14..16 if self.way == Way::Followed => {
                    totals.kills += usize::from(writer.kill());
                    // What is hidden from it cannot be gone on with.
                    self.store.clear_faults();
                    writer = self.start_writer(true);
                }
                13 => {
                    self.store.kill();
                    std::thread::sleep(Duration::from_millis(self.random.u64(1..1000)));
                    self.store.restart();
                    totals.kills += 1;
                }
                _ if self.way == Way::Rolling => {}
                _ => {
                    self.store.clear_faults();
                    let chosen = self.random.usize(..readers.len());
                    totals.kills += usize::from(readers[chosen].0.kill());
                    let copy = std::fs::read(self.store.dir().join(&readers[chosen].1[1])).unwrap_or_default();
                    assert!(self.data.starts_with(&copy), "{}: no clean beginning", self.name);
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
        if self.way == Way::Followed {
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
        assert_eq!(hash(&self.objects()), wanted, "{}: the object\n{}", self.name, writer.messages());
        if self.way == Way::Playlist {
            self.check_playlist(&writer);
        }
        for (reader, args) in &readers {
            let copy = std::fs::read(self.store.dir().join(&args[1])).expect("the copy");
            let state =
                format!("{}: {} bytes of {}\n{}", args.join(" "), copy.len(), self.data.len(), reader.messages());
            let lost = self.may_be_lost(&reader.messages()) && self.data.starts_with(&copy);
            assert!(hash(&copy) == wanted || lost, "{}: {state}", self.name);
        }
        if self.objects.is_some() {
            self.check_nothing_is_left(&writer);
            totals.by_live_objects += 1;
        }
        totals.bytes += self.data.len() * (1 + readers.len());
        totals.connections_struck += self.networks.iter().map(Proxy::struck).sum::<u64>();
    }

    fn start_writer(&mut self, resume: bool) -> Process {
        let concurrency = self.random.u32(1..5).to_string();
        let endpoint = self.networks[0].endpoint();
        let input = if self.way == Way::Followed { FOLLOWED } else { "-" };
        let mut args = vec![&self.key, input, "-s", "5000000", "-c", &concurrency, "--endpoint-url", endpoint];
        args.extend(["--stall-timeout", "400ms"]);
        if self.random.bool() {
            args.extend(["--max-latency", "100ms"]);
        }
        if self.objects.is_some() {
            args.extend(["--live", "objects"]);
        }
        match self.way {
            Way::Rolling => args.extend(["--rollover", "11MB"]),
            Way::Playlist => args.extend(["--hls", "--hls-time", "1"]),
            Way::Followed | Way::Stream if resume => args.push("--resume"),
            Way::Followed | Way::Stream | Way::Piped => {}
        }
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        self.writers += 1;
        if self.way == Way::Followed {
            // There from the beginning, as a recorder makes it.
            drop(File::options().create(true).append(true).open(self.store.dir().join(FOLLOWED)).expect("the file"));
        }
        let name = format!("writer-{}", self.writers);
        // Of a writer that follows it must be known that it has begun.
        let unheard = !matches!(self.way, Way::Followed | Way::Stream) && self.random.u32(..4) == 0;
        Process::start(&self.store, &name, env!("CARGO_BIN_EXE_writer"), &args, Stdio::piped(), unheard)
    }

    /// Feeds the writer, or the file that it follows, from this byte on at a random pace.
    fn feed(&mut self, writer: &mut Process, from: usize) -> Option<std::thread::JoinHandle<()>> {
        let pipe = writer.child.stdin.take()?;
        let path = self.store.dir().join(FOLLOWED);
        let mut input: Box<dyn Write + Send> = if self.way == Way::Followed {
            Box::new(File::options().append(true).open(path).expect("the file"))
        } else {
            Box::new(pipe)
        };
        let (data, mut random) = (self.data.clone(), self.random.fork());
        Some(std::thread::spawn(move || {
            let mut rest = &data[from..];
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

    /// From which byte on a resumed writer wants the stream.
    fn kept(&self, writer: &mut Process) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let messages = writer.messages();
            let kept = messages.split_once("it keeps ").and_then(|(_, kept)| kept.split_once(" bytes"));
            if let Some(bytes) = kept.and_then(|(kept, _)| kept.rsplit(' ').next()) {
                return bytes.parse().expect("a number of bytes");
            }
            assert!(Instant::now() < end && writer.ended().is_none(), "{}: not resumed\n{messages}", self.name);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether a reader had read more of a stream than was kept of it, which it says.
    fn may_be_lost(&self, messages: &str) -> bool {
        self.objects.is_some() && self.way == Way::Stream && messages.contains("goes on from byte")
    }

    /// Nothing lies below `_live/`, not even as an older version, once what was late has landed and is taken away.
    fn check_nothing_is_left(&self, writer: &Process) {
        let runtime = Runtime::new().expect("a runtime");
        let left = || {
            let list = self.store.client().list_object_versions().bucket(BUCKET).prefix("_live/").send();
            let list = runtime.block_on(list).expect("a list");
            let marks = list.delete_markers().iter().filter_map(|mark| mark.key());
            let keys = list.versions().iter().filter_map(|version| version.key()).chain(marks);
            keys.map(str::to_owned).collect::<Vec<_>>()
        };
        let late = self.objects.iter().flatten().any(|quirk| *quirk == "late-put");
        if late && !left().is_empty() {
            std::thread::sleep(Duration::from_millis(1_200));
            self.store.wait_landed();
            let mut abort = self.store.command(env!("CARGO_BIN_EXE_writer"));
            assert!(abort.args([&self.key, "--abort", "--yes"]).output().expect("writer").status.success());
        }
        assert_eq!(left(), Vec::<String>::new(), "{}: left behind\n{}", self.name, writer.messages());
    }

    fn upload_id(&self, writer: &mut Process) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if writer.unread.is_some()
                && let Some(id) = self.listed_id()
                && self.can_be_found()
            {
                return id;
            }
            let messages = writer.messages();
            let begun = |line: &str| {
                let id = line.split_once("upload id ").or_else(|| line.split_once("going on with the upload "))?.1;
                line.contains("INFO").then(|| id.split_whitespace().next().unwrap_or_default().to_owned())
            };
            if let Some(id) = messages.lines().find_map(begun).filter(|_| self.can_be_found()) {
                return id;
            }
            assert!(Instant::now() < end && writer.ended().is_none(), "{}: no upload\n{messages}", self.name);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether a reader finds something by now: the pointer comes after the upload.
    fn can_be_found(&self) -> bool {
        let (runtime, client) = (Runtime::new().expect("a runtime"), self.store.client());
        let pointer = format!("_live/{}/now", self.key);
        self.objects.is_none() || runtime.block_on(client.head_object().bucket(BUCKET).key(pointer).send()).is_ok()
    }

    fn listed_id(&self) -> Option<String> {
        let runtime = Runtime::new().expect("a runtime");
        let list = runtime.block_on(self.store.client().list_multipart_uploads().bucket(BUCKET).send()).ok()?;
        let of_key = |upload: &&MultipartUpload| upload.key() == Some(&self.key);
        let mut uploads = list.uploads().iter().filter(of_key);
        // The one that is left behind by a lost answer comes first.
        let upload = if self.lost_start { uploads.nth(1) } else { uploads.next() };
        upload?.upload_id().map(str::to_owned)
    }

    /// All objects of the recording, one after the other.
    fn objects(&self) -> Vec<u8> {
        let (runtime, client) = (Runtime::new().expect("a runtime"), self.store.client());
        let key = |number: usize| if number == 1 { self.key.clone() } else { format!("soak/stream-{number:04}.mp4") };
        let object = |number| runtime.block_on(s3::get(&client, &key(number), None, Ask::All, false)).ok();
        (1..).map_while(object).flat_map(|got| got.body).collect()
    }

    /// The playlist shows the whole recording, segment after segment.
    fn check_playlist(&self, writer: &Process) {
        let (runtime, client) = (Runtime::new().expect("a runtime"), self.store.client());
        let list = runtime.block_on(s3::get(&client, "soak/stream.m3u8", None, Ask::All, false));
        let list = list.unwrap_or_else(|error| panic!("{}: no playlist: {error:?}\n{}", self.name, writer.messages()));
        let list = Playlist::read(std::str::from_utf8(&list.body).expect("UTF-8"));
        let state = format!("{}: {}\n{}", self.name, list.text, writer.messages());
        assert!(list.ended && !list.segments.is_empty(), "{state}");
        let mut at = list.segments[0].first;
        for segment in &list.segments {
            assert_eq!(segment.first, at, "{state}");
            at += segment.len;
        }
        // Behind the last fragment there may be an index.
        assert!(at <= self.data.len() as u64 && at + 100_000 > self.data.len() as u64, "ends at {at}: {state}");
    }

    /// Reads what there is, by its id or not; without an id to name it waits for an upload to begin.
    fn reader(&mut self, number: usize, id: Option<&str>) -> (Process, Vec<String>) {
        let by = ["range", "part"][self.random.usize(..2)];
        let chunk = self.random.u32(200_000..8_000_000).to_string();
        let queue = self.random.u32(1..6).to_string();
        let (copy, endpoint) = (format!("copy-{number}"), self.networks[1].endpoint());
        let more = if self.way == Way::Rolling { "--follow-rollover" } else { "--resume" };
        let mut args = vec![&self.key, &copy, more, "--by", by, "--chunk-size", &chunk, "--queue-size", &queue];
        args.extend(["--endpoint-url", endpoint, "--poll-interval", "100ms", "--stall-timeout", "400ms"]);
        let waits = id.is_none();
        if self.objects.is_some() && self.random.bool() {
            args.extend(["--live", "objects"]);
        }
        let named = self.objects.is_none() && self.way != Way::Rolling;
        match id.filter(|_| self.random.bool() && named) {
            Some(id) => args.extend(["--upload-id", id]),
            None => args.push("--no-wait"),
        }
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        let binary = env!("CARGO_BIN_EXE_reader");
        let unheard = self.random.u32(..4) == 0;
        // Started again it waits for nothing: what it began with may be complete by then.
        let first = if waits { &args[..args.len() - 1] } else { &args[..] };
        let process = Process::start(&self.store, &format!("reader-{number}"), binary, first, Stdio::null(), unheard);
        (process, args)
    }

    fn restart(&self, reader: &mut (Process, Vec<String>)) {
        let name = reader.0.name.clone();
        reader.0 = Process::start(&self.store, &name, env!("CARGO_BIN_EXE_reader"), &reader.1, Stdio::null(), false);
    }

    /// Waits for its end, which must be a good one.
    fn wait(&self, process: &mut Process, end: Instant) {
        loop {
            let (code, messages) = (process.ended(), process.messages());
            match code {
                Some(Some(0)) => return,
                Some(Some(1)) if self.may_be_lost(&messages) => return,
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
