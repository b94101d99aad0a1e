//! What `writer` says of an upload that did not end well: what is true of it now, and how to go on. Pure: each message is
//! made out of what happened, and nothing is asked.

use std::path::Path;

use super::going_on::LeftOpen;
use crate::human::shell::shell_word;
use crate::writer::completion::Fate;
use crate::writer::kept::Kept;
use crate::writer::rollover::{RollError, Unfinished};
use crate::writer::upload::{Cause, WriteError};

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
}
