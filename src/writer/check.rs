//! `writer --check`: whether credentials, bucket, region, clock and Live Read are in order, leaving nothing behind.

use std::time::Duration;

use crate::protocol::live_read::MIN_PART_SIZE;
use crate::protocol::part::PartSize;
use crate::store::live_check::LiveRead;
use crate::store::retry::Retry;
use crate::store::trial::Trials;
use crate::store::{Kind, Resolved, Store};
use crate::writer::live_objects::{Chosen, LiveMode, When, costs};

/// A clock that is off by more than this is worth a word; signatures fail from 900 s on.
const SKEW_WORTH_A_WORD: i64 = 60;

/// Signatures fail from here on.
const SKEW_LIMIT: i64 = 900;

/// How one line of the report turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In order.
    Good,
    /// Works, but the person should know.
    Note,
    /// Not in order.
    Bad,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it turned out.
    pub verdict: Verdict,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub found: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "BAD",
        };
        write!(f, "{mark:<5}{:<13}{}", self.what, self.found)
    }
}

/// How uploads are to be readable live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Which way.
    pub mode: LiveMode,
    /// When a live object would be cut.
    pub when: When,
}

/// Looks at everything, as far as one thing does not need another, and reports a line for each as it is known.
/// True when all is in order.
pub async fn check(
    store: &Store,
    resolved: &Resolved,
    key: Option<&str>,
    way: Way,
    trials: &Trials,
    report: &mut dyn FnMut(Line),
) -> bool {
    let mut all_good = true;
    let mut say = |verdict, what, found: String| {
        all_good &= verdict != Verdict::Bad;
        report(Line { verdict, what, found });
    };
    let (bucket, ahead) = store.head_bucket().await;
    let endpoint = resolved.endpoint.clone().unwrap_or_else(|| "Amazon S3".to_owned());
    match &bucket {
        Err(error) if error.status.is_none() => {
            say(Verdict::Bad, "endpoint", format!("{endpoint} does not answer: {error}"));
            return false;
        }
        _ => say(Verdict::Good, "endpoint", endpoint),
    }
    match ahead {
        Some(ahead) if ahead.abs() >= SKEW_LIMIT => {
            say(Verdict::Bad, "clock", format!("{} s off the store's: set this machine's clock", ahead.abs()));
        }
        Some(ahead) if ahead.abs() >= SKEW_WORTH_A_WORD => {
            say(Verdict::Note, "clock", format!("{} s off the store's; signatures fail from 900 s on", ahead.abs()));
        }
        Some(_) => say(Verdict::Good, "clock", "within a minute of the store's".to_owned()),
        None => say(Verdict::Note, "clock", "the store does not tell its time".to_owned()),
    }

    // A HEAD has no body and so no error code; the list below tells a wrong key from a missing right.
    let object = key.unwrap_or("live-read-check");
    let listed = store.open_uploads(object).await;
    match &listed {
        Err(error) if error.kind == Kind::WrongRegion => say(Verdict::Bad, "region", error.to_string()),
        Err(error) if matches!(error.kind, Kind::Passing | Kind::Setup) => {
            say(Verdict::Bad, "connection", error.to_string());
        }
        Err(error) if error.kind == Kind::Denied && error.code.as_deref() != Some("AccessDenied") => {
            say(Verdict::Bad, "credentials", error.to_string());
        }
        _ => {
            say(Verdict::Good, "credentials", "accepted".to_owned());
            say(Verdict::Good, "region", resolved.region.clone());
        }
    }
    match (&bucket, &listed) {
        (_, Err(error)) if error.kind == Kind::NoBucket => say(Verdict::Bad, "bucket", error.to_string()),
        (Ok(()), _) | (_, Ok(_)) => say(Verdict::Good, "bucket", store.bucket().to_owned()),
        (Err(error), _) => say(Verdict::Note, "bucket", format!("cannot tell: {error}")),
    }
    match &listed {
        Ok(uploads) if uploads.is_empty() => say(Verdict::Good, "list", "the key may list open uploads".to_owned()),
        Ok(uploads) => {
            let ids: Vec<&str> = uploads.iter().map(|upload| upload.id.as_str()).collect();
            let found = format!("the key may list; {object} has {} open upload(s): {}", ids.len(), ids.join(" "));
            say(Verdict::Note, "list", found);
        }
        Err(error) if error.kind == Kind::Denied && error.code.as_deref() == Some("AccessDenied") => {
            let found = "the key may not list open uploads; reader then goes by live reads alone".to_owned();
            say(Verdict::Note, "list", found);
        }
        Err(error) if error.kind == Kind::Refused && matches!(error.status, Some(405 | 501)) => {
            let found = "the store has no list of open uploads: --resume and --abort need --upload-id";
            say(Verdict::Note, "list", found.to_owned());
        }
        Err(_) => return false,
    }
    let chosen = way.mode.choose(resolved.endpoint.as_deref());
    live_read(store, object, chosen, trials, &mut say).await;
    match chosen {
        Chosen::LiveRead => {}
        Chosen::Objects => {
            let costs = costs(way.when, PartSize::DEFAULT);
            say(Verdict::Good, "live", format!("by live objects, as --live objects asks for: {costs}"));
        }
        Chosen::Refrained(why) => say(Verdict::Bad, "live", format!("no live objects on this store: {why}")),
        Chosen::Nothing => {
            let found = "off, as --live off asks for: readers see nothing before an upload is complete";
            say(Verdict::Note, "live", found.to_owned());
        }
    }
    all_good
}

/// Starts an upload under a throw-away key, looks at it as a reader would, and aborts it.
async fn live_read(
    store: &Store,
    beside: &str,
    chosen: Chosen,
    trials: &Trials,
    say: &mut dyn FnMut(Verdict, &'static str, String),
) {
    let Ok(part_size) = PartSize::new(MIN_PART_SIZE) else { return };
    // What fails is reported, not tried again.
    let trial =
        match trials.begin(&store.patient(Retry { give_up_after: Duration::ZERO }), beside, "check", part_size).await {
            Ok(trial) => {
                say(Verdict::Good, "write", "the key may start uploads".to_owned());
                trial
            }
            Err(error) => return say(Verdict::Bad, "write", error.to_string()),
        };
    match trial.look().await {
        Ok(LiveRead::On) => {
            say(Verdict::Good, "Live Read", "on: uploads can be read while they are written".to_owned());
        }
        Ok(LiveRead::Off) if chosen != Chosen::LiveRead => {
            say(Verdict::Note, "Live Read", "off, and not asked for".to_owned());
        }
        Ok(LiveRead::Off) => {
            let found =
                "off: readers see nothing before an upload is complete. On Backblaze B2, Live Read has to be enabled \
                         for the account; on every store --live objects makes uploads readable live"
                    .to_owned();
            say(Verdict::Bad, "Live Read", found);
        }
        Err(error) => say(Verdict::Note, "Live Read", format!("cannot tell: {error}")),
    }
    let left = format!("the upload {} of {} is left open", trial.upload_id, trial.key);
    if let Err(error) = trial.end().await {
        say(Verdict::Bad, "clean-up", format!("{left}: {error}"));
    }
}
