//! Scoring language models on benchmarks.
//!
//! A [`Benchmark`] is a named set of tasks; all of them are in [`BENCHMARKS`]. Those of
//! [`ZeroShot`] read items from files, [`score_choices`] turns the items into requests, a
//! [`Scorer`] computes their log-probabilities with one model or with several by averaged logits,
//! and the answers become an [`Outcome`]. Of fine-tuned benchmarks the tasks, texts and metrics are
//! in [`classification`], the training is in another crate. [`age_of_acquisition`] measures
//! surprisals of words. [`statistics`] has intervals and tests, [`output`] the files for others.
//! [`Rules`] are those of BabyLM's pipelines of 2023 and 2024.
//!
//! ```
//! use eval::{BlimpFiltered, Item, Rules, Scorer, Task, score_choices};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/gpt2");
//! let device: std::sync::Arc<dyn engine::Device> = std::sync::Arc::new(engine::cpu::Cpu::new());
//! let model = model::hugging_face::load(folder.as_ref(), &device)?;
//! let scorer = Scorer::new(vec![&model])?;
//! let items = vec![Item::pair("The cats sleep.", "The cats sleeps.")];
//! let tasks = [Task { name: "agreement".to_owned(), items }];
//! // A model's own tokenizer, and the id of the token that begins its texts.
//! let (encode, begin) = (|text: &str| Ok(text.bytes().map(|byte| byte as u32 % 50).collect()), 1);
//! let rules = Rules::Year2024;
//! let found = score_choices(&BlimpFiltered, &scorer, &tasks, rules, begin, encode, |_, _| ())?;
//! println!("{:.1} % of {} pairs", 100.0 * found.result.score, found.result.items);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

mod benchmark;
mod benchmarks;
pub mod challenge;
mod choices;
pub mod classification;
mod coverage;
mod csv;
mod error;
mod least_squares;
mod lines;
pub mod macro_average;
pub mod minimal_pairs;
pub mod output;
pub mod reference;
mod results;
mod rules;
mod scoring;
pub mod statistics;

pub use benchmark::{Benchmark, Kind, Section, ZeroShot};
pub use benchmarks::{
    AgeOfAcquisition, BENCHMARKS, BUILTIN_MARKER, Blimp, BlimpFiltered, BlimpSupplement,
    BuiltinPairs, Ewok, EwokOfficial, FileLoss, Glue, HeldOutLoss, LossResult, Msgs, OtherPairs,
    age_of_acquisition, benchmark_of_pairs, blimp, ewok, find_benchmark, glue_items,
    superglue_average, zero_shot,
};
pub use choices::{Choice, Item, Task, chosen_texts, count_choices, score_choices};
pub use coverage::Coverage;
pub use error::EvalError;
pub use model::MaskedTokens;
pub use results::{BenchmarkResult, Measured, Metric, Outcome, Part, Prediction, TaskResult};
pub use rules::{Backend, Method, Rules};
pub use scoring::{EncoderDecoderRule, Reading, Request, Scorer, Scores, request};
