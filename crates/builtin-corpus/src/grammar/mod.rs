//! English as far as this corpus needs it: spelling, agreement, noun phrases and clauses.

pub(crate) mod clause;
pub(crate) mod features;
pub(crate) mod noun_phrase;
pub(crate) mod spelling;
