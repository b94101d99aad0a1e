//! What a follower of live objects does about what KEY and the head say.

use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, Follower, KEY_LOOKS, Rest, Step};
use crate::object::live_objects::ask::{self, Seen};
use crate::object::live_objects::ending::{Ask, Case, Key, Told, Verdict, lost};
use crate::object::reading::FollowError;
use crate::protocol::live_objects::{Head, Names, RecordingId, State, UNHEARD};
use crate::store::{self, Patient, StoreError};

impl Follower {
    /// Acts on an answer. Much may have come since it was asked for.
    pub(super) fn judge(&mut self, answer: Answer) -> Result<Option<Step>, FollowError> {
        self.asking = None;
        match answer {
            Answer::Head(Seen::There(head, _)) => match head.state {
                State::Open | State::Unknown => self.renew(head)?,
                State::Complete | State::Aborted | State::GivenUp => self.ask_whether_over(false),
            },
            Answer::Head(Seen::Missing | Seen::Hidden(_)) => self.ask_whether_over(false),
            Answer::Case(case, verdict, found, age) => return self.rule(case, &verdict, found, age),
        }
        Ok(None)
    }

    /// Acts on what KEY and the head say.
    fn rule(
        &mut self,
        case: Case,
        verdict: &Verdict,
        found: Option<store::Head>,
        age: Option<Duration>,
    ) -> Result<Option<Step>, FollowError> {
        let thorough = case.head.is_some();
        if let Some(Told::There(head)) = case.head {
            self.head_seen = Instant::now();
            self.renew(*head)?;
            self.mind(age);
        }
        match *verdict {
            Verdict::Ask(_) => {}
            Verdict::Growing => {
                self.outlook.no_doubt();
                if self.outlook.not_key_only() {
                    self.look_at = Some(Instant::now() + KEY_LOOKS.1);
                }
            }
            Verdict::KeyOnly => {
                self.outlook.no_doubt();
                if !self.outlook.is_key_only() && !thorough {
                    return Ok(None);
                }
                self.ahead.pieces.clear();
                self.outlook.key_only(KEY_LOOKS.1);
                self.look_at.get_or_insert_with(|| Instant::now() + KEY_LOOKS.1);
            }
            Verdict::Complete => {
                if let Some(head) = found {
                    self.ahead.pieces.clear();
                    let given = self.given.take_newest();
                    return Ok(Some(Step::Complete(Rest { head, cursor: self.given.cursor(), given })));
                }
            }
            // While pieces come there is no doubt.
            _ if self.ahead.comes() => {}
            Verdict::Short(size) if self.outlook.has_doubted_long() => {
                return Err(FollowError::Size { object: self.source.object(), size, bytes: self.given.cursor() });
            }
            Verdict::Doubt { replaced: true } if self.outlook.has_doubted_long() => {
                return Err(self.source.replaced(self.given.cursor()));
            }
            Verdict::Doubt { replaced: false } if self.outlook.has_doubted_long() => {
                return Err(self.source.aborted(self.given.cursor()));
            }
            Verdict::Short(_) | Verdict::Doubt { .. } => {
                self.ahead.pieces.clear();
                self.outlook.key_only(KEY_LOOKS.0);
                self.look_at.get_or_insert_with(|| Instant::now() + KEY_LOOKS.1);
            }
            Verdict::Aborted => return Err(self.source.aborted(self.given.cursor())),
            Verdict::Lost(from) => return Err(self.source.lost(from, self.given.cursor())),
        }
        Ok(None)
    }

    /// Takes a newer head: there may be more to read than was known, or another run.
    fn renew(&mut self, head: Head) -> Result<(), FollowError> {
        if let Some(from) = lost(&head, self.given.run(), self.given.cursor()) {
            return Err(self.source.lost(from, self.given.cursor()));
        }
        let before = (self.ahead.index.head().run(), self.ahead.index.head().edge());
        let (run, edge) = (head.run(), head.edge());
        self.ahead.index.renew(head);
        let is_new = run.run != before.0.run || (edge > before.1 && edge > self.given.cursor());
        let comes = self.ahead.comes();
        if comes {
            self.ahead.pieces.truncate(if run.run == before.0.run { usize::MAX } else { 1 });
        } else if is_new {
            if run.run != before.0.run {
                tracing::info!(
                    "{}: its writer goes on with it, in run {} from byte {}",
                    self.source.object(),
                    run.run,
                    run.from
                );
                self.outlook.no_mark();
            }
            self.ahead.pieces.clear();
            self.outlook.not_key_only();
            self.look_at = None;
        }
        Ok(())
    }

    /// Says once that nothing is heard of the writer.
    fn mind(&mut self, age: Option<Duration>) {
        if let Some(age) = age.filter(|age| *age >= UNHEARD && self.outlook.warn()) {
            tracing::warn!(
                "the writer of {} has not been heard of for {} s, by the store's clock; waiting for it to go on",
                self.source.object(),
                age.as_secs()
            );
        }
    }

    pub(super) fn timed_out(&self) -> FollowError {
        let why = self.outlook.silence();
        let (object, upload, bytes) = (self.source.object(), self.source.id.to_string(), self.given.cursor());
        FollowError::TimedOut { object, upload, bytes, after: self.silence.limit(), why }
    }
}

/// Asks what a case needs until its answers mean something.
pub(super) async fn answer(
    store: &Patient,
    key: &str,
    names: &Names,
    id: &RecordingId,
    mut case: Case,
) -> Result<Answer, StoreError> {
    let (mut found, mut age) = (None, None);
    loop {
        match case.verdict() {
            Verdict::Ask(Ask::Key) => {
                let head = ask::key(store, key).await?.there();
                let said = match &head {
                    None => Key::None,
                    Some(head) if head.objects.as_ref() == Some(id) => Key::Ours(head.size),
                    Some(_) => Key::Other,
                };
                found = head;
                *(if case.key.is_none() { &mut case.key } else { &mut case.after }) = Some(said);
            }
            Verdict::Ask(Ask::Head) => {
                case.head = Some(match ask::head(store, names, id).await? {
                    Seen::There(head, old) => {
                        age = old;
                        Told::There(Box::new(head))
                    }
                    Seen::Missing | Seen::Hidden(_) => Told::Gone,
                });
            }
            verdict => return Ok(Answer::Case(case, verdict, found, age)),
        }
    }
}
