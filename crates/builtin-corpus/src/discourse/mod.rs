//! Scenes: a few people, animals and things in one place, and what they do.

pub mod constructions;
pub mod event;
pub mod phrases;
pub mod scene;
