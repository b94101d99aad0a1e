//! Standard error as a bounded queue and a thread that writes it: a terminal that is stopped, or a pipe that nobody reads, holds
//! nothing else up. What does not fit is dropped, the oldest first, and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that wait at most.
const LIMIT: usize = 256 * 1024;

/// How long the end of a program waits for messages that are not written yet.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Takes a status line away.
const ERASE: &str = "\r\x1b[K";

/// Where messages go.
#[derive(Debug, Clone)]
pub struct Outlet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    done: Condvar,
}

#[derive(Debug)]
struct Queue {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
    /// How to say how many were dropped.
    notice: fn(u64) -> String,
    status: Status,
    /// Whether a status line stands at the cursor.
    shown: bool,
    /// Whether something is being written.
    busy: bool,
    /// Whether there is a thread that writes.
    served: bool,
}

/// What to do about the status line.
#[derive(Debug, Default)]
enum Status {
    #[default]
    Leave,
    Draw(String),
    Erase,
}

/// Standard error of this process.
pub fn outlet() -> &'static Outlet {
    static OUTLET: OnceLock<Outlet> = OnceLock::new();
    OUTLET.get_or_init(|| Outlet::start(|bytes| io::stderr().lock().write(bytes)))
}

impl Outlet {
    /// Starts the thread, which hands what it gets to `write`.
    fn start(write: impl FnMut(&[u8]) -> io::Result<usize> + Send + 'static) -> Self {
        let queue = Queue {
            lines: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            notice: |count| format!("{count} messages were dropped: standard error was not read\n"),
            status: Status::Leave,
            shown: false,
            busy: false,
            served: true,
        };
        let outlet = Self(Arc::new(Shared { queue: Mutex::new(queue), more: Condvar::new(), done: Condvar::new() }));
        let served = outlet.clone();
        let thread = std::thread::Builder::new().name("messages".to_owned()).spawn(move || served.serve(write));
        if thread.is_err() {
            outlet.lock().served = false;
        }
        outlet
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How to say that messages were dropped.
    pub fn set_notice(&self, notice: fn(u64) -> String) {
        self.lock().notice = notice;
    }

    /// Has a line written, its end included. Does not wait.
    pub fn line(&self, line: String) {
        let mut queue = self.lock();
        if !queue.served {
            // Without the thread this is all that can be done; where it fails, there is nowhere else to say so.
            drop(io::stderr().lock().write_all(line.as_bytes()));
            return;
        }
        queue.status = Status::Leave;
        queue.bytes += line.len();
        queue.lines.push_back(line);
        // The newest tell most, above all the last: why a tool has ended.
        while queue.bytes > LIMIT && queue.lines.len() > 1 {
            let oldest = queue.lines.pop_front().map_or(0, |line| line.len());
            queue.bytes -= oldest;
            queue.dropped += 1;
        }
        drop(queue);
        self.0.more.notify_one();
    }

    /// Puts `line` in the place of the last status line, as soon as nothing else is to be written.
    pub fn status(&self, line: String) {
        self.lock().status = Status::Draw(line);
        self.0.more.notify_one();
    }

    /// Takes the status line away.
    pub fn clear(&self) {
        let mut queue = self.lock();
        queue.status = if queue.shown { Status::Erase } else { Status::Leave };
        drop(queue);
        self.0.more.notify_one();
    }

    /// Waits until all is written, for so long at most.
    pub fn settle(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut queue = self.lock();
        while queue.served && !queue.is_done() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.0.done.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn serve(&self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) {
        let mut queue = self.lock();
        loop {
            if let Some(text) = queue.next() {
                queue.busy = true;
                drop(queue);
                write_all(&mut write, text.as_bytes());
                queue = self.lock();
                queue.busy = false;
            } else {
                self.0.done.notify_all();
                queue = self.0.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Queue {
    /// What to write next.
    fn next(&mut self) -> Option<String> {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.len();
            let erase = if std::mem::take(&mut self.shown) { ERASE } else { "" };
            let notice = match std::mem::take(&mut self.dropped) {
                0 => String::new(),
                count => (self.notice)(count),
            };
            return Some(format!("{erase}{notice}{line}"));
        }
        match std::mem::take(&mut self.status) {
            Status::Leave => None,
            Status::Draw(line) => {
                self.shown = true;
                Some(format!("{ERASE}{line}"))
            }
            Status::Erase => std::mem::take(&mut self.shown).then(|| ERASE.to_owned()),
        }
    }

    fn is_done(&self) -> bool {
        self.lines.is_empty() && matches!(self.status, Status::Leave) && !self.busy
    }
}

/// Writes all of it, also where another program has made the terminal non-blocking. A failure is final for these bytes alone:
/// standard error may be closed or full, and there is nowhere to say so.
fn write_all(write: &mut impl FnMut(&[u8]) -> io::Result<usize>, mut bytes: &[u8]) {
    const BREATH: Duration = Duration::from_millis(20);
    while !bytes.is_empty() {
        match write(bytes) {
            Ok(0) => return,
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(BREATH),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An outlet of which each write waits for a permission, and what it has written.
    fn gated() -> (Outlet, mpsc::Sender<()>, Arc<Mutex<String>>) {
        let (permit, permits) = mpsc::channel();
        let written = Arc::<Mutex<String>>::default();
        let into = Arc::clone(&written);
        let outlet = Outlet::start(move |bytes| {
            permits.recv().map_err(io::Error::other)?;
            into.lock().expect("the text").push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        });
        (outlet, permit, written)
    }

    #[test]
    fn nobody_waits_for_messages_that_are_not_read_and_the_newest_are_kept() {
        let (outlet, permit, written) = gated();
        for number in 0..10_000 {
            outlet.line(format!("{number:0>99}\n"));
        }
        let began = Instant::now();
        outlet.settle(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20), "it did not wait");
        assert!(outlet.lock().bytes <= LIMIT);
        for _ in 0..=10_000 {
            permit.send(()).expect("the writing thread");
        }
        outlet.settle(Duration::from_secs(30));
        let text = written.lock().expect("the text").clone();
        assert!(text.ends_with("9999\n"), "the last is missing");
        let said = text.lines().filter_map(|line| line.split_once(" messages were dropped"));
        let dropped: usize = said.map(|(count, _)| count.parse::<usize>().expect("a number")).sum();
        let lines = text.lines().filter(|line| line.len() == 99).count();
        assert_eq!(lines + dropped, 10_000);
        assert!(dropped > 5000, "{dropped}");
    }

    #[test]
    fn a_status_line_gives_way_to_lines_and_is_never_queued() {
        let (outlet, permit, written) = gated();
        outlet.line("first\n".to_owned());
        for number in 0..1000 {
            outlet.status(format!("status {number}"));
        }
        permit.send(()).and_then(|()| permit.send(())).expect("the writing thread");
        outlet.settle(Duration::from_secs(30));
        outlet.line("second\n".to_owned());
        permit.send(()).expect("the writing thread");
        outlet.settle(Duration::from_secs(30));
        assert_eq!(*written.lock().expect("the text"), "first\n\r\x1b[Kstatus 999\r\x1b[Ksecond\n");
        outlet.clear();
        outlet.settle(Duration::ZERO);
        assert!(outlet.lock().is_done(), "there is nothing to take away");
    }

    #[test]
    fn a_terminal_that_is_busy_for_a_moment_loses_nothing() {
        let mut answers =
            vec![Ok(2), Err(io::ErrorKind::WouldBlock), Err(io::ErrorKind::Interrupted), Ok(1)].into_iter();
        let mut written = Vec::new();
        let mut write = |bytes: &[u8]| {
            let count = answers.next().unwrap_or(Ok(bytes.len()))?;
            written.extend_from_slice(&bytes[..count]);
            Ok(count)
        };
        write_all(&mut write, b"message");
        assert_eq!(written, b"message");
    }
}
