//! The end of an upload: completes it, and finds out what became of one whose end was not seen.
//!
//! A completion may have succeeded although its answer was lost, cut, or an error. So the object is looked for before it is
//! sent again: it is the one that was to be made when the store names the upload's id as its version or, where upload ids
//! are no versions, when its entity tag follows from those of the parts.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::object::live::Upload;
use crate::object::tap::End;
use crate::protocol::part::PartNumber;
use crate::store::{ETag, Head, Kind, StoreError};
use crate::writer::cause::Cause;
use crate::writer::ledger::{Ledger, WholeTag};
use crate::writer::outbox::Outbox;
use crate::writer::plan::Plan;

/// How long an object is waited for that a completion may have made, when the store knows no such upload any more: large
/// uploads take a while to become objects.
const APPEARS_WITHIN: Duration = Duration::from_secs(120);

/// Between two looks for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long the question what became of an upload may keep failing.
const FATE_PATIENCE: Duration = Duration::from_secs(10);

/// Waits for all parts of `outbox`, then completes its upload; the size and the number of parts of the object.
pub(crate) async fn complete(plan: &Plan, outbox: &mut Outbox) -> Result<(u64, usize), Cause> {
    let span = outbox.upload().span().clone();
    drained_and_complete(plan, outbox).instrument(span).await
}

async fn drained_and_complete(plan: &Plan, outbox: &mut Outbox) -> Result<(u64, usize), Cause> {
    outbox.drain().await?;
    let parts = outbox.ledger.close(plan.part_size)?;
    tracing::debug!(event = "completing", parts = parts.len(), bytes = outbox.ledger.bytes(), "completing the upload");
    if let Some(live) = outbox.live() {
        live.finish(outbox.ledger.bytes()).await;
    }
    finish(outbox.upload(), &outbox.ledger, &parts).await?;
    let bytes = outbox.ledger.bytes();
    tracing::debug!(event = "completed", parts = parts.len(), bytes, "the upload is complete");
    plan.taps.ended(outbox.upload().id(), End::Completed { bytes });
    Ok((bytes, parts.len()))
}

/// Completes an upload out of these parts, which are those of the ledger.
pub(crate) async fn finish(upload: &Upload, ledger: &Ledger, parts: &[(PartNumber, ETag)]) -> Result<(), StoreError> {
    let retry = upload.store().retry();
    let mut failures = retry.start();
    let (mut unclear, mut gone_since) = (false, None);
    loop {
        let error = match upload.complete(parts).await {
            Ok(()) => break,
            Err(error) => error,
        };
        let looked = if may_have_passed(&error) || error.kind == Kind::NoUpload {
            Some(look(upload, ledger).await)
        } else {
            None
        };
        let next = judge(&error, unclear, looked.as_ref(), ledger.bytes());
        unclear |= may_have_passed(&error);
        match next {
            Next::Done => break,
            Next::Unseen => {
                tracing::warn!(
                    "{}: the answer to the completion was lost, and the upload is over since, as it should be; this key may \
                     not look at the object",
                    upload.object()
                );
                break;
            }
            Next::Again => sleep(failures.next_wait(error)?).await,
            Next::LookAgain => {
                if gone_since.get_or_insert_with(Instant::now).elapsed() >= APPEARS_WITHIN.min(retry.give_up_after) {
                    return Err(error);
                }
                sleep(LOOK_AGAIN).await;
            }
            Next::GiveUp => return Err(error),
        }
    }
    failures.passed();
    Ok(())
}

/// Whether a request that failed like this may have been carried out.
fn may_have_passed(error: &StoreError) -> bool {
    // These two say that nothing was done.
    error.kind == Kind::Passing && !matches!(error.status, Some(429 | 503))
}

/// What to do after an attempt to complete that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing: the object is there.
    Done,
    /// Nothing: an earlier attempt must have succeeded, although the object may not be looked at.
    Unseen,
    /// Complete again, if the failure may pass.
    Again,
    /// The object may appear yet.
    LookAgain,
    /// The upload is over, and has not become this object.
    GiveUp,
}

/// `unclear`: whether an earlier attempt may have succeeded; `looked`: what was found afterwards, where it was looked for.
fn judge(error: &StoreError, unclear: bool, looked: Option<&Result<Seen, StoreError>>, bytes: u64) -> Next {
    let over = error.kind == Kind::NoUpload;
    match looked {
        Some(Ok(Seen::Ours(size))) if *size == bytes => Next::Done,
        _ if !over => Next::Again,
        Some(Ok(Seen::Another(_) | Seen::Nothing)) if unclear => Next::LookAgain,
        // Some stores show an object before it is whole.
        Some(Ok(Seen::Ours(size))) if unclear && *size < bytes => Next::LookAgain,
        Some(Err(error)) if error.kind == Kind::Passing => Next::LookAgain,
        Some(Err(_)) if unclear => Next::Unseen,
        _ => Next::GiveUp,
    }
}

/// What is under the key of an upload that is over, or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The object that it became, of so many bytes.
    Ours(u64),
    /// Another object, of so many bytes.
    Another(u64),
    /// No object.
    Nothing,
}

/// Looks for the object that the upload became: by its version, and where that is none, at what is there.
async fn look(upload: &Upload, ledger: &Ledger) -> Result<Seen, StoreError> {
    let (store, key, upload_id) = (upload.store().once(), upload.key(), upload.id());
    match store.head(key, Some(upload_id)).await {
        Ok(Some(head)) if is_ours(&head, true, upload_id, ledger) => return Ok(Seen::Ours(head.size)),
        Err(error) if error.kind == Kind::Passing => return Err(error),
        // A key may be allowed to look at what is there, and not at versions.
        Ok(_) | Err(_) => {}
    }
    Ok(match store.head(key, None).await? {
        Some(head) if is_ours(&head, false, upload_id, ledger) => Seen::Ours(head.size),
        Some(head) => Seen::Another(head.size),
        None => Seen::Nothing,
    })
}

/// Whether this is what the upload became. `pinned`: it was asked for as the version of the upload's id.
fn is_ours(head: &Head, pinned: bool, upload_id: &str, ledger: &Ledger) -> bool {
    if head.version.as_deref() == Some(upload_id) {
        return true;
    }
    match (&head.etag, ledger.tag_of_whole(head.size)) {
        (Some(has), WholeTag::Is(due)) => has.eq_ignore_ascii_case(&due),
        (Some(_), WholeTag::NoSuchSize) => false,
        // Nothing can be compared: a store that does not name versions may know them all the same.
        (None, _) | (_, WholeTag::Unknown) => pinned && head.version.is_none(),
    }
}

/// What became of an upload that somebody else has ended.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It is an object of so many bytes.
    Completed(u64),
    /// It was aborted, and there is no object.
    Aborted,
    /// It was aborted, or completed and replaced: there is another object, of so many bytes.
    Replaced(u64),
    /// It could not be found out.
    Unknown(StoreError),
}

/// Finds out what became of an upload that the store does not know any more.
pub(crate) async fn fate(upload: &Upload, ledger: &Ledger) -> Fate {
    let retry = upload.store().at_most(FATE_PATIENCE).retry();
    match retry.run(|_| look(upload, ledger)).instrument(upload.span().clone()).await {
        Ok(Seen::Ours(bytes)) => Fate::Completed(bytes),
        Ok(Seen::Another(bytes)) => Fate::Replaced(bytes),
        Ok(Seen::Nothing) => Fate::Aborted,
        Err(error) => Fate::Unknown(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::part::PartSize;
    use crate::store::retry::Retry;
    use crate::store::scripted::{self, Asked, Op, Reply, Shelf};
    use crate::store::{Beginning, Store};

    const PART: u64 = 5_000_000;
    const HOUR: Retry = Retry { give_up_after: Duration::from_secs(3600) };

    /// An upload of two parts with its ledger.
    async fn upload(store: &Store) -> (Upload, Ledger) {
        let size = PartSize::new(PART).expect("in range");
        let live = Beginning { live_read: Some(size), ..Beginning::default() };
        let upload = Upload::begin(&store.patient(HOUR), "k", size, live).await.expect("it begins");
        let mut ledger = Ledger::default();
        for (number, len) in [(1, 5_000_000), (2, 7)] {
            let (number, body) = (PartNumber::new(number).expect("in range"), bytes::Bytes::from(vec![b'x'; len]));
            let etag = upload.put(number, body, Duration::from_secs(9)).await.expect("it is stored");
            ledger.note(number, etag, len as u64);
        }
        (upload, ledger)
    }

    async fn run(upload: &Upload, ledger: &Ledger) -> Result<(), StoreError> {
        let parts = ledger.close(PartSize::new(PART).expect("in range")).expect("no gap");
        finish(upload, ledger, &parts).await
    }

    /// A store whose upload ids are no versions, and which names none. Its object has the entity tag `tag`; once the upload
    /// is complete, the one that follows from the ledger.
    fn without_versions(
        shelf: &Shelf,
        mut tag: Option<&'static str>,
        ledger: &Ledger,
        mut script: impl FnMut(&Asked, usize) -> Reply + Send + 'static,
    ) {
        let WholeTag::Is(whole) = ledger.tag_of_whole(ledger.bytes()) else { panic!("parts have MD5s") };
        let (whole, size): (&str, _) = (whole.leak(), ledger.bytes().to_string());
        shelf.script(move |asked, nth| match (asked.op, &asked.version, tag) {
            (Op::Head, None, Some(tag)) => {
                let headers = vec![("content-length", size.clone()), ("etag", format!("\"{tag}\""))];
                Reply::Raw(200, headers, bytes::Bytes::new())
            }
            (Op::Head, None, None) => Reply::Status(404, ""),
            (Op::Head, Some(_), _) => Reply::Status(400, ""),
            _ => {
                let reply = script(asked, nth);
                if asked.op == Op::Complete && matches!(reply, Reply::Honest | Reply::Lost) {
                    tag = Some(whole);
                }
                reply
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_lost_is_looked_up_and_not_asked_for_again() {
        for versions in [true, false] {
            let (store, shelf) = scripted::store();
            let (made, ledger) = upload(&store).await;
            let lose = |asked: &Asked, _| if asked.op == Op::Complete { Reply::Lost } else { Reply::Honest };
            if versions {
                shelf.script(lose);
            } else {
                without_versions(&shelf, None, &ledger, lose);
            }
            run(&made, &ledger).await.expect("it is complete");
            assert_eq!(shelf.count(Op::Complete), 1, "{versions}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_of_the_same_size_from_another_day_is_not_taken_for_this_one() {
        let (store, shelf) = scripted::store();
        let old = shelf.begin("k", PART);
        shelf.put(&old, 1, vec![b'o'; 5_000_000]);
        shelf.put(&old, 2, vec![b'o'; 7]);
        shelf.complete(&old);
        let (made, ledger) = upload(&store).await;
        without_versions(&shelf, Some("an older one-2"), &ledger, |asked, nth| match (asked.op, nth) {
            (Op::Complete, 0 | 1) => Reply::Status(500, "InternalError"),
            _ => Reply::Honest,
        });
        run(&made, &ledger).await.expect("it is complete");
        assert_eq!(shelf.count(Op::Complete), 3);
        assert_eq!(shelf.object("k").expect("an object")[0], b'x');
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_appears_late_is_waited_for() {
        let (store, shelf) = scripted::store();
        let (made, ledger) = upload(&store).await;
        shelf.script(|asked, nth| match (asked.op, nth) {
            (Op::Complete, 0) => Reply::Lost,
            // The store does not show it yet: two heads for each look.
            (Op::Head, 0..20) => Reply::Status(404, ""),
            _ => Reply::Honest,
        });
        run(&made, &ledger).await.expect("it is complete");
        // For ever it is not.
        let (store, shelf) = scripted::store();
        let (made, ledger) = upload(&store).await;
        shelf.script(|asked, _| match asked.op {
            Op::Complete => Reply::Lost,
            Op::Head => Reply::Status(404, ""),
            _ => Reply::Honest,
        });
        let start = Instant::now();
        let error = run(&made, &ledger).await.expect_err("it never appears");
        assert!(error.kind == Kind::NoUpload || error.kind == Kind::Passing, "{error}");
        assert!(start.elapsed() <= Duration::from_secs(3600), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_somebody_else_has_ended_is_known_for_what_it_became() {
        let (store, shelf) = scripted::store();
        let (made, ledger) = upload(&store).await;
        shelf.abort(made.id());
        assert_eq!(run(&made, &ledger).await.expect_err("it is over").kind, Kind::NoUpload);
        assert!(matches!(fate(&made, &ledger).await, Fate::Aborted));
        without_versions(&shelf, Some("another-2"), &ledger, |_, _| Reply::Honest);
        assert!(matches!(fate(&made, &ledger).await, Fate::Replaced(5_000_007)));
        shelf.script(|_, _| Reply::Honest);
        let (made, ledger) = upload(&store).await;
        shelf.complete(made.id());
        run(&made, &ledger).await.expect("it has become what it should");
        assert!(matches!(fate(&made, &ledger).await, Fate::Completed(5_000_007)));
    }

    fn failing(kind: Kind, status: Option<u16>) -> StoreError {
        let mut error = StoreError::local("completing the upload", "s3://b/k".into(), kind, "it failed");
        error.status = status;
        error
    }

    #[test]
    fn a_completion_is_repeated_only_when_it_has_not_succeeded() {
        let (gone, cut) = (failing(Kind::NoUpload, Some(404)), failing(Kind::Passing, Some(200)));
        let refused = failing(Kind::Refused, Some(400));
        let denied = || Err(failing(Kind::Denied, Some(403)));
        let away = || Err(failing(Kind::Passing, None));
        // The failure, whether an earlier attempt was unclear, what was seen, and what follows for an object of 7 bytes.
        let cases = [
            (&cut, false, Some(Ok(Seen::Ours(7))), Next::Done),
            (&cut, false, Some(Ok(Seen::Nothing)), Next::Again),
            (&cut, false, Some(Ok(Seen::Another(7))), Next::Again),
            (&cut, false, Some(denied()), Next::Again),
            (&cut, true, Some(away()), Next::Again),
            (&gone, false, Some(Ok(Seen::Ours(7))), Next::Done),
            (&gone, true, Some(Ok(Seen::Ours(7))), Next::Done),
            (&gone, true, Some(Ok(Seen::Nothing)), Next::LookAgain),
            (&gone, true, Some(Ok(Seen::Another(7))), Next::LookAgain),
            (&gone, true, Some(denied()), Next::Unseen),
            (&gone, true, Some(away()), Next::LookAgain),
            // Not whole yet.
            (&gone, true, Some(Ok(Seen::Ours(6))), Next::LookAgain),
            // Somebody else has ended it.
            (&gone, false, Some(Ok(Seen::Nothing)), Next::GiveUp),
            (&gone, false, Some(Ok(Seen::Another(7))), Next::GiveUp),
            (&gone, false, Some(Ok(Seen::Ours(6))), Next::GiveUp),
            (&gone, true, Some(Ok(Seen::Ours(8))), Next::GiveUp),
            (&gone, false, Some(denied()), Next::GiveUp),
            // Whether that passes is not decided here.
            (&refused, false, None, Next::Again),
        ];
        for (error, unclear, looked, expected) in cases {
            assert_eq!(judge(error, unclear, looked.as_ref(), 7), expected, "{error} {unclear} {looked:?}");
        }
    }

    #[test]
    fn an_object_is_known_by_its_version_or_by_its_parts() {
        let mut ledger = Ledger::default();
        let note = |ledger: &mut Ledger, number, size, etag: &str| {
            ledger.note(PartNumber::new(number).expect("in range"), ETag(etag.to_owned()), size);
        };
        note(&mut ledger, 1, 5_000_000, "\"0cc175b9c0f1b6a831c399e269772661\"");
        note(&mut ledger, 2, 7, "92eb5ffee6ae2fec3ad71c777531578f");
        // As `printf HEX | xxd -r -p | md5sum` has it.
        let (tag, tag_of_first) = ("96e024ba2074fe77e8e965ba43a704be-2", "b6ff9a06b7e20bcb2858c5b8ff744aea-1");
        let head = |size, version: Option<&str>, etag: Option<&str>| Head {
            size,
            version: version.map(str::to_owned),
            etag: etag.map(str::to_owned),
            modified: None,
            recording: None,
            objects: None,
        };
        let cases = [
            // Whatever else it says, its version is the upload.
            (head(1, Some("u"), None), true),
            (head(5_000_007, Some("v"), Some(tag)), true),
            (head(5_000_007, None, Some(&tag.to_ascii_uppercase())), true),
            // Completed by somebody else, out of the first part alone.
            (head(5_000_000, None, Some(tag_of_first)), true),
            (head(5_000_007, Some("v"), Some("415290769594460e2e485922904f345d-2")), false),
            (head(5_000_007, None, Some("415290769594460e2e485922904f345d")), false),
            (head(6, None, Some(tag)), false),
            (head(5_000_007, Some("v"), None), false),
        ];
        for (head, expected) in &cases {
            for pinned in [false, true] {
                assert_eq!(is_ours(head, pinned, "u", &ledger), *expected, "{head:?} {pinned}");
            }
        }
        // Without anything to compare, a version that was asked for and found counts.
        assert!(is_ours(&head(5_000_007, None, None), true, "u", &ledger));
        assert!(!is_ours(&head(5_000_007, None, None), false, "u", &ledger));
        note(&mut ledger, 2, 7, "no MD5");
        assert!(is_ours(&head(5_000_007, None, Some(tag)), true, "u", &ledger));
        assert!(!is_ours(&head(5_000_007, None, Some(tag)), false, "u", &ledger));
    }
}
