//! `--list`: what is live and what is recorded, a line each on standard output.

use std::io::{self, Write};

use crate::human::sizes::show_bytes;
use crate::message::log_lines::safe;
use crate::object::listing::{Entry, State};
use crate::object::wanted::Wanted;
use crate::reader::list;
use crate::store::Patient;
use crate::tool::clock;
use crate::tool::exit::Exit;

/// Bytes of a line: the longest key, with what a terminal would obey written out.
const LINE: usize = 8 << 10;

/// Lists what begins with `prefix`; `wanted` is a template.
pub async fn list(wanted: &Wanted, prefix: &str, json: bool, store: &Patient) -> Exit {
    let mut written = Ok(());
    let mut some = false;
    let result = list::list(store, wanted, prefix, |entries| {
        some |= !entries.is_empty();
        if written.is_ok() {
            let now = clock::seconds();
            let lines: String = entries.iter().map(|entry| line(entry, json, now)).collect();
            let mut out = io::stdout().lock();
            written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
        }
    });
    if let Err(error) = result.await {
        tracing::error!("{error}");
        return Exit::Failed;
    }
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            tracing::error!("cannot write to standard output: {error}");
            Exit::Failed
        }
        _ => {
            if !some {
                tracing::info!("there is nothing in {}", store.object(prefix));
            }
            Exit::Done
        }
    }
}

/// An object in a line: for programs, or for people at this time. Pure.
fn line(entry: &Entry, json: bool, now: i64) -> String {
    if json {
        return serde_json::to_string(entry).map(|text| format!("{text}\n")).unwrap_or_default();
    }
    let state = match entry.state {
        State::Live => "live",
        State::Recorded => "recorded",
        State::Uploading => "uploading",
    };
    let age = entry.since.map_or_else(|| "?".to_owned(), |since| age(now.saturating_sub(since)));
    let size = entry.size.map_or_else(|| "?".to_owned(), show_bytes);
    let duration = entry.duration.map_or_else(|| "-".to_owned(), duration);
    format!("{state:<9}  {age:>8}  {size:>9}  {duration:>8}  {}\n", safe(&entry.key, LINE))
}

/// How long something plays: `1:02:03`, `2:03`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// How long ago something was: in one unit, rounded down.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_a_line_for_people_or_for_programs() {
        let entry = |key: &str, state, size, since| Entry {
            key: key.to_owned(),
            state,
            size,
            since,
            duration: None,
            upload_id: None,
        };
        let live = entry("live.mp4", State::Live, Some(12_000_000), Some(1_000));
        assert_eq!(line(&live, false, 1_090), "live           90 s    12.0 MB         -  live.mp4\n");
        assert_eq!(
            line(&live, true, 0),
            "{\"key\":\"live.mp4\",\"state\":\"live\",\"size\":12000000,\"since\":1000}\n"
        );
        let old = entry("a\nb", State::Recorded, Some(5), Some(0));
        assert_eq!(line(&old, false, 400_000), "recorded        4 d        5 B         -  a\\nb\n");
        let timed = Entry { duration: Some(754), ..old };
        assert_eq!(line(&timed, false, 400_000), "recorded        4 d        5 B     12:34  a\\nb\n");
        assert!(line(&timed, true, 0).contains("\"duration\":754"));
        assert_eq!([0, 59, 3_600, 36_610].map(duration), ["0:00", "0:59", "1:00:00", "10:10:10"]);
        let unknown = entry("c", State::Uploading, None, None);
        assert_eq!(line(&unknown, false, 0), "uploading         ?          ?         -  c\n");
        assert_eq!([0, 119, 120, 7_199, 7_200, 172_800].map(age), ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
