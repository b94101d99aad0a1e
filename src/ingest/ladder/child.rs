//! The program that makes a ladder: started with a queue to its standard input, watched, and ended.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use tokio::time::{Instant, sleep};

use super::tee::Pipe;

/// How often it is seen whether it has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long it has to end when all has been given to it, and when it is told to.
const TO_END: Duration = Duration::from_secs(20);
const TO_OBEY: Duration = Duration::from_secs(5);
/// How much it gives way to others.
const NICE: i32 = 5;
/// What is kept of what it says.
const LINES: usize = 20;
const LINE: usize = 300;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    pid: Option<Pid>,
    said: Arc<Mutex<VecDeque<String>>>,
    listener: Option<thread::JoinHandle<()>>,
}

impl Child {
    /// Starts it, apart from the signals of a terminal.
    pub(super) fn start(program: &str, arguments: &[String]) -> io::Result<(Self, Pipe)> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        // It sends to this machine alone, and needs no key to any store.
        for name in ["http_proxy", "HTTP_PROXY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            command.env_remove(name);
        }
        let mut process = command.spawn()?;
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        // It runs well without, too.
        let _ = setpriority_process(pid, NICE);
        let (pieces, queue) = mpsc::channel::<Bytes>();
        let (held, said) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<VecDeque<String>>>::default());
        if let Some(mut stdin) = process.stdin.take() {
            let held = held.clone();
            thread::Builder::new().name("ladder-in".to_owned()).spawn(move || {
                for piece in queue {
                    // Once it is gone nothing is to be done for it.
                    if stdin.write_all(&piece).is_err() {
                        return;
                    }
                    held.fetch_sub(piece.len(), Relaxed);
                }
            })?;
        }
        let mut listener = None;
        if let Some(stderr) = process.stderr.take() {
            let said = said.clone();
            listener = Some(thread::Builder::new().name("ladder-err".to_owned()).spawn(move || listen(stderr, &said))?);
        }
        Ok((Self { process, pid, said, listener }, Pipe { pieces, held }))
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        loop {
            match self.process.try_wait() {
                Ok(None) => sleep(LOOK).await,
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }

    /// Has it end, once all has been given to it: by itself, else by signals.
    pub(super) async fn see_off(&mut self) {
        let began = Instant::now();
        for (signal, patience) in [(None, TO_END), (Some(Signal::INT), TO_OBEY)] {
            if let Some(signal) = signal {
                tracing::debug!("ffmpeg has not ended in {:.0} s: it is told to", began.elapsed().as_secs_f32());
                self.signal(signal);
            }
            if tokio::time::timeout(patience, self.ended()).await.is_ok() {
                return;
            }
        }
        self.kill().await;
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    fn signal(&mut self, signal: Signal) {
        // Until it has been seen to have ended, its number is nobody else's.
        if let (Ok(None), Some(pid)) = (self.process.try_wait(), self.pid) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// The last of what it said.
    pub(super) fn last_words(&mut self) -> Vec<String> {
        if let Some(listener) = self.listener.take() {
            // It has ended, and so has what it says.
            drop(listener.join());
        }
        self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.process.try_wait());
    }
}

/// Keeps the last lines.
fn listen(stderr: impl io::Read, said: &Mutex<VecDeque<String>>) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text: String =
            String::from_utf8_lossy(&line).trim_end().chars().filter(|c| !c.is_control()).take(LINE).collect();
        line.clear();
        // Where each rendition is sent nobody else is to know.
        let text = text.split_whitespace().filter(|word| !word.contains("http://")).collect::<Vec<_>>().join(" ");
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= LINES {
            said.pop_front();
        }
        said.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_words_of_a_program_are_kept() {
        let script = "read line; for n in $(seq 30); do echo \"$n: $line http://127.0.0.1/t\" >&2; done; exit 3";
        let (mut child, pipe) = Child::start("sh", &["-c".to_owned(), script.to_owned()]).expect("a shell");
        pipe.pieces.send(Bytes::from_static(b"hello\n")).expect("it listens");
        assert_eq!(child.ended().await.and_then(|status| status.code()), Some(3));
        let said = child.last_words();
        assert_eq!((said.len(), said[0].as_str(), said[19].as_str()), (20, "11: hello", "30: hello"));
    }

    #[tokio::test]
    async fn one_that_stands_still_is_ended_and_one_that_is_not_there_is_an_error() {
        let (mut child, _pipe) = Child::start("sleep", &["1000".to_owned()]).expect("sleep");
        child.signal(Signal::STOP);
        child.kill().await;
        assert!(child.last_words().is_empty());
        let missing = Child::start("/nonexistent/ffmpeg", &[]).expect_err("it is not there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
