//! How a job ended, as a message before it is said, so that what is said can be tested.

use crate::tool::exit::Exit;

/// A message, as grave as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// In order.
    Info(String),
    /// The person should know.
    Warn(String),
    /// Failed.
    Error(String),
}

impl Said {
    /// Says it.
    pub(crate) fn say(&self) {
        match self {
            Self::Info(text) => tracing::info!(event = "done", "{text}"),
            Self::Warn(text) => tracing::warn!(event = "done", "{text}"),
            Self::Error(text) => tracing::error!(event = "gave_up", "{text}"),
        }
    }

    /// How a tool ends that has nothing else to say.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Info(_) | Self::Warn(_) => Exit::Done,
            Self::Error(_) => Exit::Failed,
        }
    }
}
