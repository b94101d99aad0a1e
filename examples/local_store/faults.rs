//! Faults to order: rules that say which requests go wrong, and how.
//!
//! Rules are put in force through the control API, as a JSON list: `PUT /faults` replaces those before, `POST /faults`
//! adds to them, `DELETE /faults` ends them all, and `GET /faults` tells of each rule how often it `acted`, how often the
//! body of such a request was `taken` (`land_ms`) and how often its work is `done`. (In tests: `store.faults(&json!([…]))`,
//! `add_faults`, `clear_faults`, `wait_acted(rule, times)`, `wait_taken`, `wait_done`.) The first rule that fits a request and is not used up acts, alone.
//!
//! ```text
//! which requests   operation ("GetObject", "List*"), key (of a list: its prefix), parts [from, to], live true|false
//! how many         skip N, times N, probability 0.5 with seed; from_ms, for_ms: only then, counted from now
//! before the work  hold (until the rules are changed), delay_ms, refuse (the connection closes), throttle_upload
//! no work          status with code, message, body, headers
//! other work       land_ms, lag_ms, hide
//! after the work   after_work (then `status` takes the place of the real answer), late_ms, lose_answer
//! the answer       white_space_ms, truncate, cut_after, stall_after, throttle
//! ```
//!
//! What tests want of it:
//!
//! ```text
//! a list whose XML breaks off                 {"operation": "ListMultipartUploads", "cut_after": 100}
//! the same, and HTTP sees nothing wrong       {"operation": "ListMultipartUploads", "truncate": 100}
//! an error inside a 200                       {"operation": "CompleteMultipartUpload", "status": 200, "code": "InternalError"}
//! completed, and an error inside a 200        the same with "after_work": true
//! a slow completion, live reads go on         {"operation": "CompleteMultipartUpload", "delay_ms": 5000}
//! the same as S3 does it: 200, white space    {"operation": "CompleteMultipartUpload", "white_space_ms": 5000}
//! a gateway's page                            {"status": 502, "body": "<html>Bad gateway</html>"}
//! a list that lags behind, a HEAD likewise    {"operation": "List*", "lag_ms": 2000}
//! an upload that is listed no more, but open  {"operation": "ListMultipartUploads", "hide": true}
//! a list or HEAD that fails for 3 s           {"operation": "HeadObject", "status": 503, "for_ms": 3000}
//! a PutObject that lands after its successor  {"operation": "PutObject", "times": 1, "land_ms": 1000}
//! a body that stops coming                    {"operation": "GetObject", "stall_after": 100000}
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::operation::Operation;

/// A rule, as the control API takes it. A request that fits all that is given here has the effects that are given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Name of the S3 operation, or the beginning of one and a star; any if not given.
    pub operation: Option<String>,
    /// Key; of a list, the prefix that it asks for.
    pub key: Option<String>,
    /// Part numbers, from and to.
    pub parts: Option<(u32, u32)>,
    /// With (true) or without (false) the Live Read header.
    pub live: Option<bool>,
    /// Fitting requests to let pass first.
    pub skip: u64,
    /// How often to act; for ever if not given.
    pub times: Option<u64>,
    /// Act from then on, counted from when the rule came into force.
    pub from_ms: u64,
    /// Act for so long; for ever if not given.
    pub for_ms: Option<u64>,
    /// Act on a share of the fitting requests only.
    pub probability: Option<f64>,
    /// Makes the share reproducible.
    pub seed: u64,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What happens to a request. Several may come together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Effect {
    /// Wait until the rules are changed before anything is done.
    pub hold: bool,
    /// Wait before anything is done.
    pub delay_ms: u64,
    /// Close the connection without doing anything.
    pub refuse: bool,
    /// Answer with this status without doing anything; 200 means an error inside a 200.
    pub status: Option<u16>,
    /// Error code of that answer.
    pub code: Option<String>,
    /// Message of that answer.
    pub message: Option<String>,
    /// Body of that answer, in place of S3's XML.
    pub body: Option<String>,
    /// Headers of any answer to set, or with null to take away.
    pub headers: BTreeMap<String, Option<String>>,
    /// Do the work first, then give the answer that `status` says.
    pub after_work: bool,
    /// Take the request's body at so many bytes a second.
    pub throttle_upload: Option<u64>,
    /// Take the request's whole body, and do the work so much later, even if the client has gone by then.
    pub land_ms: Option<u64>,
    /// Answer from what the store held so long ago (but not before the rule came into force).
    pub lag_ms: Option<u64>,
    /// Answer as if the bucket held nothing.
    pub hide: bool,
    /// Begin a 200 at once, send white space for so long, then do the work and send what comes of it, also an error.
    pub white_space_ms: Option<u64>,
    /// Wait between the work and the answer.
    pub late_ms: u64,
    /// Do the work, then close the connection instead of answering.
    pub lose_answer: bool,
    /// Send so many bytes of the answer's body as if they were all.
    pub truncate: Option<usize>,
    /// Close the connection after so many bytes of the answer's body.
    pub cut_after: Option<u64>,
    /// Send so many bytes of the answer's body, then nothing more.
    pub stall_after: Option<u64>,
    /// Send the answer's body at so many bytes a second.
    pub throttle: Option<u64>,
    /// What has become of the requests that were struck.
    #[serde(skip)]
    counts: Option<Arc<Counts>>,
    /// Ends when the rules are changed.
    #[serde(skip)]
    in_force: Option<watch::Receiver<()>>,
}

/// See [`Faults::told`].
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    done: AtomicU64,
}

impl Effect {
    /// Waits for as long as the effect says before anything is done.
    pub async fn wait(&mut self) {
        if self.hold
            && let Some(in_force) = &mut self.in_force
        {
            // An error: the rule has gone, with its sender.
            while in_force.changed().await.is_ok() {}
        }
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        }
    }

    /// The work of the request is done.
    pub fn work_done(&self) {
        if let Some(counts) = &self.counts {
            counts.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The body of the request has been taken, to be worked on later.
    pub fn body_taken(&self) {
        if let Some(counts) = &self.counts {
            counts.taken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    since: Instant,
    fitted: u64,
    acted: u64,
    counts: Arc<Counts>,
    random: fastrand::Rng,
    _in_force: watch::Sender<()>,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Armed>>);

impl Faults {
    /// Replaces all rules.
    pub fn set(&self, rules: Vec<Rule>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rules.into_iter().map(Armed::new).collect();
    }

    /// Adds rules behind those in force.
    pub fn add(&self, rules: Vec<Rule>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(rules.into_iter().map(Armed::new));
    }

    /// What has become of each rule so far.
    pub fn told(&self) -> Value {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |armed: &Armed| {
            let [taken, done] = [&armed.counts.taken, &armed.counts.done].map(|count| count.load(Ordering::Relaxed));
            json!({"fitted": armed.fitted, "acted": armed.acted, "taken": taken, "done": done})
        };
        rules.iter().map(told).collect()
    }

    /// The effect of the first rule that acts on this request.
    pub fn strike(&self, operation: &Operation) -> Effect {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let acting = rules.iter_mut().find_map(|armed| armed.acts(operation).then(|| armed.rule.effect.clone()));
        acting.unwrap_or_default()
    }
}

impl Rule {
    fn fits(&self, operation: &Operation) -> bool {
        let named = |name: &String| match name.strip_suffix('*') {
            Some(beginning) => operation.name.starts_with(beginning),
            None => name == operation.name,
        };
        self.operation.as_ref().is_none_or(named)
            && (self.key.is_none() || self.key == operation.key || self.key == operation.prefix)
            && self.live.is_none_or(|live| live == operation.live)
            && self.parts.is_none_or(|(from, to)| operation.part_number.is_some_and(|part| (from..=to).contains(&part)))
    }
}

impl Armed {
    fn new(mut rule: Rule) -> Self {
        let (in_force, seen) = watch::channel(());
        let counts = Arc::<Counts>::default();
        (rule.effect.counts, rule.effect.in_force) = (Some(Arc::clone(&counts)), Some(seen));
        let random = fastrand::Rng::with_seed(rule.seed);
        Self { rule, since: Instant::now(), fitted: 0, acted: 0, counts, random, _in_force: in_force }
    }

    fn acts(&mut self, operation: &Operation) -> bool {
        let rule = &self.rule;
        let age = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = age >= rule.from_ms && rule.for_ms.is_none_or(|time| age < rule.from_ms.saturating_add(time));
        if !due || !rule.fits(operation) {
            return false;
        }
        self.fitted += 1;
        if self.fitted <= rule.skip
            || rule.times.is_some_and(|times| self.acted >= times)
            || rule.probability.is_some_and(|share| self.random.f64() >= share)
        {
            return false;
        }
        self.acted += 1;
        true
    }
}
