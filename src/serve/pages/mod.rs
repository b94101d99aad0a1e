//! Pages for people: what there is, the player, and the description of the interface. All that they load is in the program.

pub(crate) mod assets;
pub(crate) mod docs;
pub(crate) mod front;
mod html;
pub(crate) mod openapi;
pub(crate) mod play;
