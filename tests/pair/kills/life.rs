//! One object through its life: written and read, its writer killed, and what becomes of it then.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use super::Totals;
use super::onlooker::Onlooker;
use crate::support::lab::Lab;
use crate::support::run::{PATIENCE, Run};
use crate::support::trouble::{self, Trouble};
use crate::support::{BUCKET, PART, bytes};

/// What lies there from before looks so old to the next start: nobody is at it any more.
const LONG_AGO: Duration = Duration::from_secs(25 * 3600);

/// When a PUT whose sender has gone has landed (`late-put`).
const LANDED: Duration = Duration::from_millis(1_200);

/// One object, and what is done to it.
pub struct Life<'a> {
    pub lab: &'a Lab,
    pub random: Rng,
    pub totals: &'a Totals,
    pub key: String,
    /// The input, and that of the recording that follows.
    pub data: [Vec<u8>; 2],
    /// By live objects; else by Live Read.
    pub objects: bool,
    pub quirks: Vec<&'static str>,
    latency: Option<&'static str>,
    /// The writer follows a file; else it reads a pipe.
    file: Option<PathBuf>,
    feeder: Option<JoinHandle<()>>,
    onlookers: Vec<Onlooker>,
    /// A stream cannot go on behind a part that it cannot read.
    may_go_on: bool,
    pub due: Due,
}

/// What readers are to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    All,
    /// Or a clean beginning, and a failure that says why.
    AllOrFailure,
    /// Or a clean beginning, and they wait for more.
    Beginning,
}

/// What follows a kill.
enum Then {
    /// Another run goes on with the upload.
    GoOn,
    /// There was none yet.
    Again,
    /// The object is this input now, if there is one.
    Over(Option<usize>),
}

/// When the writer is killed.
#[derive(Debug)]
enum Blow {
    Never,
    After(Duration),
    /// Before such a request is worked on, or after that but before its answer.
    At {
        after_work: bool,
        rule: Value,
    },
}

impl Blow {
    /// `late`: what a PUT has done cannot be told from what it will do.
    fn new(random: &mut Rng, objects: bool, late: bool) -> Self {
        let after_work = random.bool() && !late;
        let at = |operation: &str, skip: u32| {
            let mut rule = json!({"operation": operation, "skip": skip, "times": 1});
            let effect = if after_work { ("late_ms", json!(20_000)) } else { ("hold", json!(true)) };
            rule[effect.0] = effect.1;
            Self::At { after_work, rule }
        };
        match random.u32(..if objects { 16 } else { 8 }) {
            0 => Self::Never,
            1..5 => Self::After(Duration::from_millis(random.u64(5..1_200))),
            5 => at("CreateMultipartUpload", 0),
            6 => at("UploadPart", random.u32(..2)),
            7 | 8 => at("CompleteMultipartUpload", 0),
            // The head, the pointer, live objects, the end mark, the head that says complete.
            9..13 => at("PutObject", random.u32(..12)),
            13 => at("DeleteObjects", 0),
            14 => at("DeleteObject", random.u32(..3)),
            _ => at("UploadPartCopy", random.u32(..2)),
        }
    }

    fn falls(&self, lab: &Lab, since: Instant) -> bool {
        match self {
            Self::Never => false,
            Self::After(time) => since.elapsed() >= *time,
            Self::At { after_work: false, .. } => lab.acted(0) > 0,
            Self::At { after_work: true, .. } => lab.done(0) > 0,
        }
    }
}

fn quirks(random: &mut Rng, objects: bool) -> Vec<&'static str> {
    if !objects {
        return Vec::new();
    }
    let all = [
        "late-put",
        "late-put",
        "torn-put",
        "torn-complete",
        "same-key-429",
        "no-part-copy",
        "denied-missing",
        "no-conditions",
        "no-list",
        "copy-etag-unquoted",
        "delete-errors-in-200",
        "no-delete",
        "append-ignored",
    ];
    let mut chosen: Vec<&str> = if random.bool() { vec!["unversioned"] } else { Vec::new() };
    for _ in 0..random.usize(..4) {
        let one = all[random.usize(..all.len())];
        if !chosen.contains(&one) {
            chosen.push(one);
        }
    }
    chosen
}

impl<'a> Life<'a> {
    pub fn new(lab: &'a Lab, seed: u64, live_read: bool, totals: &'a Totals) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut length = || match random.u32(..4) {
            0 | 1 => random.usize(1..400_000),
            2 => random.usize(1..PART + 1_000_000),
            _ => random.usize(PART - 10..3 * PART + 10),
        };
        let lengths = [length(), length()];
        let data = [bytes(seed, lengths[0]), bytes(!seed, lengths[1])];
        let latency = [None, Some("100ms"), Some("100ms"), Some("250ms")][random.usize(..4)];
        let file = random.bool().then(|| lab.dir().join(format!("input-{seed}")));
        let objects = !live_read;
        let quirks = quirks(&mut random, objects);
        let key = format!("kills/{seed}.mp4");
        let (feeder, onlookers) = (None, Vec::new());
        Self {
            lab,
            random,
            totals,
            key,
            data,
            objects,
            quirks,
            latency,
            file,
            feeder,
            onlookers,
            may_go_on: true,
            due: Due::All,
        }
    }

    pub fn run(mut self) {
        self.begin();
        for _ in 0..self.random.usize(..3) {
            self.onlook(false);
        }
        let (mut blows, mut go_on) = (self.random.usize(1..3), false);
        let over = loop {
            let blow = if blows > 0 { self.blow() } else { Blow::Never };
            blows = blows.saturating_sub(1);
            if self.write(go_on, &blow) {
                break Some(0);
            }
            match self.after_a_kill() {
                Then::GoOn => go_on = true,
                Then::Again => go_on = false,
                Then::Over(object) => break object,
            }
        };
        self.lab.clear_faults();
        self.check(over);
    }

    /// The store as this life has it.
    pub fn begin(&self) {
        self.lab.clear_faults();
        self.lab.quirks(&self.quirks);
        self.lab.set_behind(LONG_AGO);
    }

    fn blow(&mut self) -> Blow {
        let late = self.has("late-put");
        Blow::new(&mut self.random, self.objects, late)
    }

    fn has(&self, quirk: &str) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Another reader.
    pub fn onlook(&mut self, late: bool) {
        let number = self.onlookers.len();
        let onlooker = Onlooker::start(self.lab, &self.key, &mut self.random, (number, late, self.objects));
        self.onlookers.push(onlooker);
        Totals::count(&self.totals.readers);
    }

    /// A writer of this key.
    pub fn writer(&self, input: &str, more: &[&str]) -> Run {
        let mut args = vec![&*self.key, input, "-s", "5000000"];
        args.extend(if self.objects { &["--live", "objects"][..] } else { &[] });
        args.extend(self.latency.iter().flat_map(|latency| ["--max-latency", latency]));
        self.lab.writer(&[&args, more].concat())
    }

    /// Writes, and kills the writer when the blow falls; whether it came to its end before.
    fn write(&mut self, go_on: bool, blow: &Blow) -> bool {
        let mut rules = Vec::new();
        if let Blow::At { rule, .. } = blow {
            rules.push(rule.clone());
        }
        let storms = if self.random.u32(..3) == 0 { self.random.usize(1..4) } else { 0 };
        let mut storms: Vec<_> = (0..storms).map(|_| trouble::rule(&mut self.random, Trouble::Common)).collect();
        // A start whose answer is lost leaves an upload behind, which is named; the soak has these.
        storms.retain(|rule| rule["operation"] != "CreateMultipartUpload");
        rules.extend(storms);
        self.lab.faults(&Value::Array(rules));
        let input = self.file.as_ref().map_or("-".to_owned(), |file| file.display().to_string());
        if let Some(file) = &self.file {
            // There from the beginning, as a recorder makes it.
            drop(File::options().create(true).append(true).open(file).expect("the input"));
        }
        let mut writer = self.writer(&input, if go_on { &["--resume"] } else { &[] });
        let (since, mut interrupted, mut pipe) = (Instant::now(), false, None);
        let mut killed = false;
        while writer.is_running() {
            assert!(since.elapsed() < 2 * PATIENCE, "{}: no end: {blow:?}\n{}", self.name(), writer.messages());
            if blow.falls(self.lab, since) {
                (killed, _) = (true, writer.kill());
                break;
            }
            let messages = writer.messages();
            if let Some(from) = begun(&messages) {
                if self.file.is_none() && pipe.is_none() {
                    pipe = writer.stdin.take().map(|stdin| self.feed(stdin, from));
                } else if let Some(file) = self.file.as_ref().filter(|_| self.feeder.is_none()) {
                    let file = File::options().append(true).open(file).expect("the input");
                    self.feeder = Some(self.feed(file, 0));
                }
                let fed = self.feeder.as_ref().is_some_and(JoinHandle::is_finished);
                if fed && !std::mem::replace(&mut interrupted, fed) {
                    // The file grows no more, which only a person can say.
                    writer.signal("INT");
                }
                self.disturb();
            }
            std::thread::sleep(Duration::from_millis(4));
        }
        let outcome = writer.wait();
        if let Some(pipe) = pipe {
            pipe.join().expect("the feeding thread");
        }
        let refused = go_on && self.file.is_none() && outcome.err.contains("so a stream cannot go on behind it");
        if killed || refused {
            Totals::count(if killed { &self.totals.kills } else { &self.totals.refused });
            killed = true;
            self.may_go_on &= !refused;
        } else {
            assert_eq!(outcome.code, Some(0), "{}: {blow:?} {}", self.name(), outcome.state());
        }
        !killed
    }

    /// Readers come, and are killed.
    fn disturb(&mut self) {
        match self.random.u32(..100) {
            0..4 if self.onlookers.len() < 3 && self.is_there() => self.onlook(true),
            4..6 => {
                for onlooker in &mut self.onlookers {
                    if onlooker.kill_and_go_on(self.lab) {
                        Totals::count(&self.totals.reader_kills);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether there is something to be found by a reader that does not wait.
    fn is_there(&self) -> bool {
        let there = |key: &str| self.lab.run(self.lab.client().head_object().bucket(BUCKET).key(key).send()).is_ok();
        !self.objects || there(&format!("_live/{}/now", self.key)) || there(&self.key)
    }

    /// Writes the input from this byte on, in some hundred milliseconds.
    fn feed(&mut self, mut input: impl Write + Send + 'static, from: usize) -> JoinHandle<()> {
        let (data, steps, pause) = (self.data[0].clone(), self.random.usize(1..30), self.random.u64(1..40));
        std::thread::spawn(move || {
            let rest = data.get(from..).unwrap_or_default();
            for some in rest.chunks(rest.len().div_ceil(steps).max(1)) {
                // A writer that is killed takes no more.
                if input.write_all(some).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(pause));
            }
        })
    }

    fn after_a_kill(&mut self) -> Then {
        self.lab.clear_faults();
        std::thread::sleep(if self.has("late-put") { LANDED } else { Duration::from_millis(30) });
        self.lab.wait_landed();
        self.mend();
        if self.lab.open(&self.key).is_empty() {
            if self.lab.object(&self.key).is_none() {
                return Then::Again;
            }
            if self.random.bool() {
                self.abort();
                return Then::Over(Some(0));
            }
            // What is replaced cannot be read to its end.
            self.due = self.due.max(Due::AllOrFailure);
            if !self.has("no-delete") {
                // What was left is found without a list.
                self.lab.quirks(&self.quirks);
            }
            self.next();
            return Then::Over(Some(1));
        }
        match self.random.u32(..12) {
            0..3 => {
                self.due = Due::Beginning;
                self.abort();
                Then::Over(None)
            }
            number if number < 5 || !self.may_go_on => {
                self.due = Due::Beginning;
                self.next();
                self.abort();
                Then::Over(Some(1))
            }
            _ => {
                if self.objects && self.file.is_none() {
                    self.due = self.due.max(Due::AllOrFailure);
                }
                Totals::count(&self.totals.resumes);
                Then::GoOn
            }
        }
    }

    /// The store lists and deletes.
    pub fn mend(&self) {
        let mended: Vec<_> =
            self.quirks.iter().copied().filter(|quirk| !["no-list", "no-delete"].contains(quirk)).collect();
        self.lab.quirks(&mended);
    }

    /// Another recording of the key, from its beginning to its end.
    fn next(&mut self) {
        Totals::count(&self.totals.next);
        self.lab.set_behind(Duration::ZERO);
        self.writer("-", &[]).end_with(&self.data[1]).code(0);
    }

    /// Cancels what is open.
    pub fn abort(&self) {
        Totals::count(&self.totals.aborts);
        self.lab.set_behind(Duration::ZERO);
        self.lab.writer(&[&self.key, "--abort", "--yes"]).wait().code(0);
    }

    pub fn name(&self) -> String {
        let way = if self.objects { "live objects" } else { "Live Read" };
        let input = if self.file.is_some() { "a file" } else { "a pipe" };
        format!(
            "{} by {way} from {input}, --max-latency {:?}, {:?}, {:?}",
            self.key, self.latency, self.quirks, self.due
        )
    }

    /// Readers have what is due, the object is this input, and nothing is left beside it.
    pub fn check(mut self, object: Option<usize>) {
        let name = self.name();
        for mut onlooker in std::mem::take(&mut self.onlookers) {
            if self.due == Due::Beginning {
                let until =
                    Instant::now() + Duration::from_millis(if self.random.u32(..12) == 0 { 20_000 } else { 200 });
                while onlooker.is_running() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if onlooker.is_running() {
                    onlooker.kill();
                }
            }
            // Who comes just then takes the object for one of another tool, that is as short as it seems to be.
            let torn = onlooker.late && self.has("torn-complete");
            let (outcome, output) = onlooker.end();
            let whole = self.data.contains(&output);
            let clean = self.data.iter().any(|data| data.starts_with(&output));
            let state = format!("{name}: a reader has {} bytes: {}", output.len(), outcome.state());
            assert!(clean, "not a clean beginning: {state}");
            let ended_well = match (outcome.code, self.due) {
                (Some(0), _) => whole,
                (Some(1), Due::AllOrFailure | Due::Beginning) | (None, Due::Beginning) => {
                    Totals::count(&self.totals.cut_short);
                    true
                }
                (Some(1), Due::All) if torn => {
                    ["could be read", "are not the beginning of"].iter().any(|said| outcome.err.contains(said))
                }
                _ => false,
            };
            assert!(ended_well, "{state}");
            self.totals.bytes.fetch_add(output.len(), Relaxed);
        }
        if self.has("no-delete") {
            self.mend();
            self.abort();
        }
        let there = self.object();
        let same = there.as_ref() == object.map(|number| &self.data[number]);
        assert!(same, "{name}: the object has {:?} bytes, {object:?}", there.map(|there| there.len()));
        assert_eq!(self.lab.open(&self.key), Vec::<String>::new(), "{name}: open uploads");
        // What is deleted there without a right to list stays as an older version.
        if self.has("unversioned") || !self.has("no-list") {
            assert_eq!(self.beside(), Vec::<String>::new(), "{name}: left behind");
        }
    }

    /// The object, as it is without any quirks.
    pub fn object(&self) -> Option<Vec<u8>> {
        self.lab.quirks(if self.has("unversioned") { &["unversioned"] } else { &[] });
        self.lab.object(&self.key)
    }

    /// What lies below `_live/` for the key, older versions and marks of deletion among it.
    fn beside(&self) -> Vec<String> {
        let prefix = format!("_live/{}/", self.key);
        let listed = self
            .lab
            .run(self.lab.client().list_object_versions().bucket(BUCKET).prefix(prefix).send())
            .expect("a list");
        let versions = listed.versions().iter().filter_map(|version| version.key());
        versions.chain(listed.delete_markers().iter().filter_map(|mark| mark.key())).map(str::to_owned).collect()
    }
}

/// From which byte on the input is wanted, once that is known.
fn begun(messages: &str) -> Option<usize> {
    if let Some((_, kept)) = messages.split_once("it keeps ") {
        let bytes = kept.split(", ").nth(1)?.split(' ').next()?;
        return Some(bytes.parse().expect("a number of bytes"));
    }
    messages.contains("uploading to").then_some(0)
}
