//! From folders of raw text to flat files of tokens.
//!
//! Texts are read in a fixed order and in parts ([`texts`]), cleaned by the cleaner of their source
//! ([`cleaners`]), perhaps cut into subset, training and validation parts ([`subset`], [`split`]),
//! made into tokens ([`tokenizer`]), stored ([`tokens`]), and read as sequences in an order that is
//! a pure function of seed and epoch ([`chunks`]). Nothing here prints.
//!
//! ```
//! use corpus::{Chunks, Tokenizer, TokenizerSettings};
//!
//! # fn main() -> corpus::Result<()> {
//! let text = "the dog saw the cat and the cat saw the dog\n".to_owned();
//! let texts = [("toy.train".to_owned(), text.clone())];
//! let settings = TokenizerSettings { vocab_size: 270, ..TokenizerSettings::default() };
//! let tokenizer = Tokenizer::train(&texts, &settings)?;
//! let ids = tokenizer.encode(&text)?;
//! assert_eq!(tokenizer.decode(&ids), text);
//!
//! let sequences = Chunks::fixed(ids.len(), 4, 0)?;
//! assert_eq!(sequences.count(), ids.len() / 4);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

pub mod chunks;
pub mod cleaners;
pub mod error;
mod pieces;
pub mod readability;
pub mod split;
pub mod stats;
pub mod subset;
pub mod text;
mod text_reader;
pub mod texts;
pub mod token_spool;
pub mod tokenizer;
pub mod tokens;

pub use base::ShouldStop;
pub use chunks::Chunks;
pub use error::{CorpusError, Result};
pub use text::NamedText;
pub use texts::Text;
pub use tokenizer::{Tokenizer, TokenizerSettings};
pub use tokens::{TokenFile, TokenWriter};
