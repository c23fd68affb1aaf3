//! English as far as this corpus needs it: spelling, agreement, noun phrases and clauses.

pub mod clause;
pub mod features;
pub mod noun_phrase;
pub mod spelling;
