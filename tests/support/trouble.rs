//! Trouble at random, of the kinds that pass: weather for the network, rules for the store.

use fastrand::Rng;
use serde_json::{Value, json};

use super::proxy::Weather;

/// Answered in XML.
const XML: [&str; 4] = ["ListMultipartUploads", "ListParts", "CreateMultipartUpload", "CompleteMultipartUpload"];
/// What a store, or a gateway before it, says when it is in trouble.
const STATUSES: [u16; 12] = [408, 429, 500, 502, 503, 504, 425, 507, 509, 520, 524, 599];
/// The first so many of them are common.
const COMMON: usize = 6;

fn one_of<T: Copy>(random: &mut Rng, list: &[T]) -> T {
    list[random.usize(..list.len())]
}

/// What the network does.
pub fn weather(random: &mut Rng) -> Weather {
    let bytes = random.u64(1..6_000_000);
    match random.u32(..5) {
        0 => Weather::Refuse,
        1 => Weather::Stall,
        2 => Weather::Reset(bytes),
        3 => Weather::Cut(bytes),
        _ => Weather::Throttle(bytes.max(500_000)),
    }
}

/// How much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// What networks and busy stores do all the time.
    Common,
    /// Also what is seldom: gateways' own statuses, answers of XML that break off, errors inside a 200.
    Seldom,
    /// Also lists and HEAD that do not tell the truth.
    Untrue,
}

/// The answer to the start of an upload does not arrive, for a while: two are open then, one of which nobody writes to.
pub fn lost_start(random: &mut Rng) -> Value {
    let mut rules = vec![json!({"operation": "CreateMultipartUpload", "lose_answer": true, "times": 1})];
    if random.bool() {
        // Whoever looks finds only the first for so long.
        rules.push(json!({"operation": "CreateMultipartUpload", "status": 503, "for_ms": random.u32(1..1500)}));
    }
    Value::Array(rules)
}

/// A rule for the store.
pub fn rule(random: &mut Rng, trouble: Trouble) -> Value {
    let (kinds, statuses) = match trouble {
        Trouble::Common => (8, &STATUSES[..COMMON]),
        Trouble::Seldom => (13, &STATUSES[..]),
        Trouble::Untrue => (16, &STATUSES[..]),
    };
    let bodies = [
        "UploadPart",
        "GetObject",
        "GetObject",
        "PutObject",
        "HeadObject",
        "UploadPartCopy",
        "DeleteObjects",
        "DeleteObject",
    ];
    let any = |random: &mut Rng| if random.bool() { one_of(random, &XML) } else { one_of(random, &bodies) };
    let (operation, effect) = match random.u32(..kinds) {
        0..2 => (any(random), json!({"status": one_of(random, statuses)})),
        2 => ("CreateMultipartUpload", json!({"status": one_of(random, statuses)})),
        3 => (any(random), json!({"refuse": true})),
        4 => (any(random), json!({"lose_answer": true})),
        5 => (any(random), json!({"delay_ms": random.u32(1..700)})),
        6 => ("GetObject", json!({"cut_after": random.u32(1..4_000_000)})),
        7 => ("UploadPart", json!({"throttle_upload": random.u32(2_000_000..20_000_000)})),
        8 => (one_of(random, &XML), json!({"cut_after": random.u32(1..300)})),
        9 => (one_of(random, &XML), json!({"truncate": random.u32(1..300)})),
        10 => (one_of(random, &XML), json!({"status": 200, "code": "InternalError", "after_work": random.bool()})),
        11 => ("CompleteMultipartUpload", json!({"white_space_ms": random.u32(1..1500)})),
        12 => ("CompleteMultipartUpload", json!({"status": 504, "after_work": random.bool(), "late_ms": 300})),
        13 => ("ListMultipartUploads", json!({"lag_ms": random.u32(100..1500)})),
        14 => ("HeadObject", json!({"lag_ms": random.u32(100..1500)})),
        _ => (one_of(random, &["ListMultipartUploads", "HeadObject"]), json!({"hide": true})),
    };
    let mut rule = effect;
    rule["operation"] = json!(operation);
    if random.bool() {
        rule["times"] = json!(random.u32(1..4));
        rule["probability"] = json!(0.5);
        rule["seed"] = json!(random.u32(..));
    } else {
        rule["for_ms"] = json!(random.u32(50..1500));
    }
    rule
}
