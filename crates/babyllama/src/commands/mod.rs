//! The commands, one file each.

pub mod bench;
pub mod check;
pub mod corpus;
pub mod evaluate;
pub mod export;
pub mod finetune;
pub mod generate;
pub mod plan;
pub mod readability;
pub mod recipe;
pub mod report;
pub mod run;
pub mod runs;
pub mod sweep;
pub mod tokenizer;
pub mod tokens;
pub mod train;
pub mod watch;
