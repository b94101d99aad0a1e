//! An honest object or upload in memory, for servers that lie about something else.

// Each test file uses a part of this.
#![allow(dead_code)]

use super::liar::{Answer, Asked, Op};

/// An honest object or upload, for scripts that lie about something else.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its upload or version id.
    pub id: String,
    /// Its entity tag.
    pub etag: String,
    /// Whether it is complete: in no list of uploads, and to be had by a plain HEAD.
    pub finished: bool,
}

impl Recording {
    /// A complete object.
    pub fn finished(data: Vec<u8>) -> Self {
        Self { data, id: "v1".to_owned(), etag: "e1".to_owned(), finished: true }
    }

    /// An upload that stays open.
    pub fn open(data: Vec<u8>) -> Self {
        Self { finished: false, ..Self::finished(data) }
    }

    /// What an honest store that holds nothing else answers.
    pub fn answer(&self, asked: &Asked) -> Answer {
        let length = self.data.len() as u64;
        let named = |answer: Answer| {
            let etag = format!("\"{}\"", self.etag);
            answer.header("x-amz-version-id", &self.id).header("etag", etag)
        };
        let here = asked.query("versionId").is_none_or(|id| id == self.id);
        match asked.op {
            Op::HeadBucket => Answer::new(200),
            Op::HeadObject if self.finished && here => named(Answer::new(200).declares(length)),
            Op::HeadObject => Answer::new(404),
            Op::GetObject if !here || !(self.finished || asked.is_live()) => Answer::error(404, "NoSuchKey", "None."),
            Op::GetObject => match asked.range() {
                Some((first, _)) if first >= length => Answer::error(416, "InvalidRange", "Not yet."),
                Some((first, last)) => {
                    let last = last.min(length - 1);
                    let at = |offset: u64| usize::try_from(offset).expect("in memory");
                    let total = if self.finished { length.to_string() } else { "*".to_owned() };
                    let range = format!("bytes {first}-{last}/{total}");
                    let body = self.data[at(first)..=at(last)].to_vec();
                    named(Answer::new(206).header("content-range", range).body(body))
                }
                None => named(Answer::new(200).body(self.data.clone())),
            },
            Op::ListUploads => {
                let key = asked.query("prefix").unwrap_or_default();
                let uploads = if self.finished { String::new() } else { upload(key, &self.id) };
                uploads_list(&uploads)
            }
            _ => Answer::error(501, "NotImplemented", "Not here."),
        }
    }
}

/// An entry of a list of open uploads.
pub fn upload(key: &str, id: &str) -> String {
    let at = "2026-01-31T12:00:00.000Z";
    format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{at}</Initiated></Upload>")
}

/// A list of open uploads, out of its entries.
pub fn uploads_list(entries: &str) -> Answer {
    let list = format!("<IsTruncated>false</IsTruncated>{entries}");
    Answer::xml(200, &format!("<ListMultipartUploadsResult>{list}</ListMultipartUploadsResult>"))
}
