//! Scenes: a few people, animals and things in one place, and what they do.

pub(crate) mod constructions;
pub(crate) mod event;
pub(crate) mod phrases;
pub(crate) mod scene;
