//! The cases, by what they are about.

pub(super) mod attributes;
pub(super) mod concurrency;
pub(super) mod create;
pub(super) mod data;
pub(super) mod identity;
pub(super) mod listing;
pub(super) mod lists;
pub(super) mod remove;
pub(super) mod rename;
pub(super) mod tree;
pub(super) mod xattr;
