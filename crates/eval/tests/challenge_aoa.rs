//! The age-of-acquisition task against SciPy on made-up words (`tools/golden/challenge_aoa.py`),
//! and against what the pipelines themselves found, which is not in the repository:
//! `BABYLLAMA_DATA=FOLDER cargo test --release -p eval --test challenge_aoa -- --ignored`

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::Tokenizer;
use engine::Device;
use engine::cpu::Cpu;
use eval::challenge::aoa::{
    AoaData, AoaScore, MeasuredCheckpoint, WordAge, WordContexts, child_age, surprisals,
};
use eval::challenge::{
    ChallengeBackend, ChallengeTokenizer, ChallengeYear, PlacedToken, SpecialTokens,
};
use eval::{EvalError, Scorer};
use model::{MaskedTokens, hugging_face};
use serde::Deserialize;
use support::OfFolder;

const YEARS: [ChallengeYear; 2] = [ChallengeYear::Year2025, ChallengeYear::Year2026];

/// The tolerances for ages of children in months, and for those of models in log10 of words.
const TOLERANCES: [f64; 2] = [1e-3, 1e-4];

/// The surprisals of a word: in each context one for each checkpoint.
type Curves = Vec<Vec<Option<f64>>>;

#[derive(Deserialize)]
struct Golden {
    steps: Vec<u64>,
    vocab_size: usize,
    words: Vec<GoldenWord>,
    scores: BTreeMap<String, GoldenScore>,
}

#[derive(Deserialize)]
struct GoldenWord {
    word: String,
    shares: Vec<Option<f64>>,
    contexts: Curves,
    child: Option<f64>,
    model: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
struct GoldenScore {
    words: usize,
    r: f64,
    p: f64,
}

/// A token for every three letters, or one for each where a text is to be read.
struct InThrees(usize);

impl ChallengeTokenizer for InThrees {
    fn encode(&self, text: &str) -> Result<Vec<u32>, EvalError> {
        Ok(vec![0; text.len().div_ceil(3)])
    }

    fn encode_placed(&self, text: &str) -> Result<Vec<PlacedToken>, EvalError> {
        let token = |(place, byte): (usize, u8)| PlacedToken {
            id: u32::from(byte) % self.0 as u32,
            end: place + 1,
        };
        Ok(text.bytes().enumerate().map(token).collect())
    }

    fn vocab_size(&self) -> usize {
        self.0
    }

    fn decode(&self, _: u32) -> String {
        String::new()
    }

    fn special_tokens(&self) -> SpecialTokens {
        SpecialTokens::default()
    }
}

/// Words with their surprisals as the task has them.
fn measured<'a>(
    steps: &[u64],
    words: impl Iterator<Item = (&'a String, &'a Curves)>,
) -> (Vec<WordContexts>, Vec<MeasuredCheckpoint>) {
    let mut checkpoints: Vec<MeasuredCheckpoint> = steps
        .iter()
        .map(|&words_seen| MeasuredCheckpoint {
            name: format!("chck_{}M", words_seen / 1_000_000),
            words_seen,
            surprisals: Vec::new(),
        })
        .collect();
    let mut found = Vec::new();
    for (word, curves) in words {
        let contexts = vec!["in some context".to_owned(); curves.len()];
        found.push(WordContexts { word: word.clone(), contexts });
        for (index, checkpoint) in checkpoints.iter_mut().enumerate() {
            checkpoint.surprisals.push(curves.iter().map(|curve| curve[index]).collect());
        }
    }
    (found, checkpoints)
}

/// The difference of two ages that are both there or both missing.
fn difference(word: &str, found: Option<f64>, expected: Option<f64>) -> f64 {
    assert_eq!(found.is_some(), expected.is_some(), "{word}: {found:?}, not {expected:?}");
    found.zip(expected).map_or(0.0, |(found, expected)| (found - expected).abs())
}

fn model_ages(ages: &[WordAge]) -> HashMap<&str, Option<f64>> {
    ages.iter().map(|age| (age.word.as_str(), age.model)).collect()
}

fn is_near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() < tolerance
}

#[test]
fn ages_and_correlations_are_those_of_scipy() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/challenge_aoa.json");
    let golden: Golden = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    let curve = |shares: &[Option<f64>]| {
        let known =
            shares.iter().zip(16..).filter_map(|(share, month)| Some((month.into(), (*share)?)));
        known.collect()
    };
    let children = golden.words.iter().map(|word| (word.word.clone(), curve(&word.shares)));
    let children: HashMap<String, Vec<(f64, f64)>> = children.collect();
    let mut largest = [0.0_f64; 2];
    for word in &golden.words {
        let difference = difference(&word.word, child_age(&children[&word.word]), word.child);
        largest[0] = largest[0].max(difference);
    }
    let all = golden.words.iter().map(|word| (&word.word, &word.contexts));
    let (words, checkpoints) = measured(&golden.steps, all);
    let data = AoaData { words, children };
    for year in YEARS {
        let tokenizer = InThrees(golden.vocab_size);
        let (score, ages) = AoaScore::of(year, &data, &checkpoints, &tokenizer).unwrap();
        let ages = model_ages(&ages);
        for word in golden.words.iter().filter(|word| word.child.is_some()) {
            let (found, expected) = (ages[word.word.as_str()], word.model[year.name()]);
            largest[1] = largest[1].max(difference(&word.word, found, expected));
        }
        let GoldenScore { words, r, p } = golden.scores[year.name()];
        assert_eq!((score.words, score.checkpoints), (words, golden.steps.len()));
        assert!(is_near(score.r.unwrap(), r, 1e-5), "{score:?}, not {r}");
        assert!(is_near(score.p.unwrap(), p, 1e-5), "{score:?}, not {p}");
        assert_eq!(score.score, score.r.unwrap());
        assert!(score.unread > 0);
    }
    assert!(largest[0] < TOLERANCES[0] && largest[1] < TOLERANCES[1], "{largest:?}");
}

/// `f(x) = 1 / (1 + exp(-0.5 (x - 20)))` reaches one half at 20.
#[test]
fn children_have_a_word_when_half_of_them_say_it() {
    let share = |month: f64| 1.0 / (1.0 + (-0.5 * (month - 20.0)).exp());
    let curve: Vec<(f64, f64)> =
        (16..=30).map(|month| (f64::from(month), share(f64::from(month)))).collect();
    assert!(is_near(child_age(&curve).unwrap(), 20.0, 1e-6));
    // Half of them say it before the first month that is known, or two months are too few.
    assert_eq!(child_age(&curve[6..].to_vec()), None);
    assert_eq!(child_age(&curve[3..5].to_vec()), None);
    assert_eq!(child_age(&Vec::new()), None);
    let flat = curve.iter().map(|(month, _)| (*month, 0.3)).collect();
    assert_eq!(child_age(&flat), None);
    let falling = curve.iter().map(|(month, share)| (*month, 1.0 - share)).collect();
    assert_eq!(child_age(&falling), None);
}

/// The pipelines write `NaN` for a text that a model cannot read; others are measured all the same.
#[test]
fn texts_longer_than_the_positions_have_no_surprisal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/gpt2");
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let model = hugging_face::load_any(&folder, &device).unwrap();
    let scorer = Scorer::new(vec![&model]).unwrap();
    let backend = ChallengeBackend::Causal;
    let measure = |lengths: &[usize]| {
        let contexts = lengths.iter().map(|&length| "c".repeat(length)).collect();
        let words = [WordContexts { word: "ab".to_owned(), contexts }];
        surprisals(&scorer, backend, &words, &InThrees(61), |_, _| ()).unwrap().remove(0)
    };
    // With a space and the word, the second of the texts has the 16 tokens of the positions.
    let found = measure(&[3, 13, 14, 5]);
    assert_eq!(found[2], None);
    assert_eq!([found[0], found[1], found[3]].map(|one| one.unwrap() > 0.0), [true; 3]);
    assert!(is_near(found[3].unwrap(), measure(&[5])[0].unwrap(), 1e-5));
}

/// By the rules of 2026 a correlation that may be chance scores 0; both years need three words.
#[test]
fn correlations_that_may_be_chance_count_in_2025_alone() {
    let share = |middle: f64| {
        let of = |month: f64| (month, 1.0 / (1.0 + (-0.5 * (month - middle)).exp()));
        (16..=30).map(|month| of(f64::from(month))).collect()
    };
    let curve = |middle: f64| {
        let of = |step: &u64| {
            let x = (*step as f64).log10();
            Some(2.0 + 14.0 / (1.0 + (4.0 * (x - middle)).exp()))
        };
        vec![STEPS.iter().map(of).collect()]
    };
    let words = [("aa", 18.0, 6.4), ("bb", 22.0, 7.2), ("cc", 21.0, 6.9), ("dd", 25.0, 6.8)];
    let score = |count: usize, year| {
        let curves: Vec<(String, Curves)> =
            words[..count].iter().map(|(word, _, x)| ((*word).to_owned(), curve(*x))).collect();
        let (contexts, checkpoints) = measured(&STEPS, curves.iter().map(|(w, c)| (w, c)));
        let children = words.iter().map(|(word, child, _)| ((*word).to_owned(), share(*child)));
        let data = AoaData { words: contexts, children: children.collect() };
        AoaScore::of(year, &data, &checkpoints, &InThrees(20_000)).unwrap().0
    };
    let [of_2025, of_2026] = YEARS.map(|year| score(4, year));
    assert!(of_2026.p.unwrap() > 0.1 && of_2026.r.unwrap() > 0.3, "{of_2026:?}");
    assert_eq!((of_2026.score, of_2026.words), (0.0, 4));
    assert_eq!(Some(of_2025.score), of_2025.r);
    for year in YEARS {
        let few = score(2, year);
        assert_eq!((few.score, few.r, few.p, few.words), (0.0, None, None, 2));
    }
}

const STEPS: [u64; 8] =
    [1_000_000, 2_000_000, 4_000_000, 8_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000];

/// What the pipeline of a year found.
#[derive(Deserialize)]
struct Official {
    words: Vec<OfficialWord>,
    surprisal: BTreeMap<String, Vec<Vec<f64>>>,
    child_aoa: BTreeMap<String, Option<f64>>,
    vocab_size: usize,
    subword_len: BTreeMap<String, usize>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct OfficialWord {
    word: String,
    contexts: Vec<String>,
}

fn data_folder() -> PathBuf {
    let data = std::env::var_os("BABYLLAMA_DATA");
    let data = data.expect("BABYLLAMA_DATA names the folder with eval2026/golden");
    PathBuf::from(data).join("eval2026")
}

fn official<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let path = data_folder().join("golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn made_up_data() -> AoaData {
    let folder = data_folder().join("made/full_eval/aoa");
    AoaData::read(&folder.join("cdi_childes.json"), &folder.join("cdi_human.csv")).unwrap()
}

#[test]
#[ignore = "needs the words and the pipelines' answers"]
fn ages_and_scores_are_those_of_the_pipelines() {
    let data = made_up_data();
    // Two words of a single letter, with 33 texts, are left out.
    assert_eq!((data.words.len(), data.texts(), data.children.len()), (580, 9647, 633));
    let millions = (1..10).chain((10..=100).step_by(10)).map(|millions| millions * 1_000_000);
    let steps: Vec<u64> = millions.collect();
    let made_up: BTreeMap<String, serde_json::Map<String, serde_json::Value>> =
        official("aoa.made_up.json");
    let folder = data_folder().join("golden/models/llama");
    let tokenizer = OfFolder(Tokenizer::from_folder(&folder).unwrap());
    for year in YEARS {
        let official: Official = official(&format!("aoa.{}.json", year.name()));
        assert_eq!(tokenizer.vocab_size(), official.vocab_size);
        for (word, tokens) in &official.subword_len {
            let count = |text: &str| tokenizer.encode(text).unwrap().len();
            assert_eq!(count(&format!("The {word}")) - count("The"), *tokens, "{word}");
        }
        let mut children = 0.0_f64;
        for (word, expected) in &official.child_aoa {
            let found = child_age(&data.children[word]);
            children = children.max(difference(word, found, *expected));
        }
        assert!(children < TOLERANCES[0], "{children}");
        for (name, curves) in &made_up {
            let curves: Vec<(String, Curves)> = curves
                .iter()
                .map(|(word, curves)| {
                    (word.clone(), serde_json::from_value(curves.clone()).unwrap())
                })
                .collect();
            let (words, checkpoints) = measured(&steps, curves.iter().map(|(w, c)| (w, c)));
            let data = AoaData { words, children: data.children.clone() };
            let (score, ages) = AoaScore::of(year, &data, &checkpoints, &tokenizer).unwrap();
            let expected = official.rest[&format!("model_aoa.{name}")].as_object().unwrap();
            let ages = model_ages(&ages);
            let mut models = 0.0_f64;
            for (word, expected) in expected {
                let Some(&found) = ages.get(word.as_str()) else { continue };
                models = models.max(difference(word, found, expected.as_f64()));
            }
            let expected = &official.rest[&format!("score.{name}")];
            let number = |value: &serde_json::Value| value.as_f64().unwrap();
            let [r, p] = match expected.get("ungated") {
                Some(ungated) => [number(&ungated[0]), number(&ungated[1])],
                None => [number(&expected["curve_fitness"]), number(&expected["p_value"])],
            };
            assert_eq!(score.words as u64, expected["n_words"].as_u64().unwrap());
            let (r, p) = ((score.r.unwrap() - r).abs(), (score.p.unwrap() - p).abs());
            assert!(models < TOLERANCES[1] && r < 1e-5 && p < 1e-4, "{models}, {score:?}");
            assert!(is_near(score.score, number(&expected["curve_fitness"]), 1e-5), "{score:?}");
        }
    }
}

#[test]
#[ignore = "needs the models and the pipelines' answers"]
fn surprisals_are_those_of_the_pipelines() {
    let models = data_folder().join("golden/models");
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let official: Official = official("aoa.2026.json");
    let words: Vec<WordContexts> = official
        .words
        .into_iter()
        .map(|OfficialWord { word, contexts }| WordContexts { word, contexts })
        .collect();
    for (tokenizer, folder, backend) in [
        ("llama", "llama", ChallengeBackend::Causal),
        ("llama-bos", "llama", ChallengeBackend::Causal),
        ("llama-space", "llama", ChallengeBackend::Causal),
        ("roberta", "roberta", ChallengeBackend::Mlm),
    ] {
        let expected = &official.surprisal[&format!("{tokenizer}.{}.context", backend.name())];
        let tokenizer = OfFolder(Tokenizer::from_folder(&models.join(tokenizer)).unwrap());
        let model = hugging_face::load_any(&models.join(folder), &device).unwrap();
        let scorer = match backend {
            ChallengeBackend::Causal => Scorer::new(vec![&model]),
            _ => Scorer::masked(vec![&model], MaskedTokens { start: 0, mask: 0, end: 0 }),
        };
        let scorer = scorer.unwrap().beyond_trained_positions();
        let found = surprisals(&scorer, backend, &words, &tokenizer, |_, _| ()).unwrap();
        let mut largest = 0.0_f64;
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                largest = largest.max((found.unwrap() - expected).abs());
            }
        }
        assert!(largest < 1e-5, "{largest}");
    }
}
