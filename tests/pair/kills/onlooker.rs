//! A reader that looks on: it takes all at once, or slowly, or into a file, where it can be killed and go on.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;

use crate::support::lab::Lab;
use crate::support::run::{Launch, Outcome, Run};

/// See the module.
pub struct Onlooker {
    run: Option<Run>,
    args: Vec<String>,
    /// Where its output goes, if not into a pipe.
    file: Option<PathBuf>,
    slow: Option<Slow>,
    /// It joined what had begun, and takes what it finds.
    pub late: bool,
}

/// What was taken by somebody slow.
struct Slow {
    taken: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Onlooker {
    /// Starts one; `late` if what it is to read has begun.
    pub fn start(lab: &Lab, key: &str, random: &mut Rng, (number, late, objects): (usize, bool, bool)) -> Self {
        let mut args = vec![key.to_owned()];
        let kind = random.u32(..5);
        let file = (kind < 2).then(|| lab.dir().join(format!("{}-{number}", key.replace('/', "-"))));
        if let Some(file) = &file {
            args.extend([file.display().to_string(), "--resume".to_owned()]);
        }
        if objects && random.bool() {
            args.extend(["--live", "objects"].map(str::to_owned));
        }
        if late {
            args.push("--no-wait".to_owned());
        }
        let mut onlooker = Self { run: None, args, file, slow: None, late };
        if kind == 2 {
            let launch = Launch::reader(lab, &onlooker.words()).leave_stdout();
            let mut run = launch.start();
            onlooker.slow = run.stdout.take().map(|stdout| Slow::take(stdout, random.u64(20..150)));
            onlooker.run = Some(run);
        } else {
            onlooker.run = Some(lab.reader(&onlooker.words()));
        }
        if !late {
            onlooker.running().wait_for("waiting for");
        }
        onlooker
    }

    fn words(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }

    fn running(&mut self) -> &mut Run {
        self.run.as_mut().expect("a reader")
    }

    /// Kills it and starts it again where it was, if it can go on and knows of which recording it is.
    pub fn kill_and_go_on(&mut self, lab: &Lab) -> bool {
        let began =
            self.file.as_ref().and_then(|file| std::fs::metadata(file).ok()).is_some_and(|found| found.len() > 0);
        if !began || !self.running().is_running() {
            return false;
        }
        self.running().kill();
        if let Some(run) = self.run.take() {
            run.wait();
        }
        if !self.late {
            self.late = true;
            self.args.push("--no-wait".to_owned());
        }
        self.run = Some(lab.reader(&self.words()));
        true
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.running().is_running()
    }

    /// Kills it: nothing comes for it any more.
    pub fn kill(&mut self) {
        self.running().kill();
    }

    /// Its end, and what it has given.
    pub fn end(mut self) -> (Outcome, Vec<u8>) {
        let mut outcome = self.run.take().expect("a reader").wait();
        let output = match (&self.file, self.slow.take()) {
            (Some(file), _) => std::fs::read(file).unwrap_or_default(),
            (None, Some(slow)) => {
                slow.thread.join().expect("the slow thread");
                std::mem::take(&mut *slow.taken.lock().unwrap_or_else(PoisonError::into_inner))
            }
            (None, None) => std::mem::take(&mut outcome.out),
        };
        (outcome, output)
    }
}

impl Slow {
    fn take(mut stdout: impl Read + Send + 'static, pause: u64) -> Self {
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let told = taken.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 300_000];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                told.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
                std::thread::sleep(Duration::from_millis(pause));
            }
        });
        Self { taken, thread }
    }
}
