//! Faults to order: rules that say which requests go wrong, and how.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::operation::Operation;

/// A rule, as the control API takes it. A request that fits all that is given here has the effects that are given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Name of the S3 operation; any if not given.
    pub operation: Option<String>,
    /// Key.
    pub key: Option<String>,
    /// Part numbers, from and to.
    pub parts: Option<(u32, u32)>,
    /// With (true) or without (false) the Live Read header.
    pub live: Option<bool>,
    /// Fitting requests to let pass first.
    pub skip: u64,
    /// How often to act; for ever if not given.
    pub times: Option<u64>,
    /// Act on a share of the fitting requests only.
    pub probability: Option<f64>,
    /// Makes the share reproducible.
    pub seed: u64,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What happens to a request. Several may come together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Effect {
    /// Wait before anything is done.
    pub delay_ms: u64,
    /// Close the connection without doing anything.
    pub refuse: bool,
    /// Answer with this status without doing anything.
    pub status: Option<u16>,
    /// Error code of that answer.
    pub code: Option<String>,
    /// Message of that answer.
    pub message: Option<String>,
    /// Take the request's body at so many bytes a second.
    pub throttle_upload: Option<u64>,
    /// Do the work, then close the connection instead of answering.
    pub lose_answer: bool,
    /// Close the connection after so many bytes of the answer's body.
    pub cut_after: Option<u64>,
    /// Send the answer's body at so many bytes a second.
    pub throttle: Option<u64>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    fitted: u64,
    acted: u64,
    random: fastrand::Rng,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Armed>>);

impl Faults {
    /// Replaces all rules.
    pub fn set(&self, rules: Vec<Rule>) {
        let arm = |rule: Rule| Armed { fitted: 0, acted: 0, random: fastrand::Rng::with_seed(rule.seed), rule };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rules.into_iter().map(arm).collect();
    }

    /// The effect of the first rule that acts on this request.
    pub fn strike(&self, operation: &Operation) -> Effect {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let acting = rules.iter_mut().find_map(|armed| armed.acts(operation).then(|| armed.rule.effect.clone()));
        acting.unwrap_or_default()
    }
}

impl Armed {
    fn acts(&mut self, operation: &Operation) -> bool {
        let rule = &self.rule;
        let fits = rule.operation.as_ref().is_none_or(|name| name == operation.name)
            && (rule.key.is_none() || rule.key == operation.key)
            && rule.live.is_none_or(|live| live == operation.live)
            && rule
                .parts
                .is_none_or(|(from, to)| operation.part_number.is_some_and(|part| (from..=to).contains(&part)));
        if !fits {
            return false;
        }
        self.fitted += 1;
        if self.fitted <= rule.skip
            || rule.times.is_some_and(|times| self.acted >= times)
            || rule.probability.is_some_and(|share| self.random.f64() >= share)
        {
            return false;
        }
        self.acted += 1;
        true
    }
}
