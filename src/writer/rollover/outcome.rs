//! How the input ended: the objects that are complete, and those that are not.

use crate::writer::cause::Cause;
use crate::writer::completion::Fate;
use crate::writer::kept::Kept;

/// How the input ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// The objects in order: key, bytes and parts of each. None at all if there was no input.
    pub objects: Vec<Complete>,
}

/// An object that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    pub(super) number: u32,
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its parts.
    pub parts: usize,
}

/// What went wrong, object by object.
#[derive(Debug)]
pub struct RollError {
    /// Why reading or uploading stopped before the end of the input, if it did.
    pub cause: Option<Cause>,
    /// The objects that are not complete.
    pub unfinished: Vec<Unfinished>,
    /// How many objects are complete.
    pub complete: usize,
}

/// An object that could not be completed; its upload is left open, unless it is over.
#[derive(Debug)]
pub struct Unfinished {
    /// Its name in messages.
    pub object: String,
    /// Its key.
    pub key: String,
    /// Its upload id.
    pub upload_id: String,
    /// The bytes that the store holds of it.
    pub bytes: u64,
    /// Why, unless that is the cause in [`RollError`].
    pub cause: Option<Cause>,
    /// What became of the bytes of it that were taken and not stored, where there are any.
    pub kept: Option<Kept>,
    /// What became of it, where somebody else has ended it.
    pub over: Option<Fate>,
}
