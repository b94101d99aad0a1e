//! What `writer` does without an input: it checks, cancels, rebuilds a playlist, or sets the rules for browsers.

use std::time::Duration;

use crate::cli::ask::refused;
use crate::cli::tell;
use crate::cli::writer::job::{Errand, Live};
use crate::hls;
use crate::hls::rebuild;
use crate::protocol::live_objects::Prefix;
use crate::store::{Connection, Patient, Resolved, Store};
use crate::tool::exit::Exit;
use crate::tool::progress::Progress;
use crate::writer::check::{self, Verdict};
use crate::writer::{abort, setup_cors};

/// Runs the errand, and says how it went.
pub async fn run(errand: Errand, mut connection: Connection, progress: &Progress) -> Exit {
    let retry = connection.retry;
    if matches!(errand, Errand::Check { .. }) {
        // It is to say what is wrong now.
        connection.retry.give_up_after = Duration::ZERO;
    }
    let (store, resolved) = match Store::connect(&connection).await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let patient = store.patient(retry);
    match errand {
        Errand::Check { key, live } => check(&store, &resolved, key.as_deref(), &live, progress).await,
        Errand::SetupCors { origins, yes } => set_cors(&patient, &origins, yes).await,
        Errand::Abort { key, upload_id, yes, prefix } => {
            cancel(&patient, &key, upload_id.as_deref(), yes, &prefix).await
        }
        Errand::Rebuild { key, playlist } => rebuild(&patient, &key, &playlist).await,
    }
}

/// `--check`: a line for each thing that is looked at.
async fn check(store: &Store, resolved: &Resolved, key: Option<&str>, live: &Live, progress: &Progress) -> Exit {
    let mut report = |line: check::Line| match line.verdict {
        Verdict::Good => tracing::info!("{line}"),
        Verdict::Note => tracing::warn!("{line}"),
        Verdict::Bad => tracing::error!("{line}"),
    };
    let way = check::Way { mode: live.mode, when: live.objects.when, prefix: live.objects.prefix.clone() };
    let good = check::check(store, resolved, key, way, &progress.trials, &mut report).await;
    if good { Exit::Done } else { Exit::Failed }
}

/// `--hls-rebuild`: writes the playlist of what is there.
async fn rebuild(store: &Patient, key: &str, playlist: &hls::Settings) -> Exit {
    let said = tell::rebuilt(&store.object(&playlist.key), &rebuild::rebuild(store, key, playlist).await);
    said.say();
    said.exit()
}

/// `--abort`: shows what is open, asks, and cancels it.
async fn cancel(store: &Patient, key: &str, upload_id: Option<&str>, yes: bool, prefix: &Prefix) -> Exit {
    let object = store.object(key);
    let uploads = match abort::candidates(store, key, upload_id).await {
        Ok(uploads) => uploads,
        Err(error) => {
            tracing::error!("{error} Nothing has been cancelled");
            return Exit::Failed;
        }
    };
    if uploads.is_empty() {
        let which = upload_id.map_or_else(String::new, |id| format!(" {id}"));
        tracing::info!("{object} has no open upload{which}: nothing to cancel");
        abort::take_away_live_objects(store, prefix, key, upload_id).await;
        return Exit::Done;
    }
    for upload in &uploads {
        tracing::info!("open upload of {object}: {upload}");
    }
    let question = tell::whether_to_cancel(uploads.len());
    if let Some(exit) = refused(yes, &question, "nothing has been cancelled").await {
        return exit;
    }
    if !abort::cancel(store, key, &uploads).await {
        return Exit::Failed;
    }
    abort::take_away_live_objects(store, prefix, key, upload_id).await;
    Exit::Done
}

/// `--setup-cors`: shows the rules as they will be, asks, and sets them.
async fn set_cors(store: &Patient, origins: &[String], yes: bool) -> Exit {
    let bucket = store.bucket();
    let there = match store.cors().await {
        Ok(there) => there,
        Err(error) => {
            tracing::error!("{error} Nothing has been changed");
            return Exit::Failed;
        }
    };
    let Some(wanted) = setup_cors::wanted(&there, origins) else {
        tracing::info!("the CORS rules of s3://{bucket} are so already: nothing to set");
        return Exit::Done;
    };
    for line in tell::cors(bucket, &there, &wanted) {
        tracing::info!("{line}");
    }
    if let Some(exit) = refused(yes, "Set these CORS rules?", "nothing has been changed").await {
        return exit;
    }
    if let Err(error) = store.set_cors(&wanted).await {
        tracing::error!("{error}");
        return Exit::Failed;
    }
    tracing::info!("the CORS rules of s3://{bucket} are set; browsers may keep the earlier ones in mind for an hour");
    Exit::Done
}
