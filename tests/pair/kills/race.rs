//! Two writers of one key at the same time, and readers that look on.

use std::time::Duration;

use super::life::{Due, Life};

/// Both recordings are whole; the object is one of them.
pub fn run(mut life: Life<'_>) {
    life.begin();
    life.lab.set_behind(Duration::ZERO);
    for _ in 0..life.random.usize(1..4) {
        life.onlook(false);
    }
    // The object of the first may be gone before a reader of it came so far.
    life.due = Due::AllOrFailure;
    let mut writers = Vec::new();
    for data in life.data.clone() {
        let mut writer = life.writer("-", &[]);
        writer.feed(data);
        writers.push(writer);
        std::thread::sleep(Duration::from_millis(life.random.u64(..300)));
    }
    let dies = (life.random.u32(..3) == 0).then(|| life.random.usize(..2));
    if let Some(dies) = dies {
        std::thread::sleep(Duration::from_millis(life.random.u64(..200)));
        if writers[dies].is_running() {
            writers[dies].kill();
            super::Totals::count(&life.totals.kills);
            life.due = Due::Beginning;
        }
    }
    for (number, writer) in writers.into_iter().enumerate() {
        let outcome = writer.wait();
        assert!(outcome.code == Some(0) || dies == Some(number), "{}: {}", life.name(), outcome.state());
    }
    life.lab.clear_faults();
    if dies.is_some() {
        std::thread::sleep(Duration::from_millis(1_200));
        life.lab.wait_landed();
        life.mend();
        life.abort();
    }
    let there = life.object();
    let object = life.data.iter().position(|data| Some(data) == there.as_ref());
    assert!(object.is_some() || (there.is_none() && dies.is_some()), "{}: the object is neither", life.name());
    life.check(object);
}
