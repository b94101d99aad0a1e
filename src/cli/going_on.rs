//! What to type to go on with an upload that was left open. Pure: in words, for the last message of `writer`.

use std::path::{Path, PathBuf};

use crate::human::shell::shell_word;
use crate::human::sizes::show_bytes;
use crate::store::Connection;
use crate::writer::kept::{Kept, Written};
use crate::writer::source::SourceError;

/// What messages need of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The object's key.
    pub key: String,
    /// The input; `-` is standard input.
    pub file: PathBuf,
    /// Options that the next run needs too, with a blank before each.
    pub options: String,
}

impl Words {
    /// The words for an upload of `key`. What the environment tells (`usual_bucket`) need not be typed.
    #[must_use]
    pub fn of(key: &str, file: &Path, connection: &Connection, usual_bucket: Option<&str>) -> Self {
        let mut options = String::new();
        if usual_bucket != Some(connection.bucket.as_str()) {
            options = format!(" --bucket {}", shell_word(&connection.bucket));
        }
        if let Some(url) = &connection.endpoint_url {
            options = format!("{options} --endpoint-url {}", shell_word(url));
        }
        Self { key: key.to_owned(), file: file.to_owned(), options }
    }

    /// An upload that was left open, of which nothing else is known.
    #[must_use]
    pub fn left_open<'a>(&'a self, upload_id: &'a str) -> LeftOpen<'a> {
        let Self { key, file, options } = self;
        LeftOpen { key, upload_id, file, options, kept: None, input: None, gone: false }
    }
}

/// An upload that was left open.
#[derive(Debug, Clone, Copy)]
pub struct LeftOpen<'a> {
    /// The object's key.
    pub key: &'a str,
    /// The upload.
    pub upload_id: &'a str,
    /// The input; `-` is standard input.
    pub file: &'a Path,
    /// Options that the next run needs too, with a blank before each.
    pub options: &'a str,
    /// What became of the bytes that were taken and not stored.
    pub kept: Option<&'a Kept>,
    /// What happened to the input, if that is the reason.
    pub input: Option<&'a SourceError>,
    /// Whether the store knows the upload no more.
    pub gone: bool,
}

impl LeftOpen<'_> {
    /// What to do about it, in sentences without a full stop at the end.
    #[must_use]
    pub fn how_to_go_on(&self) -> String {
        let (key, id, options) = (shell_word(self.key), self.upload_id, self.options);
        let lost = match self.kept {
            Some(Kept::In(kept)) => return self.with_kept(kept),
            Some(Kept::Noted) => {
                return format!(
                    "The upload is left open: the same command, started again within an hour, goes on with it behind all that was \
                     taken (the same --spool-dir), `writer {key} --abort{options}` cancels it (upload id {id})"
                );
            }
            Some(Kept::Lost { bytes, dir, cause }) => format!(
                "{bytes} bytes that had been taken are lost: they could not be kept in {} ({cause}); see --spool-dir. ",
                dir.display()
            ),
            None => String::new(),
        };
        let abort = format!("`writer {key} --abort{options}` cancels it (upload id {id})");
        let stdin = format!("`writer {key} --resume --upload-id {}{options} </dev/null`", shell_word(id));
        let file = self.file.display();
        let how = match self.input {
            Some(SourceError::Gone { .. }) => format!(
                "{stdin} completes it with what it holds; if {file} was only renamed, `writer {key} NEW-NAME --resume \
                 --upload-id {}{options}` goes on with it; {abort}",
                shell_word(id)
            ),
            Some(error) if error.is_change() => format!(
                "{stdin} completes it with what it holds. What {file} holds now is something else and belongs into an object \
                 of its own: `writer ANOTHER-KEY {}{options}`; {abort}",
                shell_word(&self.file.to_string_lossy())
            ),
            _ => {
                let input = if self.file == Path::new("-") {
                    String::new()
                } else {
                    format!(" {}", shell_word(&self.file.to_string_lossy()))
                };
                format!("`writer {key}{input} --resume{options}` goes on with it, {abort}")
            }
        };
        format!("{lost}The upload is left open: {how}")
    }

    /// With a file that holds what was not stored.
    fn with_kept(&self, kept: &Written) -> String {
        let Written { path, bytes, lost } = kept;
        let (key, id, options) = (shell_word(self.key), shell_word(self.upload_id), self.options);
        let path = shell_word(&path.to_string_lossy());
        let kept = format!("{bytes} bytes ({}) that were taken and not stored are kept in {path}", show_bytes(*bytes));
        if *lost > 0 {
            return format!(
                "{kept}; {lost} bytes more are lost: there was no room for them on the disk. The upload is left open (upload id \
                 {id}), and cannot be gone on with: `writer ANOTHER-KEY --kept {path}{options} </dev/null` makes an object of \
                 what was kept"
            );
        }
        if self.gone {
            return format!(
                "{kept}. The upload {id} is gone: `writer ANOTHER-KEY --kept {path}{options} </dev/null` makes an object of them"
            );
        }
        format!(
            "{kept}. The upload is left open: `writer {key} --resume --upload-id {id} --kept {path}{options} </dev/null` \
             completes it with them (or give it the rest of the input in place of /dev/null), `writer {key} --abort{options}` \
             cancels it (upload id {id})"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Access;
    use crate::store::retry::Retry;

    fn words(file: &str, kept: Option<&Kept>, input: Option<&SourceError>, gone: bool) -> String {
        let file = Path::new(file);
        let (key, upload_id, options) = ("live/a b.mp4", "4_z1", " --bucket other");
        LeftOpen { key, upload_id, file, options, kept, input, gone }.how_to_go_on()
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_not_take_it_as_one() {
        assert_eq!(shell_word("live/match-1.mp4"), "live/match-1.mp4");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn what_the_environment_tells_need_not_be_typed() {
        let of = |bucket: &str, url: Option<&str>, usual| {
            let (bucket, endpoint_url) = (bucket.to_owned(), url.map(str::to_owned));
            let (access, retry) = (Access::Credentials, Retry { give_up_after: Duration::ZERO });
            let connection = Connection { bucket, endpoint_url, path_style: false, access, stall_timeout: None, retry };
            Words::of("k", Path::new("-"), &connection, usual).options
        };
        assert_eq!(of("b", None, Some("b")), "");
        assert_eq!(of("b", None, Some("other")), " --bucket b");
        assert_eq!(of("b", Some("http://h:1/a b"), None), " --bucket b --endpoint-url 'http://h:1/a b'");
    }

    /// The input, what was kept, what happened to it, whether the upload is gone; what is said, and what must not be.
    type Case<'a> = (&'a str, Option<&'a Kept>, Option<&'a SourceError>, bool, &'a [&'a str], &'a str);

    #[test]
    fn each_case_has_its_own_command() {
        let path = PathBuf::from("rec.mp4");
        let gone = SourceError::Gone { path: path.clone(), taken: 7 };
        let replaced = SourceError::Replaced { path: path.clone(), taken: 7 };
        let kept = Kept::In(Written { path: "/s/a.kept".into(), bytes: 7, lost: 0 });
        let half = Kept::In(Written { path: "/s/a.kept".into(), bytes: 7, lost: 9 });
        let lost = Kept::Lost { bytes: 7, dir: "/s".into(), cause: "disk full".to_owned() };
        let unread = SourceError::Read { input: "rec.mp4".to_owned(), cause: std::io::ErrorKind::Other.into() };
        let by_file = "`writer 'live/a b.mp4' rec.mp4 --resume --bucket other` goes on";
        let by_stdin = "`writer 'live/a b.mp4' --resume --bucket other` goes on";
        let as_it_is = "`writer 'live/a b.mp4' --resume --upload-id 4_z1 --bucket other </dev/null` completes it";
        let with_kept =
            "`writer 'live/a b.mp4' --resume --upload-id 4_z1 --kept /s/a.kept --bucket other </dev/null` completes it";
        let own_object =
            "`writer ANOTHER-KEY --kept /s/a.kept --bucket other </dev/null` makes an object of what was kept";
        let own = "`writer ANOTHER-KEY --kept /s/a.kept --bucket other </dev/null` makes an object of them";
        let cases: [Case<'_>; 10] = [
            ("-", None, None, false, &[by_stdin, "--abort"], "--upload-id"),
            ("rec.mp4", None, None, false, &[by_file], "/dev/null"),
            ("rec.mp4", None, Some(&unread), false, &[by_file], "/dev/null"),
            (
                "rec.mp4",
                None,
                Some(&gone),
                false,
                &[as_it_is, "NEW-NAME --resume --upload-id 4_z1"],
                "rec.mp4 --resume",
            ),
            ("rec.mp4", None, Some(&replaced), false, &[as_it_is, "`writer ANOTHER-KEY rec.mp4"], "rec.mp4 --resume"),
            ("-", Some(&kept), None, false, &[with_kept, "7 bytes", "--abort"], "lost"),
            ("rec.mp4", Some(&kept), Some(&replaced), false, &[with_kept], "rec.mp4"),
            ("-", Some(&kept), None, true, &[own], "--resume"),
            ("-", Some(&half), None, false, &[own_object, "9 bytes more are lost"], "--resume"),
            ("-", Some(&lost), None, false, &["7 bytes", "are lost", "/s (disk full)", by_stdin], "--kept"),
        ];
        for (file, kept, input, gone, says, not) in cases {
            let words = words(file, kept, input, gone);
            assert!(says.iter().all(|says| words.contains(says)) && !words.contains(not), "{words}");
        }
    }
}
