//! One object as it grows, whoever reads it: where it is, what of it is there, when more is due, and when it is over.

pub(crate) mod announce;
pub(crate) mod due;
pub(crate) mod ending;
pub(crate) mod follow;
pub(crate) mod follower;
pub(crate) mod inquiry;
pub mod listing;
pub mod live;
pub mod live_objects;
pub mod locate;
pub mod place;
pub mod prefetch;
pub(crate) mod presence;
pub mod ranges;
pub mod reading;
pub mod rhythm;
pub mod seek;
pub(crate) mod silence;
pub mod stretch;
pub mod tap;
pub mod wanted;
pub(crate) mod window;

#[cfg(test)]
mod growing_tests;
