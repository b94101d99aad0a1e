//! What the writer says of the format of its input: at once where it cannot be followed, and later where its fragments
//! will disappoint.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::media::fmp4::review::{Remark, Reviewer, SOUND};
use crate::media::fmp4::{Finding, Inspector};
use crate::protocol::part::PartSize;

/// Sound alone without a fragment for so long was not meant to be.
const SILENCE: Duration = Duration::from_secs(15);

/// Looks at the input as it comes in.
#[derive(Debug)]
pub(crate) struct Format {
    inspector: Option<Inspector>,
    reviewer: Option<Reviewer>,
    /// Says that no fragment comes.
    alarm: Option<JoinHandle<()>>,
}

impl Format {
    /// At the start of an input.
    pub(crate) fn new(part_size: PartSize) -> Self {
        Self { inspector: Some(Inspector::default()), reviewer: Some(Reviewer::new(part_size.get())), alarm: None }
    }

    /// Looks no more: what goes on in the middle cannot be told to be an MP4.
    pub(crate) fn give_up(&mut self) {
        (self.inspector, self.reviewer) = (None, None);
        self.disarm();
    }

    /// Looks at what came in, and passes on what there is to say, each thing once.
    pub(crate) fn see(&mut self, news: &[u8]) {
        if let Some(found) = self.inspector.as_mut().and_then(|inspector| inspector.feed(news)) {
            if let Some(warning) = found.warning() {
                tracing::warn!("{warning}");
            }
            self.inspector = None;
            if !matches!(found, Finding::Fragmented { .. }) {
                self.reviewer = None;
            }
        }
        let Some(reviewer) = &mut self.reviewer else { return };
        for remark in reviewer.feed(news) {
            match remark {
                Remark::Warning(warning) => tracing::warn!("{warning}"),
                Remark::Begun => self.disarm(),
                Remark::SoundAlone => {
                    self.alarm = Some(tokio::spawn(async {
                        sleep(SILENCE).await;
                        tracing::warn!("no fragment of this sound has come for {} s: {SOUND}", SILENCE.as_secs());
                    }));
                }
            }
        }
    }

    fn disarm(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
    }
}

impl Drop for Format {
    fn drop(&mut self) {
        self.disarm();
    }
}
