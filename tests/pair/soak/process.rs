//! A tool that runs in the background for as long as a round of the soak takes.

use std::fs::File;
use std::io::{PipeReader, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::support::Store;

/// A tool that runs in the background, with its messages in a file.
pub struct Process {
    pub name: String,
    pub child: Child,
    log: PathBuf,
    /// The other end of a standard error that is full, and of which nothing is read.
    pub unread: Option<PipeReader>,
}

impl Process {
    pub fn start(store: &Store, name: &str, binary: &str, args: &[String], input: Stdio, unheard: bool) -> Self {
        let log = store.dir().join(format!("{name}.log"));
        let (messages, unread) = if unheard {
            let (reader, writer) = full_pipe();
            (Stdio::from(writer), Some(reader))
        } else {
            let file = File::options().create(true).append(true).open(&log).expect("a file for the messages");
            (Stdio::from(file), None)
        };
        let mut command = store.command(binary);
        command.args(args).current_dir(store.dir()).stdin(input).stdout(Stdio::null()).stderr(messages);
        let child = command.spawn().expect("start the tool");
        Self { name: name.to_owned(), child, log, unread }
    }

    pub fn messages(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The exit code, once it has ended.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("look at the tool").map(|status| status.code())
    }

    /// `kill -9`, unless it has ended by itself.
    pub fn kill(&mut self) -> bool {
        let running = self.ended().is_none();
        drop(self.child.kill());
        drop(self.child.wait());
        running
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A pipe that takes nothing more: whoever writes to it waits until somebody reads.
fn full_pipe() -> (PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe that does not wait");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).expect("a pipe that waits");
    (reader, writer)
}
