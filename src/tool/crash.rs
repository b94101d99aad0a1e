//! A panic, wherever it happens, is a failure with one message: no backtrace, and nobody waits for a task that is gone.

use std::panic::PanicHookInfo;
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::message::log_lines::safe;
use crate::message::stderr::{self, outlet};
use crate::tool::exit::Exit;

/// What a tool does first that has something to lose; false if it has nothing.
static SEES_TO_IT: OnceLock<Box<dyn Fn() -> bool + Send + Sync>> = OnceLock::new();

/// Whether a panic ends what panicked, and nothing else.
static GOES_ON: AtomicBool = AtomicBool::new(false);

/// Has a panic end only the task that panics, for who serves many: each is still told of.
pub fn go_on() {
    GOES_ON.store(true, Relaxed);
}

/// Has the first panic end the tool in its own way: `end` asks it to, or tells that nothing is to be done.
pub fn see_to_it(end: impl Fn() -> bool + Send + Sync + 'static) {
    // Only one tool runs in a process.
    drop(SEES_TO_IT.set(Box::new(end)));
}

/// Has each panic of this process end it with a message and exit code 1.
pub(crate) fn install() {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|info| {
        if GOES_ON.load(Relaxed) {
            tell(info);
            return;
        }
        if PANICKED.swap(true, Relaxed) {
            if SEES_TO_IT.get().is_some() {
                process::exit(i32::from(Exit::Failed.code()));
            }
            // The first one ends the process in a moment, with its message and its exit code.
            loop {
                std::thread::park();
            }
        }
        tell(info);
        outlet().clear();
        if SEES_TO_IT.get().is_some_and(|end| end()) {
            return;
        }
        outlet().settle(stderr::PATIENCE);
        process::exit(i32::from(Exit::Failed.code()));
    }));
}

fn tell(info: &PanicHookInfo<'_>) {
    let message = message(info);
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{message}");
    } else {
        outlet().line(format!("{}\n", safe(&message, 4096)));
    }
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("no message");
    // Where the program was built is nobody's business.
    let place = info.location().map_or_else(String::new, |location| {
        let path: Vec<_> = Path::new(location.file()).iter().rev().take(3).collect();
        let path: Vec<_> = path.into_iter().rev().map(std::ffi::OsStr::to_string_lossy).collect();
        format!(" ({}, line {})", path.join("/"), location.line())
    });
    format!(
        "the program panicked: {what}{place}. That is a mistake in it, and not yours: please report this message. What the store \
         holds stays"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const CHILD: &str = "LIVE_READ_TEST_PANICS";

    /// Runs in a process of its own, because a panic ends it.
    #[test]
    fn a_panic_in_a_task_is_a_failure_with_one_message() {
        if std::env::var_os(CHILD).is_some() {
            super::install();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
            runtime.block_on(async {
                tokio::spawn(async { panic!("two\nlines") });
                std::future::pending::<()>().await;
            });
        }
        let name = "tool::crash::tests::a_panic_in_a_task_is_a_failure_with_one_message";
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("a child");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert_eq!(words.matches("the program panicked").count(), 1, "{words}");
        assert!(words.contains("two\\nlines (src/tool/crash.rs, line") && !words.contains("RUST_BACKTRACE"), "{words}");
    }

    /// The same of a tool that has something to see to first: here, to wait until it was asked to.
    #[test]
    fn a_tool_that_has_something_to_lose_ends_in_its_own_way() {
        if std::env::var_os(CHILD).is_some() {
            let (asked, at_once) = std::sync::mpsc::channel();
            super::see_to_it(move || asked.send(()).is_ok());
            super::install();
            let task = std::thread::spawn(|| panic!("in a task"));
            at_once.recv().expect("it is asked to end");
            assert!(task.join().is_err());
            // The message is on its way.
            crate::message::stderr::outlet().settle(crate::message::stderr::PATIENCE);
            std::process::exit(7);
        }
        let name = "tool::crash::tests::a_tool_that_has_something_to_lose_ends_in_its_own_way";
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("a child");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{words}");
        assert_eq!(words.matches("in a task").count(), 1, "{words}");
    }
    /// The same of one that serves many: what panicked is gone, the rest goes on.
    #[test]
    fn who_serves_many_goes_on_after_a_panic() {
        if std::env::var_os(CHILD).is_some() {
            super::install();
            super::go_on();
            for _ in 0..2 {
                assert!(std::thread::spawn(|| panic!("in an answer")).join().is_err());
            }
            crate::message::stderr::outlet().settle(crate::message::stderr::PATIENCE);
            std::process::exit(7);
        }
        let name = "tool::crash::tests::who_serves_many_goes_on_after_a_panic";
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("a child");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{words}");
        assert_eq!(words.matches("in an answer").count(), 2, "{words}");
    }
}
