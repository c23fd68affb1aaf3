//! The ages at which children and a model acquire words, and their correlation.

use serde::{Deserialize, Serialize};

use super::data::{AoaData, ChildCurve};
use super::fit::{Bounds, fit};
use super::surprisals::Surprisals;
use crate::challenge::{ChallengeTokenizer, ChallengeYear};
use crate::error::EvalError;
use crate::statistics::Correlation;

/// The words of which each is as likely as another by chance, in 2025.
const WORDS_2025: f64 = 300_000.0;

/// The share of children that must say a word.
const HALF: f64 = 0.5;

/// The p-value above which the score of 2026 is 0.
const LARGEST_P: f64 = 0.1;

/// A checkpoint and the surprisals of all words.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredCheckpoint {
    /// Its name, such as `chck_1M`.
    pub name: String,
    /// Words of text that the model has read, repeated ones counted each time.
    pub words_seen: u64,
    /// The surprisals.
    pub surprisals: Surprisals,
}

/// How well the ages agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AoaScore {
    /// Pearson's r by the rules of the year: 0 of fewer than three words and, in 2026, where p is
    /// above 0.1.
    pub score: f64,
    /// Pearson's r whatever p is; none of fewer than three words or equal ages.
    pub r: Option<f64>,
    /// The probability of such an r by chance.
    pub p: Option<f64>,
    /// Words that have both ages, and count.
    pub words: usize,
    /// Words that have an age of children.
    pub words_of_children: usize,
    /// Texts of each checkpoint.
    pub texts: usize,
    /// Texts of all checkpoints together that are longer than the model's positions.
    pub unread: usize,
    /// The checkpoints that were measured.
    pub checkpoints: usize,
}

/// The ages of a word that has one of children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordAge {
    /// The word.
    pub word: String,
    /// Months at which half of the children say it.
    pub child: f64,
    /// Decimal logarithm of the words after which the model has it; none where its surprisals have
    /// no such point.
    pub model: Option<f64>,
}

impl AoaScore {
    /// The score of a training by the rules of a year, and the ages that it is of.
    ///
    /// # Errors
    /// When the tokenizer fails at a word.
    pub fn of(
        year: ChallengeYear,
        data: &AoaData,
        checkpoints: &[MeasuredCheckpoint],
        tokenizer: &dyn ChallengeTokenizer,
    ) -> Result<(Self, Vec<WordAge>), EvalError> {
        let mut ages = Vec::new();
        for (place, word) in data.words.iter().enumerate() {
            let word = &word.word;
            let Some(child) = data.children.get(word).and_then(child_age) else { continue };
            let chance = match year {
                // In bits, although surprisals are in nats.
                ChallengeYear::Year2025 => WORDS_2025.log2(),
                ChallengeYear::Year2026 => chance(word, tokenizer)?,
            };
            let steps: Vec<_> = checkpoints
                .iter()
                .map(|checkpoint| (checkpoint.words_seen as f64, &*checkpoint.surprisals[place]))
                .collect();
            ages.push(WordAge {
                word: word.clone(),
                child,
                model: model_age(year, &steps, chance),
            });
        }
        let both = ages.iter().filter_map(|age| Some((age.model?, age.child)));
        let (of_model, of_children): (Vec<f64>, Vec<f64>) = both.unzip();
        let found = Correlation::of(&of_model, &of_children);
        let counts = |found: &Correlation| match year {
            ChallengeYear::Year2025 => true,
            ChallengeYear::Year2026 => found.p <= LARGEST_P,
        };
        let surprisals = checkpoints.iter().flat_map(|one| &one.surprisals).flatten();
        let score = Self {
            score: found.filter(counts).map_or(0.0, |found| found.r),
            r: found.map(|found| found.r),
            p: found.map(|found| found.p),
            words: of_model.len(),
            words_of_children: ages.len(),
            texts: data.texts(),
            unread: surprisals.filter(|surprisal| surprisal.is_none()).count(),
            checkpoints: checkpoints.len(),
        };
        Ok((score, ages))
    }
}

/// The age in months at which half of the children say a word; none where no sigmoid that rises
/// through one half within the months can be fitted.
pub fn child_age(curve: &ChildCurve) -> Option<f64> {
    let [first, last] = [curve.first()?, curve.last()?].map(|(month, _)| *month);
    if curve.len() < 3 {
        return None;
    }
    let mean = curve.iter().map(|(month, _)| month).sum::<f64>() / curve.len() as f64;
    let bounds = Bounds { low: [0.0, 0.0, 16.0, -0.5], high: [2.0, 1.0, 30.0, 0.5] };
    let found = fit(curve, [1.0, 0.1, mean, 0.0], &bounds)?;
    let rises = found.height > 0.0 && found.slope > 0.0;
    let age = rises.then(|| found.crossing(HALF)).flatten()?;
    (first..=last).contains(&age).then_some(age)
}

/// The surprisal of a word's tokens if all tokens were equally likely.
fn chance(word: &str, tokenizer: &dyn ChallengeTokenizer) -> Result<f64, EvalError> {
    let [without, with] = ["The".to_owned(), format!("The {word}")]
        .map(|text| tokenizer.encode(&text).map(|ids| ids.len()));
    let tokens = with?.saturating_sub(without?).max(1);
    Ok(tokens as f64 * (tokenizer.vocab_size() as f64).ln())
}

/// The decimal logarithm of the words after which a sigmoid through the surprisals of a word has
/// fallen half-way from chance to the least surprisal: of each checkpoint the words seen, and the
/// surprisal in each context. None where there is no such point between the first and the last
/// checkpoint.
fn model_age(year: ChallengeYear, steps: &[(f64, &[Option<f64>])], chance: f64) -> Option<f64> {
    let (first, last) = (steps.first()?.0, steps.last()?.0);
    let point = |words: f64, surprisal: f64| ((words + 1.0).log10(), -surprisal);
    let points: Vec<(f64, f64)> = match year {
        ChallengeYear::Year2025 => {
            let known = |(words, found): &(f64, &[Option<f64>])| {
                let words = *words;
                found.iter().flatten().map(move |&surprisal| point(words, surprisal)).collect()
            };
            steps.iter().flat_map::<Vec<_>, _>(known).collect()
        }
        ChallengeYear::Year2026 => {
            // A checkpoint of which a context is missing is missing.
            let mean = |(words, found): &(f64, &[Option<f64>])| {
                let sum: f64 = found.iter().copied().sum::<Option<f64>>()?;
                (!found.is_empty()).then(|| point(*words, sum / found.len() as f64))
            };
            steps.iter().filter_map(mean).collect()
        }
    };
    let fewest = if year == ChallengeYear::Year2025 { 4 } else { 3 };
    if points.len() < fewest {
        return None;
    }
    let curve = ModelCurve::of(&points);
    let (bounds, least) = match year {
        ChallengeYear::Year2025 => (Bounds::NONE, 0.0),
        ChallengeYear::Year2026 => (curve.bounds(), 1e-6),
    };
    let found = fit(&points, curve.start(), &bounds)?;
    let rises = found.height > least && found.slope > least;
    let threshold = -(chance - curve.highest) / 2.0;
    let age = rises.then(|| found.crossing(threshold)).flatten()?;
    (first..=last).contains(&(10.0_f64.powf(age) - 1.0)).then_some(age)
}

/// What points (logarithm of the words seen, negative surprisal) span.
struct ModelCurve {
    mean_x: f64,
    least_x: f64,
    greatest_x: f64,
    lowest: f64,
    highest: f64,
}

impl ModelCurve {
    fn of(points: &[(f64, f64)]) -> Self {
        let x = || points.iter().map(|(x, _)| *x);
        let y = || points.iter().map(|(_, y)| *y);
        Self {
            mean_x: x().sum::<f64>() / points.len() as f64,
            least_x: x().fold(f64::INFINITY, f64::min),
            greatest_x: x().fold(f64::NEG_INFINITY, f64::max),
            lowest: y().fold(f64::INFINITY, f64::min),
            highest: y().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn start(&self) -> [f64; 4] {
        [self.highest - self.lowest, 1.0, self.mean_x, self.lowest]
    }

    fn bounds(&self) -> Bounds {
        let range = self.highest - self.lowest;
        Bounds {
            low: [0.0, 0.0, self.least_x - 1.0, self.lowest - 2.0 * range - 1.0],
            high: [10.0 * range + 1.0, 100.0, self.greatest_x + 1.0, self.highest + 1.0],
        }
    }
}
