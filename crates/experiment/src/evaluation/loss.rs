//! Held-out loss: cross-entropy and perplexity on text that was not trained on, of each file and
//! over all.

use std::ops::Range;
use std::path::Path;

use base::input_file::has_ending;
use corpus::token_spool::{SpooledTokens, TokenSpool};
use corpus::{Chunks, ShouldStop, Text, TokenFile, Tokenizer, cleaners, text, texts};
use eval::{EvalError, FileLoss, LossResult};
use train::heldout::Heldout;
use train::{TokenSource, TrainError};

use super::{LoadedModel, label, models, tokenizer};
use crate::error::{Context, Result, refuse, wrong_usage};
use crate::observer::Observer;

/// Where held-out text comes from and how it is cut.
#[derive(Clone, Copy, Debug)]
pub struct HeldoutText<'a> {
    /// A folder or file of text, or a token file.
    pub data: &'a Path,
    /// Whether a token file has no header.
    pub raw_tokens: bool,
    /// Whether text goes through the cleaner of its source first.
    pub clean: bool,
    /// Tokens in a sequence.
    pub sequence_length: usize,
}

impl HeldoutText<'_> {
    /// # Errors
    /// When a sequence would have nothing to predict.
    pub fn check(&self) -> Result<()> {
        match self.sequence_length {
            0 | 1 => wrong_usage(format_args!(
                "--sequence-length is {}; it must be at least 2",
                self.sequence_length
            )),
            _ => Ok(()),
        }
    }

    fn is_text(&self) -> bool {
        self.data.is_dir() || has_ending(self.data, &text::EXTENSIONS)
    }
}

/// Adds up losses of tokens by the texts that they are in.
pub(crate) struct LossByText<'a> {
    ends: &'a Ends,
    sums: Vec<(f64, usize)>,
}

impl<'a> LossByText<'a> {
    /// Nothing yet, of texts whose tokens follow each other.
    pub(crate) fn new(ends: &'a Ends) -> Self {
        Self { ends, sums: vec![(0.0, 0); ends.len()] }
    }

    /// Adds a sequence by its place and the log-probabilities of its tokens but the first. It may
    /// reach from one text into the next: each token counts for its own.
    pub(crate) fn add(&mut self, place: Range<usize>, log_probabilities: &[f64]) {
        for (token, log_probability) in (place.start + 1..).zip(log_probabilities) {
            let text = self.ends.partition_point(|(_, end)| *end <= token);
            if let Some((sum, count)) = self.sums.get_mut(text) {
                *sum -= log_probability;
                *count += 1;
            }
        }
    }

    /// The loss of each text.
    pub(crate) fn losses(self) -> Vec<FileLoss> {
        let of_text = |((file, _), (sum, count)): (&(String, usize), (f64, usize))| FileLoss {
            file: file.clone(),
            loss: (count > 0).then(|| sum / count as f64),
            predicted_tokens: count,
        };
        self.ends.iter().zip(self.sums).map(of_text).collect()
    }
}

/// The loss of a group of models as one, unless the observer asks to stop.
pub fn measure(
    group: &[LoadedModel],
    text: HeldoutText<'_>,
    observer: &dyn Observer,
) -> Result<LossResult> {
    let sequence_length = text.sequence_length;
    let should_stop = || observer.should_stop();
    for loaded in group {
        let max_positions = loaded.model.config().max_positions;
        if max_positions < sequence_length {
            let model = loaded.path.display().to_string();
            Err(TrainError::TooManyPositions { sequence_length, model, max_positions })?;
        }
    }
    let Tokens { source, ends, tokenizer } = tokens(text, group, &should_stop)?;
    for loaded in group {
        let vocab_size = loaded.model.config().vocab_size;
        train::data::check(&*source, "held-out", sequence_length, vocab_size)?;
    }
    let models = models(group);
    let chunks = Chunks::fixed(source.len(), sequence_length, 0)?;
    let sequences = (0..chunks.count() as u32).collect();
    let mut by_file = LossByText::new(&ends);
    let heldout = Heldout {
        source: &*source,
        chunks,
        sequences,
        batch_size: 32,
        masking: None,
        should_stop: Some(&should_stop),
    };
    let (label, count) = (label(group), heldout.sequences.len() as u64);
    observer.begin(&format!("{label} on {}", text.data.display()), "sequences", count, 0);
    let mut done = 0;
    let found = heldout.cross_entropy_of_each(&models, |place, log_probabilities| {
        done += 1;
        observer.advance(done, "");
        by_file.add(place, log_probabilities);
    })?;
    observer.end(done, "");
    if !found.cross_entropy.is_finite() {
        Err(EvalError::NotFinite { score: -found.cross_entropy })?;
    }
    Ok(LossResult {
        loss: found.cross_entropy,
        perplexity: found.cross_entropy.exp(),
        tokens: found.tokens,
        files: by_file.losses(),
        precision: Some(group[0].model.device().arithmetic().to_string()),
        tokenizer,
    })
}

/// Tokens of text that stay in memory; more go to a temporary file.
const MOST_TOKENS_IN_MEMORY: usize = 1 << 24;

/// The name of each file, and where its tokens end.
pub(crate) type Ends = Vec<(String, usize)>;

/// What a loss is measured on.
struct Tokens {
    source: Box<dyn TokenSource>,
    /// Of each text.
    ends: Ends,
    /// The content hash of the tokenizer, where it is known.
    tokenizer: Option<String>,
}

/// The tokens of a file, or of a folder of text as the group's tokenizer cuts it.
fn tokens(
    text: HeldoutText<'_>,
    group: &[LoadedModel],
    should_stop: ShouldStop<'_>,
) -> Result<Tokens> {
    if text.raw_tokens {
        let source = Box::new(TokenFile::raw(text.data)?);
        return Ok(Tokens { source, ends: Vec::new(), tokenizer: None });
    }
    if text.is_text() {
        let tokenizer = tokenizer(group)?;
        let texts = texts::open_corpus_unless(should_stop, text.data)?.into_iter();
        let mut texts = texts.map(|text| text.stopping_when(should_stop)).collect();
        if text.clean {
            texts = cleaners::clean(should_stop, texts);
        }
        let (source, ends) = encode(&tokenizer, &texts, should_stop)?;
        return Ok(Tokens { source, ends, tokenizer: Some(tokenizer.content_hash()) });
    }
    let file = TokenFile::open(text.data)?;
    let tokenizer = tokenizer(group)?;
    if file.tokenizer_hash() != Some(tokenizer.content_hash()) {
        return refuse(format_args!(
            "{} was made with another tokenizer than {} has",
            text.data.display(),
            label(group)
        ))
        .advise("name the text itself, or tokens of these models' tokenizer");
    }
    let tokenizer = Some(tokenizer.content_hash());
    Ok(Tokens { source: Box::new(file), ends: Vec::new(), tokenizer })
}

/// The tokens of texts, with the name and the end of each.
fn encode(
    tokenizer: &Tokenizer,
    texts: &[Text<'_>],
    should_stop: ShouldStop<'_>,
) -> Result<(Box<dyn TokenSource>, Ends)> {
    let mut spool = TokenSpool::new(MOST_TOKENS_IN_MEMORY);
    let mut counts = vec![0; texts.len()];
    for stretch in tokenizer.encode_texts(should_stop, texts) {
        let (index, ids) = stretch?;
        spool.push(&ids)?;
        counts[index] += ids.len();
    }
    let mut all = 0;
    let end = |(text, count): (&Text<'_>, usize)| {
        all += count;
        (text.name().to_owned(), all)
    };
    let ends = texts.iter().zip(counts).map(end).collect();
    Ok(match spool.finish()? {
        SpooledTokens::Memory(ids) => (Box::new(ids), ends),
        SpooledTokens::File(file) => (Box::new(file), ends),
    })
}
