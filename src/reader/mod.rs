//! An object on its way out: found, copied in order to an output, joined late, cut, chained, examined.

pub mod chain;
pub mod copy;
pub mod error;
pub mod held;
pub mod join;
pub mod list;
pub mod output;
pub mod probe;
pub mod sink;
