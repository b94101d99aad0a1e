//! `writer --check`: whether credentials, bucket, region, clock and Live Read are in order, leaving nothing behind.

use std::time::Duration;

use crate::protocol::live_objects::{Names, Prefix};
use crate::protocol::live_read::MIN_PART_SIZE;
use crate::protocol::part::PartSize;
use crate::store::live_check::LiveRead;
use crate::store::retry::Retry;
use crate::store::trial::Trials;
use crate::store::{Kind, Resolved, Store};
use crate::writer::live_objects::{Chosen, LiveMode, Rights, When, costs, is_backblaze, try_rights};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Which way.
    pub mode: LiveMode,
    /// When a live object would be cut.
    pub when: When,
    /// What the names of live objects would begin with.
    pub prefix: Prefix,
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
    let found = live_read(store, object, chosen, trials, &mut say).await;
    let presumed = if resolved.endpoint.as_deref().is_some_and(is_backblaze) { LiveRead::On } else { LiveRead::Off };
    match (chosen, found) {
        (Chosen::LiveRead, _) | (_, Found::NoUploads) => {}
        (Chosen::Either, Found::Said(LiveRead::On)) => {
            say(Verdict::Good, "live", "by Live Read: nothing is sent or paid for beside the upload".to_owned());
        }
        (Chosen::Either, Found::Unclear) if presumed == LiveRead::On => {
            say(
                Verdict::Note,
                "live",
                "by Live Read, where the account has it: that this is a store of Backblaze's is all that is known"
                    .to_owned(),
            );
        }
        (Chosen::Either, Found::Said(LiveRead::Off)) => {
            live_objects(store, object, &way, "where there is no Live Read", &mut say).await;
        }
        (Chosen::Either, Found::Unclear) => {
            live_objects(store, object, &way, "where no Live Read is known of", &mut say).await;
        }
        (Chosen::Objects, _) => live_objects(store, object, &way, "as --live objects asks for", &mut say).await,
        (Chosen::Refrained(why), _) => {
            let found =
                format!("no live objects on this store: {why}. Readers see nothing before an upload is complete");
            say(Verdict::Bad, "live", found);
        }
        (Chosen::Nothing, _) => {
            let found = "off, as --live off asks for: readers see nothing before an upload is complete";
            say(Verdict::Note, "live", found.to_owned());
        }
    }
    all_good
}

/// Writes, reads and deletes a small object where live objects would lie, and says what they cost. Why there would be some is
/// `because`.
async fn live_objects(
    store: &Store,
    key: &str,
    way: &Way,
    because: &str,
    say: &mut dyn FnMut(Verdict, &'static str, String),
) {
    let names = match Names::new(&way.prefix, key) {
        Ok(names) => names,
        Err(error) => {
            let found = format!("not at all: {error}. Readers of it see nothing before the upload is complete");
            return say(Verdict::Bad, "live", found);
        }
    };
    let place = store.object(names.folder());
    let remedy = "give the key that right, name another place (--live-prefix), or do without live objects (--live off)";
    match try_rights(store, &names).await {
        Rights::All => {}
        Rights::Late => {
            let found =
                format!("what was written below {place} is not there at once: readers may see live objects late");
            say(Verdict::Note, "live", found);
        }
        Rights::NoRead(error) => {
            let found = format!(
                "nothing can be read below {place}: {error} Readers with another key may; but what a killed writer has left is \
                 not found by this one. If that matters, {remedy}"
            );
            say(Verdict::Note, "live", found);
        }
        Rights::NoWrite(error) => {
            return say(
                Verdict::Bad,
                "live",
                format!("nothing can be written below {place}: {error} If it is to be, {remedy}"),
            );
        }
        Rights::NoDelete(left, error) => {
            let found = format!(
                "nothing can be deleted below {place}, and {left} is left there: {error} If it is to be, {remedy}"
            );
            return say(Verdict::Bad, "live", found);
        }
    }
    say(
        Verdict::Good,
        "live",
        format!("by live objects below {place}, {because}: {}", costs(way.when, PartSize::DEFAULT)),
    );
}

/// What is known of Live Read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// No upload can be started.
    NoUploads,
    /// It could not be asked.
    Unclear,
    /// This.
    Said(LiveRead),
}

/// Starts an upload under a throw-away key, looks at it as a reader would, and aborts it.
async fn live_read(
    store: &Store,
    beside: &str,
    chosen: Chosen,
    trials: &Trials,
    say: &mut dyn FnMut(Verdict, &'static str, String),
) -> Found {
    let Ok(part_size) = PartSize::new(MIN_PART_SIZE) else { return Found::NoUploads };
    // What fails is reported, not tried again.
    let trial =
        match trials.begin(&store.patient(Retry { give_up_after: Duration::ZERO }), beside, "check", part_size).await {
            Ok(trial) => {
                say(Verdict::Good, "write", "the key may start uploads".to_owned());
                trial
            }
            Err(error) => {
                say(Verdict::Bad, "write", error.to_string());
                return Found::NoUploads;
            }
        };
    let look = trial.look().await;
    let known = look.as_ref().map_or(Found::Unclear, |live_read| Found::Said(*live_read));
    match look {
        Ok(LiveRead::On) => {
            say(Verdict::Good, "Live Read", "on: uploads can be read while they are written".to_owned());
        }
        Ok(LiveRead::Off) if chosen == Chosen::Either => {
            say(
                Verdict::Good,
                "Live Read",
                "off: it is a feature of Backblaze B2, where it has to be enabled".to_owned(),
            );
        }
        Ok(LiveRead::Off) if chosen != Chosen::LiveRead => {
            say(Verdict::Note, "Live Read", "off, and not asked for".to_owned());
        }
        Ok(LiveRead::Off) => {
            let found =
                "off: readers see nothing before an upload is complete. On Backblaze B2, Live Read has to be enabled \
                         for the account; on every store uploads are readable live without --live b2"
                    .to_owned();
            say(Verdict::Bad, "Live Read", found);
        }
        Err(error) => say(Verdict::Note, "Live Read", format!("cannot tell: {error}")),
    }
    let left = format!("the upload {} of {} is left open", trial.upload_id, trial.key);
    if let Err(error) = trial.end().await {
        say(Verdict::Bad, "clean-up", format!("{left}: {error}"));
    }
    known
}
