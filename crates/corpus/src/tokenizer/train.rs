//! Training a tokenizer.

use std::collections::HashMap;

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFKC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

use super::Tokenizer;
use super::background::in_background;
use super::normal_form::NormalForms;
use super::pieces::before_a_space;
use super::words::{WordSplitter, in_byte_level};
use crate::error::{CorpusError, Result};
use crate::pieces::{after_a_line, in_parallel, pieces_of};
use crate::text::NamedText;
use crate::texts::{Text, in_memory};
use base::stop::{self, ShouldStop};

/// The special tokens, whose ids are 0, 1 and 2.
pub const SPECIAL_TOKENS: [&str; 3] = ["<pad>", "<s>", "</s>"];

/// A fourth special token, with id 3, of tokenizers for masked models.
const MASK_TOKEN: &str = "<mask>";

/// A token that stands for a hidden span of a text, of tokenizers for encoder-decoders: the name in
/// T5's tokenizers of the sentinel with this number.
pub fn sentinel(number: usize) -> String {
    format!("<extra_id_{number}>")
}

/// What a tokenizer is trained to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerSettings {
    /// Entries of the vocabulary, special tokens included. A small text may not have as many
    /// pieces.
    pub vocab_size: usize,
    /// How often a pair of pieces must occur to become one.
    pub min_frequency: u64,
    /// Whether there is a token that stands for hidden ones.
    pub mask_token: bool,
    /// How many tokens there are that stand for hidden spans, behind the other special tokens.
    pub sentinels: usize,
    /// Whether the tokenizer puts `<s>` before texts.
    pub begin_token: bool,
}

impl Default for TokenizerSettings {
    /// The authors' settings.
    fn default() -> Self {
        Self {
            vocab_size: 16_000,
            min_frequency: 2,
            mask_token: false,
            sentinels: 0,
            begin_token: false,
        }
    }
}

impl Tokenizer {
    /// Trains on texts, line by line with their line ends, as the Python library does on files.
    ///
    /// The alphabet is the bytes that occur. The result depends on nothing but the arguments:
    /// pieces are counted, and among pairs equally frequent the one with the smallest ids is merged
    /// first.
    pub fn train(texts: &[NamedText], settings: &TokenizerSettings) -> Result<Self> {
        Self::train_unless(&stop::never, &in_memory(texts), settings)
    }

    /// Trains as [`train`](Self::train), unless it is asked to stop, on texts that need not fit
    /// into memory: it holds one of each word. The library cannot be interrupted while it merges:
    /// its thread is left behind then, and ends with the process or by itself.
    ///
    /// # Errors
    /// When a text cannot be read, or the vocabulary cannot hold the special tokens and the bytes
    /// that occur.
    pub fn train_unless(
        should_stop: ShouldStop<'_>,
        texts: &[Text<'_>],
        settings: &TokenizerSettings,
    ) -> Result<Self> {
        let failed = |cause: String| CorpusError::Tokenizer { doing: "training", cause };
        let words = count_words(should_stop, texts)?;
        let json = merge(should_stop, words, *settings)?.map_err(failed)?;
        let mut tokenizer = Self::from_json(json).map_err(failed)?;
        if settings.begin_token {
            tokenizer = tokenizer.beginning_texts()?;
        }
        // Merging stops at the asked size, so what goes beyond it was there before the first merge.
        if tokenizer.vocab_size() > settings.vocab_size {
            let needed = tokenizer.vocab_size();
            return Err(CorpusError::VocabularyTooSmall {
                vocab_size: settings.vocab_size,
                needed,
            });
        }
        Ok(tokenizer)
    }
}

/// Finds the merges in the background. The inner error is the library's.
fn merge(
    should_stop: ShouldStop<'_>,
    words: HashMap<String, u64>,
    settings: TokenizerSettings,
) -> Result<std::result::Result<String, String>> {
    let failed =
        |cause: String| CorpusError::Tokenizer { doing: "starting threads to merge", cause };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
    let pool = pool.build().map_err(|cause| failed(cause.to_string()))?;
    let work = move || pool.install(|| train_json(words, &settings));
    let merged = in_background(should_stop, "training", work)?;
    Ok(merged.map_err(|cause| cause.to_string()))
}

/// The longest word that is merged as a whole, in bytes. Each merge looks through every word that
/// has its pair, so that a text without white space would take time as the square of its length.
const LONGEST_WORD: usize = 1024;

/// Calls `visit` with a word, in parts if it is longer than [`LONGEST_WORD`].
fn each_part(word: &str, mut visit: impl FnMut(&str)) {
    let mut rest = word;
    while rest.len() > LONGEST_WORD {
        let (part, after) = rest.split_at(rest.floor_char_boundary(LONGEST_WORD));
        visit(part);
        rest = after;
    }
    visit(rest);
}

/// How often each word occurs in the lines of texts, its bytes written as byte-level characters.
fn count_words(should_stop: ShouldStop<'_>, texts: &[Text<'_>]) -> Result<HashMap<String, u64>> {
    let pieces = pieces_of(texts, is_cut);
    let count = |(_, piece): (usize, String)| count_words_of_lines(&piece);
    let mut sums = HashMap::new();
    for counted in in_parallel(should_stop, pieces, |(_, piece)| piece, count) {
        for (word, count) in counted? {
            *sums.entry(word).or_default() += count;
        }
    }
    let in_bytes = |(word, count): (String, u64)| {
        stop::check(should_stop)?;
        Ok((in_byte_level(&word), count))
    };
    sums.into_par_iter().map(in_bytes).collect()
}

/// A place for a cut: between two lines, or within a line where the rest of it begins with the
/// space that it would get otherwise.
fn is_cut(text: &str, at: usize) -> bool {
    after_a_line(text, at) || before_a_space(text, at)
}

/// How often each word occurs. Every line is normalised by itself, and begins with a space or gets
/// one.
fn count_words_of_lines(text: &str) -> HashMap<String, u64> {
    let (mut splitter, mut normal_forms) = (WordSplitter::default(), NormalForms::default());
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut spaced = String::new();
    for line in text.split_inclusive('\n') {
        let normal = normal_forms.of(line, &NFKC);
        spaced.clear();
        if !normal.starts_with(' ') {
            spaced.push(' ');
        }
        spaced.push_str(&normal);
        splitter.for_each_word(&spaced, |word| {
            each_part(word, |part| match counts.get_mut(part) {
                Some(count) => *count += 1,
                None => drop(counts.insert(part.to_owned(), 1)),
            });
        });
    }
    counts
}

/// Has the library find the merges, and returns the whole tokenizer as JSON.
fn train_json(
    words: HashMap<String, u64>,
    settings: &TokenizerSettings,
) -> tokenizers::Result<String> {
    let mut model = BPE::default();
    // The library has its own types of map and string, which nothing here needs to name.
    let words = words.into_iter().map(|(word, count)| (word.into(), count)).collect();
    let special_tokens = trainer(settings).do_train(&words, &mut model)?;
    let mut tokenizer = around(model)?;
    tokenizer.add_special_tokens(special_tokens)?;
    tokenizer.to_string(true)
}

fn trainer(settings: &TokenizerSettings) -> BpeTrainer {
    let mask_token = settings.mask_token.then_some(MASK_TOKEN);
    let special_tokens = SPECIAL_TOKENS.into_iter().chain(mask_token).map(str::to_owned);
    let special_tokens = special_tokens.chain((0..settings.sentinels).map(sentinel));
    BpeTrainer::builder()
        .vocab_size(settings.vocab_size)
        .min_frequency(settings.min_frequency)
        .special_tokens(special_tokens.map(|token| AddedToken::from(token, true)).collect())
        .show_progress(false)
        .build()
}

/// A model in the authors' byte-level tokenizer.
fn around(
    model: BPE,
) -> tokenizers::Result<TokenizerImpl<BPE, NFKC, ByteLevel, ByteLevel, ByteLevel>> {
    TokenizerBuilder::new()
        .with_model(model)
        .with_normalizer(Some(NFKC))
        .with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(true)))
        .with_post_processor(Some(ByteLevel::default().trim_offsets(true)))
        .with_decoder(Some(ByteLevel::default()))
        .build()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::train;
    use super::super::{Role, test_texts};
    use super::*;
    use crate::pieces::cut;

    /// The slow reference: the library reads the lines and counts the words itself.
    fn train_by_library(texts: &[NamedText], settings: &TokenizerSettings) -> String {
        let lines = texts.iter().flat_map(|(_, text)| text.split_inclusive('\n'));
        let mut tokenizer = around(BPE::default()).unwrap();
        let trained = tokenizer.train(&mut trainer(settings), lines).unwrap();
        trained.to_string(true).unwrap()
    }

    /// Random words of a few letters, so that a great many pairs are equally frequent.
    fn random_words() -> String {
        let letter =
            |index: u64| (b'a' + base::rng::Rng::new(1, "letters").below(index, 20) as u8) as char;
        (0..12_000).map(|index| if index % 5 == 4 { '\n' } else { letter(index) }).collect()
    }

    #[test]
    fn the_library_counts_the_same_words() {
        let texts = [
            ("a.train".to_string(), test_texts::texts().concat()),
            ("b.train".to_string(), random_words()),
        ];
        let settings =
            TokenizerSettings { vocab_size: 600, min_frequency: 2, ..TokenizerSettings::default() };
        assert_eq!(
            Tokenizer::train(&texts, &settings).unwrap().json,
            train_by_library(&texts, &settings)
        );
    }

    #[test]
    fn pieces_of_any_size_have_the_words_of_the_whole() {
        for text in test_texts::texts() {
            let whole = count_words_of_lines(&text);
            for bytes in [0, 2, 3, 7, 64] {
                let mut sums: HashMap<String, u64> = HashMap::new();
                for piece in cut(&text, bytes, is_cut) {
                    for (word, count) in count_words_of_lines(piece) {
                        *sums.entry(word).or_default() += count;
                    }
                }
                assert_eq!(sums, whole, "{text:?} in pieces of {bytes}");
            }
        }
    }

    #[test]
    fn a_text_without_white_space_is_trained_on_in_parts() {
        let mut parts = Vec::new();
        let word = "é".repeat(1300);
        each_part(&word, |part| parts.push(part.len()));
        assert_eq!(parts, [1024, 1024, 552]);
        let letter =
            |index: u64| (b'a' + base::rng::Rng::new(2, "letters").below(index, 20) as u8) as char;
        let text: String = (0..150_000).map(letter).collect();
        let started = std::time::Instant::now();
        assert_eq!(train(&text, 2000).vocab_size(), 2000);
        // As one word it took over half a minute.
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    }

    #[test]
    fn merging_stops_when_asked() {
        let texts = [("a.train".to_string(), random_words())];
        let asked = std::sync::atomic::AtomicUsize::new(0);
        // Counting the words of one piece asks once.
        let should_stop = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
        let settings = TokenizerSettings::default();
        let stopped = Tokenizer::train_unless(&should_stop, &in_memory(&texts), &settings);
        assert!(matches!(stopped, Err(CorpusError::Stopped(_))));
    }

    #[test]
    fn training_stops_when_asked() {
        let texts = [("a.train".to_string(), random_words())];
        let settings = TokenizerSettings::default();
        let stopped = Tokenizer::train_unless(&|| true, &in_memory(&texts), &settings);
        assert!(matches!(stopped, Err(CorpusError::Stopped(_))));
    }

    /// Expectations: the Python library's `train` (0.23.3) on a file of the same text.
    #[test]
    fn merges_are_those_of_the_python_library() {
        let tokenizer = train("low lower lowest\nnew newer newest\n\nlow new \u{FF4C}ow ﬁx\n", 24);
        let mut pieces: Vec<(u32, String)> =
            tokenizer.inner.get_vocab(true).into_iter().map(|(piece, id)| (id, piece)).collect();
        pieces.sort_unstable();
        let pieces: Vec<&str> = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        let expected = "<pad> <s> </s> e f i l n o r s t w x Ċ Ġ lo Ġlo Ġlow ew new Ġnew er es";
        assert_eq!(pieces.join(" "), expected);
    }

    #[test]
    fn a_mask_token_comes_behind_the_other_special_tokens_and_serves_masked_models() {
        let texts = [("a.train".to_string(), "low lower lowest\n".to_string())];
        let settings = TokenizerSettings {
            vocab_size: 24,
            min_frequency: 1,
            mask_token: true,
            ..TokenizerSettings::default()
        };
        let tokenizer = Tokenizer::train(&texts, &settings).unwrap();
        let found = [Role::Padding, Role::Classifier, Role::Separator, Role::Mask]
            .map(|role| tokenizer.role(role));
        let expected = [("<pad>", 0), ("<s>", 1), ("</s>", 2), ("<mask>", 3)];
        assert_eq!(found, expected.map(Some));
        assert_eq!(tokenizer.encode("low<mask>").unwrap().last(), Some(&3));
        let folder = tempfile::tempdir().unwrap();
        tokenizer.save_folder(folder.path(), 16).unwrap();
        let again = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(again.role(Role::Mask), Some(("<mask>", 3)));
        let without = TokenizerSettings { mask_token: false, ..settings };
        assert_eq!(Tokenizer::train(&texts, &without).unwrap().role(Role::Mask), None);
    }

    #[test]
    fn sentinels_come_last_of_the_special_tokens() {
        let texts = [("a.train".to_string(), "low lower lowest\n".to_string())];
        let settings = TokenizerSettings {
            vocab_size: 26,
            min_frequency: 1,
            mask_token: true,
            sentinels: 3,
            begin_token: false,
        };
        let tokenizer = Tokenizer::train(&texts, &settings).unwrap();
        let ids = (0..4).map(|number| tokenizer.token_id(&sentinel(number)));
        assert_eq!(ids.collect::<Vec<_>>(), [Some(4), Some(5), Some(6), None]);
        assert_eq!(tokenizer.encode("low<extra_id_1>").unwrap().last(), Some(&5));
    }

    #[test]
    fn training_is_repeatable() {
        let text = random_words();
        let first = train(&text, 800);
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| train(&text, 800)).json, first.json, "{threads} threads");
        }
        assert_eq!(first.vocab_size(), 800);
    }

    #[test]
    fn a_vocabulary_that_cannot_hold_the_alphabet_is_refused() {
        let texts = [("a.train".to_string(), "abc\n".to_string())];
        let train = |vocab_size| {
            Tokenizer::train(
                &texts,
                &TokenizerSettings { vocab_size, min_frequency: 1, ..TokenizerSettings::default() },
            )
        };
        // Three special tokens; a, b, c, the line end, and the space that is put before the line.
        let message = train(7).unwrap_err().to_string();
        assert!(
            message.starts_with("a vocabulary of 7 is too small")
                && message.ends_with("alone take 8"),
            "{message}"
        );
        assert_eq!(train(8).unwrap().vocab_size(), 8);
        // A text with few pairs fills no large vocabulary.
        assert!(train(1000).unwrap().vocab_size() < 20);
    }

    /// Expectation: the Python libraries on the same files.
    #[test]
    #[ignore = "needs the folder named by BABYLLAMA_DATA; takes a minute"]
    fn the_corpus_of_2023_has_as_many_tokens_as_with_python() {
        let data = std::env::var("BABYLLAMA_DATA").expect("BABYLLAMA_DATA is set");
        let raw =
            crate::text::read_corpus(&std::path::Path::new(&data).join("babylm_10M")).unwrap();
        let texts = crate::cleaners::clean_whole(&raw);
        let tokenizer = Tokenizer::train(&texts, &TokenizerSettings::default()).unwrap();
        assert_eq!(tokenizer.vocab_size(), 16_000);
        let tokens: usize =
            texts.iter().map(|(_, text)| tokenizer.encode_file(text).unwrap().len()).sum();
        assert_eq!(tokens, 14_698_928);
    }
}
