//! What happened, and whether all of it is as it should be.

use std::time::Duration;

use anyhow::Result;

use crate::live::{self, Run};
use crate::show::{grouped, megabytes, say, seconds};
use crate::tap::Tap;
use crate::{PART_SIZE, Settings, lag};

/// Prints the summary; true when nothing differs.
pub(crate) fn print(settings: &Settings, run: &Run, again: Result<Tap>) -> bool {
    let mut problems = run.problems.clone();
    let (sent, received) = (&run.sent, &run.received);
    let first_in = sent.first().unwrap_or_default();
    let live = received.bytes_at(sent.last().unwrap_or_default());
    let took = sent.last().unwrap_or_default().saturating_sub(first_in);

    say!("\nWhat happened");
    let row = |name: &str, what: String| say!("  {name:<14} {what}");
    row(
        "sent",
        format!(
            "{} bytes in {}{}, {} frames",
            grouped(sent.bytes()),
            seconds(took),
            rate(sent.bytes(), took),
            run.frames_sent
        ),
    );
    row("parts", parts(run));
    if let Some(first_out) = received.first() {
        let wait = seconds(first_out.saturating_sub(first_in));
        row("first byte", format!("readable {wait} after it was sent, when its part was full"));
    }
    if let Some(lag) = sent.with_marks(|i| received.with_marks(|o| lag::lag(i, o))) {
        row("behind live", format!("{} in the median, {} at worst", seconds(lag.median), seconds(lag.worst)));
    }
    row("received", format!("{} bytes, {} of them before the last was sent", grouped(received.bytes()), grouped(live)));
    row("decoded", format!("{} frames", run.frames_decoded));

    let (hash_in, hash_out) = (sent.sha256(), received.sha256());
    row("SHA-256", format!("{hash_in} sent"));
    row("", format!("{hash_out} received live"));
    match again {
        Ok(again) => {
            row("", format!("{} in the finished object", again.sha256()));
            if again.sha256() != hash_in {
                problems.push("the finished object differs from what was sent".into());
            }
        }
        Err(error) => problems.push(format!("the finished object could not be read: {error:#}")),
    }
    let picture = settings.out.join(live::RECEIVED);
    if picture.is_file() {
        row("picture", format!("{}, out of the reader", picture.display()));
    } else {
        problems.push("no picture came out of the reader".into());
    }
    let both = settings.out.join(live::BOTH);
    if both.is_file() {
        row("", format!("{}: sent on the left, received on the right, at one moment", both.display()));
    }
    row("stream", settings.out.join("stream.mp4").display().to_string());

    if sent.bytes() == 0 {
        problems.push("nothing was sent".into());
    }
    if live == 0 && sent.bytes() > 2 * PART_SIZE {
        problems.push("nothing could be read before the end, so it was not live".into());
    }
    if hash_in != hash_out {
        problems.push("what came out of reader differs from what went into writer".into());
    }
    if run.frames_sent != run.frames_decoded {
        problems.push("not as many frames were decoded as were sent".into());
    }
    if run.complaints > 0 {
        problems.push("the decoder complained of the stream".into());
    }
    say!("");
    for problem in &problems {
        say!("WRONG: {problem}.");
    }
    if problems.is_empty() {
        say!("All of it came through, unchanged.");
        say!("\nWhat next");
        let next = |command: &str, what: &str| say!("  {command:<14} {what}");
        next("make demo-web", "the same live in your browser: it prints a link to open");
        next("make install", "writer and reader into ~/.local/bin");
        next("README.md", "from OBS to the browser, in four steps");
    }
    problems.is_empty()
}

fn rate(bytes: u64, took: Duration) -> String {
    let Some(bits_per_ms) = u128::from(bytes * 8).checked_div(took.as_millis()) else {
        return String::new();
    };
    format!(" ({}.{} Mbit/s)", bits_per_ms / 1000, bits_per_ms % 1000 / 100)
}

/// As the writer counted them.
fn parts(run: &Run) -> String {
    let size = megabytes(PART_SIZE);
    let words: Vec<&str> = run.writer_said.split_whitespace().collect();
    let counted =
        words.windows(2).find(|pair| pair[1].starts_with("part")).and_then(|pair| pair[0].parse::<u64>().ok());
    match counted {
        Some(1) => format!("1, of at most {size}"),
        Some(count) => format!("{count}, of {size} each but the last"),
        None => format!("of {size} each but the last"),
    }
}
