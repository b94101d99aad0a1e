//! What the writer says of the format of its input: at once where it cannot be followed, and later where its fragments
//! will disappoint.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::media::fmp4::review::{Remark, Reviewer, SOUND};
use crate::media::fmp4::{Finding, Found, Scanner};
use crate::protocol::part::PartSize;

/// Sound alone without a fragment for so long was not meant to be.
const SILENCE: Duration = Duration::from_secs(15);

/// Looks at what is found in the input.
#[derive(Debug)]
pub(crate) struct Format {
    /// What the input is is not known yet.
    open: bool,
    reviewer: Option<Reviewer>,
    /// Says that no fragment comes.
    alarm: Option<JoinHandle<()>>,
}

impl Format {
    /// At the start of an input.
    pub(crate) fn new(part_size: PartSize) -> Self {
        Self { open: true, reviewer: Some(Reviewer::new(part_size.get())), alarm: None }
    }

    /// Looks no more: what goes on in the middle cannot be told to be an MP4.
    pub(crate) fn give_up(&mut self) {
        (self.open, self.reviewer) = (false, None);
        self.disarm();
    }

    /// Whether it looks for anything yet in a stream that `scanner` has scanned so far.
    pub(crate) fn looks(&mut self, scanner: &Scanner) -> bool {
        self.reviewer.take_if(|reviewer| scanner.is_off() || reviewer.is_done(scanner.offset()));
        self.open || self.reviewer.is_some()
    }

    /// What the input is: says so where it cannot be followed.
    pub(crate) fn is(&mut self, finding: Finding) {
        if let Some(warning) = finding.warning() {
            tracing::warn!("{warning}");
        }
        self.open = false;
        if !matches!(finding, Finding::Fragmented { .. }) {
            self.reviewer = None;
        }
    }

    /// Something was found in it: passes on what there is to say, each thing once.
    pub(crate) fn see(&mut self, found: &Found) {
        let Some(reviewer) = &mut self.reviewer else { return };
        for remark in reviewer.see(found) {
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
