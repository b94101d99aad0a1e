//! What `writer` says at its end: what is true now of what it wrote, and how to go on where that is not complete. Pure: each
//! message is made out of what happened, and nothing is asked.

use std::path::Path;

use super::going_on::{LeftOpen, Words};
use super::said::Said;
use crate::hls::rebuild::{RebuildError, Rebuilt};
use crate::human::shell::shell_word;
use crate::human::sizes::show_exactly;
use crate::store::CorsRule;
use crate::writer::cause::Cause;
use crate::writer::completion::Fate;
use crate::writer::kept::Kept;
use crate::writer::resume::ResumeError;
use crate::writer::rollover::{RollError, Rolled, Unfinished};
use crate::writer::setup_cors;
use crate::writer::upload::{Ended, WriteError};

/// How the upload of an input ended, and what it took (`bill`).
#[must_use]
pub fn upload(object: &str, result: &Result<Ended, WriteError>, bill: &str, words: &Words) -> Said {
    match result {
        Ok(Ended::Completed { bytes, parts }) => {
            let plural = if *parts == 1 { "part" } else { "parts" };
            let bytes = show_exactly(*bytes);
            Said::Info(format!("{object} is complete: {bytes} in {parts} {plural}, {bill}"))
        }
        Ok(Ended::Empty) => nothing_came(object),
        Err(error) => Said::Error(failed(object, error, words.left_open(""))),
    }
}

/// How an input ended that may have gone into several objects, from `key` on, and what it took (`bill`). `object` names a
/// key's object; `left`: keys and ids of the uploads that are open.
#[must_use]
pub fn recording(
    object: impl Fn(&str) -> String,
    key: &str,
    result: &Result<Rolled, RollError>,
    bill: &str,
    left: &[(String, String)],
    words: &Words,
) -> Said {
    let objects = match result {
        Ok(Rolled { objects }) => objects.as_slice(),
        Err(error) => return Said::Error(rolled(error, left, words.left_open(""))),
    };
    match objects {
        [] => nothing_came(&object(key)),
        [_] => Said::Info(format!("all is in one object; {bill}")),
        [first, .., last] => {
            let (count, bytes): (_, u64) = (objects.len(), objects.iter().map(|object| object.bytes).sum());
            let first = object(&first.key);
            let bytes = show_exactly(bytes);
            Said::Info(format!("all is in {count} objects, {first} to {}: {bytes}, {bill}", last.key))
        }
    }
}

fn nothing_came(object: &str) -> Said {
    Said::Warn(format!("there was no input at all, and an S3 upload cannot be empty: {object} was not made"))
}

/// Why an upload is not gone on with, and what to do with bytes that were `kept` when it is gone.
#[must_use]
pub fn not_taken_up(error: &ResumeError, kept: Option<&Path>, words: &Words) -> String {
    let cause = error.to_string();
    let retrieve = match (error, kept) {
        (ResumeError::NotOpen { .. } | ResumeError::NotOfIt { .. }, Some(kept)) => format!(
            ". `writer ANOTHER-KEY --kept {}{} </dev/null` makes an object of the bytes that were kept",
            shell_word(&kept.to_string_lossy()),
            words.options
        ),
        _ => String::new(),
    };
    format!("{}. Nothing has been changed{retrieve}", cause.trim_end_matches('.'))
}

/// How the making of a playlist ended.
#[must_use]
pub fn rebuilt(playlist: &str, result: &Result<Rebuilt, RebuildError>) -> Said {
    match result {
        Ok(Rebuilt { segments, seconds, ended, requests }) => {
            let state = if *ended { "" } else { "; the upload is open, so that it does not end there" };
            Said::Info(format!("{playlist} is written: {segments} segments, {seconds} s{state} ({requests} requests)"))
        }
        Err(error) => {
            let error = error.to_string();
            Said::Error(format!("{}. No playlist has been written", error.trim_end_matches('.')))
        }
    }
}

/// The question before `count` uploads are cancelled.
#[must_use]
pub fn whether_to_cancel(count: usize) -> String {
    let what = if count == 1 { "this upload".to_owned() } else { format!("these {count} uploads") };
    format!("Cancel {what}? What is stored of it is lost.")
}

/// The CORS rules that go, and those that there will be.
#[must_use]
pub fn cors(bucket: &str, there: &[CorsRule], wanted: &[CorsRule]) -> Vec<String> {
    let gone = there.iter().filter(|rule| !wanted.contains(rule)).map(|rule| ("no longer", rule));
    let word = |rule| if there.contains(rule) { "as before" } else { "new" };
    let lines = gone.chain(wanted.iter().map(|rule| (word(rule), rule)));
    lines.map(|(word, rule)| format!("{word} in s3://{bucket}: {}", setup_cors::show(rule))).collect()
}

/// The error with what is left of the upload, and how to go on. `object` is the key as messages name it; `words` have the
/// key, the input and the options.
#[must_use]
pub fn failed(object: &str, error: &WriteError, words: LeftOpen<'_>) -> String {
    let cause = error.cause.to_string();
    let cause = cause.trim_end_matches('.');
    let input = if let Cause::Source(input) = &error.cause { Some(input) } else { None };
    let words = LeftOpen { kept: error.kept.as_ref(), input, ..words };
    let rest = match (&error.left_open, &error.over, error.completed) {
        (_, Some((upload_id, fate)), _) => over(object, fate, LeftOpen { upload_id, ..words }),
        (Some((upload_id, bytes)), ..) => {
            let how = LeftOpen { upload_id, ..words }.how_to_go_on();
            format!("The {bytes} bytes that {object} holds stay readable. {how}")
        }
        (None, None, Some(bytes)) => format!("{object} was completed with the {bytes} bytes that it holds"),
        (None, None, None) => "Nothing has been uploaded".to_owned(),
    };
    format!("{cause}. {rest}")
}

/// The error of an input that went into several objects, with what is left of each, and how to go on with those that are
/// open (`left`: keys and upload ids).
#[must_use]
pub fn rolled(error: &RollError, left: &[(String, String)], words: LeftOpen<'_>) -> String {
    let words = LeftOpen { file: Path::new("-"), ..words };
    let mut texts: Vec<String> = error.cause.iter().map(ToString::to_string).collect();
    texts.extend(error.unfinished.iter().map(|left| unfinished(left, words)));
    let objects = if error.complete == 1 { "object is" } else { "objects are" };
    texts.push(format!("{} {objects} complete", error.complete));
    texts.extend(left.iter().map(|(key, upload_id)| {
        let of_it = error.unfinished.iter().find(|left| left.upload_id == *upload_id);
        LeftOpen { key, upload_id, kept: of_it.and_then(|left| left.kept.as_ref()), ..words }.how_to_go_on()
    }));
    let texts: Vec<&str> = texts.iter().map(|text| text.trim_end_matches('.')).collect();
    texts.join(". ")
}

fn unfinished(left: &Unfinished, words: LeftOpen<'_>) -> String {
    let Unfinished { object, key, upload_id, bytes, cause, kept, over: fate } = left;
    let why = cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    let why = why.trim_end_matches('.');
    match fate {
        Some(fate) => {
            let words = LeftOpen { key, upload_id, kept: kept.as_ref(), ..words };
            format!("{object} is not complete{why}. {}", over(object, fate, words))
        }
        None => format!("{object} is not complete{why}; the {bytes} bytes that it holds stay readable"),
    }
}

/// What became of an upload that somebody else has ended.
fn over(object: &str, fate: &Fate, words: LeftOpen<'_>) -> String {
    let LeftOpen { key, upload_id, file, options, kept, .. } = words;
    let again = match kept {
        Some(Kept::In(_)) => format!(". {}", LeftOpen { gone: true, ..words }.how_to_go_on()),
        Some(Kept::Lost { bytes, .. }) => format!("; {bytes} bytes that had been taken are lost"),
        _ if file == Path::new("-") => String::new(),
        _ => {
            let file = shell_word(&file.to_string_lossy());
            format!("; `writer {} {file}{options}` uploads all of it anew", shell_word(key))
        }
    };
    match fate {
        Fate::Completed(bytes) => format!(
            "Somebody else has completed the upload {upload_id}: {object} is an object of {bytes} bytes, and what came after \
             these is not in it{again}"
        ),
        Fate::Aborted => format!(
            "Somebody else, or a rule of the bucket, has aborted the upload {upload_id}: nothing of it is left in the \
             store{again}"
        ),
        Fate::Replaced(bytes) => format!(
            "The upload {upload_id} is over and cannot be gone on with: somebody else has aborted it, or completed it and \
             replaced the object. {object} is another object, of {bytes} bytes{again}"
        ),
        Fate::Unknown(error) => format!(
            "The upload {upload_id} is over and cannot be gone on with: somebody else has completed or aborted it. Which of \
             the two could not be found out: {}{again}",
            error.to_string().trim_end_matches('.')
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Kind, StoreError};

    fn refused(kind: Kind) -> StoreError {
        StoreError::local("uploading part 2", "s3://b/k".into(), kind, "the store answered so")
    }

    fn words<'a>(key: &'a str, file: &'a str) -> LeftOpen<'a> {
        LeftOpen { key, upload_id: "", file: Path::new(file), options: "", kept: None, input: None, gone: false }
    }

    fn told(file: &str, make: impl FnOnce(&mut WriteError)) -> String {
        let cause = Cause::Store(refused(Kind::NoUpload));
        let mut error = WriteError { cause, left_open: None, over: None, completed: None, kept: None };
        make(&mut error);
        failed("s3://b/my key", &error, words("my key", file))
    }

    /// The input, what happened, what is said, and what is not.
    type Case = (&'static str, String, &'static [&'static str], &'static [&'static str]);

    const ABORTED: &[&str] = &["aborted the upload u1", "nothing of it is left"];

    #[test]
    fn each_ending_is_told_as_it_is() {
        let of = |fate: Fate| move |error: &mut WriteError| error.over = Some(("u1".to_owned(), fate));
        let open = |error: &mut WriteError| error.left_open = Some(("u1".to_owned(), 7));
        let unknown = || Fate::Unknown(refused(Kind::Denied));
        let cases: [Case; 8] = [
            ("-", told("-", open), &["7 bytes", "stay readable", "`writer 'my key' --resume`", "u1"], &["anew"]),
            ("f", told("f", open), &["`writer 'my key' f --resume`"], &["anew"]),
            ("-", told("-", of(Fate::Aborted)), ABORTED, &["readable", "left open", "--resume", "anew"]),
            ("f", told("f", of(Fate::Aborted)), &["`writer 'my key' f` uploads all of it anew"], &["--resume"]),
            ("-", told("-", of(Fate::Completed(5))), &["is an object of 5 bytes"], &["left open", "--resume"]),
            ("-", told("-", of(Fate::Replaced(9))), &["another object, of 9 bytes"], &["left open", "--resume"]),
            ("-", told("-", of(unknown())), &["could not be found out"], &["left open", "--resume", ".."]),
            ("-", told("-", |error| error.completed = Some(7)), &["was completed with the 7 bytes"], &["--resume"]),
        ];
        for (input, text, said, unsaid) in cases {
            assert!(text.starts_with("uploading part 2 (s3://b/k): the store answered so. "), "{input}: {text}");
            for part in said {
                assert!(text.contains(part), "{part:?} of {input}: {text}");
            }
            for part in unsaid {
                assert!(!text.contains(part), "{part:?} of {input}: {text}");
            }
        }
        assert!(told("-", |_| ()).ends_with("Nothing has been uploaded"));
    }

    #[test]
    fn each_object_of_several_is_told_as_it_is() {
        let left = |number: u32, over| Unfinished {
            object: format!("s3://b/k-{number}"),
            key: format!("k-{number}"),
            upload_id: format!("u{number}"),
            bytes: 7,
            cause: Some(Cause::Store(refused(Kind::Refused))),
            kept: None,
            over,
        };
        let unfinished = vec![left(1, None), left(2, Some(Fate::Aborted))];
        let error = RollError { cause: Some(Cause::Store(refused(Kind::NoUpload))), unfinished, complete: 1 };
        let text = rolled(&error, &[("k-1".to_owned(), "u1".to_owned())], words("k", "-"));
        let first = "s3://b/k-1 is not complete: uploading part 2 (s3://b/k): the store answered so; the 7 bytes that it \
                     holds stay readable. ";
        assert!(text.contains(first), "{text}");
        assert!(
            text.contains("aborted the upload u2: nothing of it is left in the store. 1 object is complete. "),
            "{text}"
        );
        assert!(text.contains("`writer k-1 --resume`") && !text.contains("`writer k-2"), "{text}");
    }

    /// The words of a run that reads standard input.
    fn of(key: &str) -> Words {
        Words { key: key.to_owned(), file: "-".into(), options: " --bucket b".to_owned() }
    }

    #[test]
    fn a_good_end_is_told_with_what_it_took() {
        let info = |text: &str| Said::Info(text.to_owned());
        let ended = |parts| upload("s3://b/k", &Ok(Ended::Completed { bytes: 7, parts }), "1.0 s", &of("k"));
        assert_eq!(ended(1), info("s3://b/k is complete: 7 bytes in 1 part, 1.0 s"));
        assert_eq!(ended(2), info("s3://b/k is complete: 7 bytes in 2 parts, 1.0 s"));
        let empty = upload("s3://b/k", &Ok(Ended::Empty), "1.0 s", &of("k"));
        assert!(matches!(&empty, Said::Warn(text) if text.ends_with("s3://b/k was not made")), "{empty:?}");
        let name = |key: &str| format!("s3://b/{key}");
        let none = recording(name, "k", &Ok(Rolled { objects: Vec::new() }), "1.0 s", &[], &of("k"));
        assert_eq!(none, empty);
    }

    #[test]
    fn kept_bytes_have_another_way_when_their_upload_is_gone() {
        let gone = ResumeError::NotOpen { object: "s3://b/k".to_owned(), id: "u1".to_owned() };
        let text = not_taken_up(&gone, Some(Path::new("/s/a b.kept")), &of("k"));
        let how = "Nothing has been changed. `writer ANOTHER-KEY --kept '/s/a b.kept' --bucket b </dev/null` makes";
        assert!(text.contains(how) && !text.contains(".."), "{text}");
        let refused = ResumeError::Store(refused(Kind::Denied));
        for (error, kept) in [(&gone, None), (&refused, Some(Path::new("/s/a.kept")))] {
            assert!(not_taken_up(error, kept, &of("k")).ends_with(". Nothing has been changed"), "{error:?}");
        }
    }

    #[test]
    fn a_playlist_of_an_open_upload_does_not_end() {
        let told = |ended| rebuilt("s3://b/k.m3u8", &Ok(Rebuilt { segments: 3, seconds: 6, ended, requests: 2 }));
        let whole = "s3://b/k.m3u8 is written: 3 segments, 6 s (2 requests)";
        assert_eq!(told(true), Said::Info(whole.to_owned()));
        assert!(matches!(told(false), Said::Info(text) if text.contains("the upload is open")));
        let none = rebuilt("s3://b/k.m3u8", &Err(RebuildError::Empty("s3://b/k".to_owned())));
        let text = "s3://b/k: no segment of it is whole yet. No playlist has been written";
        assert_eq!(none, Said::Error(text.to_owned()));
    }

    #[test]
    fn the_question_counts_what_would_be_lost() {
        assert_eq!(whether_to_cancel(1), "Cancel this upload? What is stored of it is lost.");
        assert_eq!(whether_to_cancel(3), "Cancel these 3 uploads? What is stored of it is lost.");
    }

    #[test]
    fn rules_that_go_are_told_before_those_that_stay() {
        let rule = |origin: &str| setup_cors::wanted(&[], &[origin.to_owned()]).expect("a rule").remove(0);
        let (old, new) = ([rule("https://old.example")], [rule("https://new.example")]);
        let lines = cors("b", &old, &new);
        assert!(lines[0].starts_with("no longer in s3://b: ") && lines[1].starts_with("new in s3://b: "), "{lines:?}");
        let lines = cors("b", &old, &[&old[..], &new].concat());
        assert!(lines.len() == 2 && lines[0].starts_with("as before in s3://b: "), "{lines:?}");
    }
}
