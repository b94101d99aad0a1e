//! How a tool ended, as a number that scripts go by.

use std::process::ExitCode;

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed, and the message has been written.
    Failed,
    /// 2: wrong usage, and the message has been written.
    Usage,
    /// 128+N: ended by signal N.
    Signal(i32),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// The exit code as a number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
        }
    }
}
