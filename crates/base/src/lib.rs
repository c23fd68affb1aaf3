//! What every other crate uses, and nothing of language, tensors or recipes:
//!
//! - [`rng`]: random numbers that are a pure function of seed, purpose and index;
//! - [`atomic_file`]: files and folders that appear whole or not at all;
//! - [`guard`]: panics and endless work of libraries as errors;
//! - [`hash`]: BLAKE3 of bytes and files, in hexadecimal;
//! - [`input_file`]: files from outside, none left out in silence, pointers recognised;
//! - [`mutation`]: mutated inputs for the tests of parsers;
//! - [`pipe`]: pipes, which are not waited for after a stop;
//! - [`rounding`]: products of fractions and counts as whole numbers;
//! - [`stop`]: the one error of work that was asked to stop.
//!
//! ```
//! use base::rng::Rng;
//!
//! let dropout = Rng::new(42, "dropout").at(7);
//! assert_eq!(dropout.uniform(3), Rng::new(42, "dropout").at(7).uniform(3));
//! assert!((0.0..1.0).contains(&dropout.uniform(3)));
//! ```

#![warn(missing_docs)]

pub mod atomic_file;
pub mod guard;
pub mod hash;
pub mod input_file;
pub mod mutation;
pub mod pipe;
pub mod rng;
pub mod rounding;
pub mod stop;

pub use atomic_file::AtomicFile;
pub use stop::{ShouldStop, Stopped};
