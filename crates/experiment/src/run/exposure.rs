//! How much text every model and its teachers have seen, which the BabyLM challenge limits, and
//! the work that this took.

use std::collections::BTreeMap;

use corpus::stats::CorpusStats;
use corpus::texts;
use report::format::{NOTHING, short};
use report::{Align, Table};
use serde::{Deserialize, Serialize};
use train::TokenSource;

use super::Run;
use super::models::Trained;
use super::prepared::{Prepared, TRAIN};
use super::teachers::needed;
use crate::error::Result;
use crate::estimate::training_flops;
use crate::files;
use crate::recipe::{ModelSection, Start, own_teacher};
use crate::training_log::TrainingSummary;

/// The name of the ledger in a run's folder.
pub(crate) const FILE: &str = "exposure.json";

/// What a model has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Exposure {
    /// Tokens of all its steps.
    pub(super) tokens: u64,
    /// About how many words these are.
    pub(super) words: u64,
    /// Words divided by those of the training text.
    epochs: f64,
    /// The recipe's models that it learned from, and those that they learned from. What teachers in
    /// folders of others have seen is not known.
    teachers: Vec<String>,
    /// Its words and those of these teachers.
    words_with_teachers: u64,
    /// Floating-point operations of its training, with what its teachers read for it; not known
    /// where a folder that the recipe names is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flops: Option<f64>,
    /// These and those of the trainings of these teachers; not known where a folder of others is
    /// among them, or what a model begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) flops_with_teachers: Option<f64>,
    /// The fingerprint of the training that this is about; not known of older ledgers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) training: Option<String>,
}

impl Exposure {
    /// What the model has seen, in a sentence.
    pub(super) fn sentence(&self) -> String {
        let (words, epochs) = (short(self.words as f64), self.epochs);
        let seen = format!("The model has seen {words} words, each text {epochs:.2} times");
        match self.teachers.is_empty() {
            true => format!("{seen}."),
            false => format!(
                "{seen}; with those that its teachers ({}) have seen, {}.",
                self.teachers.join(", "),
                short(self.words_with_teachers as f64)
            ),
        }
    }
}

/// What a model that is trained outside a run has seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SingleExposure {
    /// Tokens of all its steps.
    tokens: u64,
    /// About how many words these are; not known without a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<u64>,
    /// Tokens divided by those of the training text.
    epochs: f64,
    /// The folders that it learned from, of which it is not known what they have seen.
    teachers: Vec<String>,
}

impl SingleExposure {
    /// Of a model that has seen `tokens` of a text of `text` tokens and so many words.
    pub(crate) fn of(
        tokens: usize,
        text: usize,
        words: Option<u64>,
        teachers: Vec<String>,
    ) -> Self {
        let epochs = tokens as f64 / text.max(1) as f64;
        let words = words.map(|words| (words as f64 * epochs).round() as u64);
        Self { tokens: tokens as u64, words, epochs, teachers }
    }
}

impl Run<'_> {
    /// Words of the training text.
    pub(super) fn words_of(&self, text: &Prepared) -> Result<u64> {
        let should_stop = || self.observer.should_stop();
        let files = texts::open_files(&text.folder.join(TRAIN))?;
        Ok(CorpusStats::of(&should_stop, &files, None)?.total.words as u64)
    }

    /// The ledger of the models that are trained.
    pub(super) fn exposure(&self, text: &Prepared, trained: &[Trained]) -> Result<Ledger> {
        let words = self.words_of(text)? as f64;
        let words_per_token = words / text.training.len().max(1) as f64;
        let mut seen = BTreeMap::new();
        for Trained { name, .. } in trained {
            let folder = self.path("models").join(name);
            let summary: TrainingSummary = files::read_json(&folder.join(TrainingSummary::FILE))?;
            seen.insert(name.clone(), summary.tokens as u64);
        }
        let flops = training_flops(&self.recipe, words, &text.folder)?;
        let mut ledger = ledger(&seen, words, words_per_token, &flops, |name| {
            needed(&self.recipe, std::slice::from_ref(name))
        });
        for Trained { name, stage, .. } in trained {
            let Some(exposure) = ledger.get_mut(name) else { continue };
            exposure.training = Some(stage.fingerprint());
            let all = exposure.teachers.iter().chain([name]);
            if all.map(|name| &self.recipe.models[name]).any(|model| self.has_others(model)) {
                exposure.flops_with_teachers = None;
            }
        }
        Ok(ledger)
    }

    /// Writes the ledger, which must be that of the whole run.
    pub(super) fn write_exposure(&self, ledger: &Ledger) -> Result<()> {
        files::write_json(&self.path(FILE), ledger)
    }

    /// Whether a model starts or learns from a folder, of which it is not known what work it took.
    fn has_others(&self, model: &ModelSection) -> bool {
        let mut teachers = model.distill.iter().flat_map(|distill| &distill.teachers);
        matches!(model.start, Start::Folder(_))
            || teachers.any(|teacher| own_teacher(&self.recipe, teacher).is_none())
    }

    /// The ledger as a table.
    pub(super) fn exposure_table(&self, ledger: &Ledger) -> Table {
        let order = self.recipe.models.keys();
        table(order.filter_map(|name| Some((name, ledger.get(name)?))))
    }
}

/// What every model has seen, by its name.
pub(super) type Ledger = BTreeMap<String, Exposure>;

/// The ledger of models that have seen so many tokens, and whose training took so many
/// floating-point operations; `teachers` names those of a model.
fn ledger(
    tokens: &BTreeMap<String, u64>,
    words: f64,
    words_per_token: f64,
    flops: &BTreeMap<String, f64>,
    teachers: impl Fn(&String) -> Vec<String>,
) -> Ledger {
    let words_of = |tokens: u64| (tokens as f64 * words_per_token).round() as u64;
    let of_one = |(name, &tokens_seen): (&String, &u64)| {
        let mut teachers = teachers(name);
        teachers.sort();
        let own = words_of(tokens_seen);
        let theirs = teachers.iter().filter_map(|teacher| tokens.get(teacher));
        let all = [name].into_iter().chain(&teachers);
        let exposure = Exposure {
            tokens: tokens_seen,
            words: own,
            epochs: own as f64 / words.max(1.0),
            words_with_teachers: own + theirs.map(|&tokens| words_of(tokens)).sum::<u64>(),
            flops: flops.get(name).copied(),
            flops_with_teachers: all.map(|one| flops.get(one).copied()).sum(),
            training: None,
            teachers,
        };
        (name.clone(), exposure)
    };
    tokens.iter().map(of_one).collect()
}

/// Floating-point operations as tables have them.
pub(crate) fn flops(number: Option<f64>) -> String {
    number.map_or_else(|| NOTHING.to_owned(), short)
}

fn table<'a>(models: impl Iterator<Item = (&'a String, &'a Exposure)>) -> Table {
    let heads = ["words seen", "epochs", "with its teachers", "FLOPs", "with its teachers"];
    let heads = heads.map(|head| (head, Align::Right));
    let mut table = Table::new([("model", Align::Left)].into_iter().chain(heads));
    for (name, exposure) in models {
        table.push(vec![
            name.clone(),
            short(exposure.words as f64),
            format!("{:.2}", exposure.epochs),
            short(exposure.words_with_teachers as f64),
            flops(exposure.flops),
            flops(exposure.flops_with_teachers),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_has_seen_what_its_teachers_and_theirs_have() {
        let seen = [("a", 1000), ("b", 2000), ("student", 500)];
        let seen = seen.map(|(name, tokens)| (name.to_owned(), tokens));
        let flops = [("a", 10.0), ("student", 7.0)].map(|(name, all)| (name.to_owned(), all));
        let teachers = |name: &String| match name.as_str() {
            "student" => vec!["b".to_owned(), "a".to_owned()],
            _ => Vec::new(),
        };
        let found = ledger(&seen.clone().into(), 400.0, 0.8, &flops.clone().into(), teachers);
        // That of one teacher is not known.
        assert_eq!(
            (found["student"].flops, found["student"].flops_with_teachers),
            (Some(7.0), None)
        );
        let flops = flops.into_iter().chain([("b".to_owned(), 20.0)]).collect();
        let found = ledger(&seen.into(), 400.0, 0.8, &flops, teachers);
        assert_eq!(found["student"].flops_with_teachers, Some(37.0));
        let student = &found["student"];
        assert_eq!((student.words, student.epochs, student.words_with_teachers), (400, 1.0, 2800));
        assert_eq!(student.teachers, ["a", "b"]);
        assert_eq!((found["a"].words, found["a"].words_with_teachers), (800, 800));
        let single = SingleExposure::of(500, 400, Some(320), vec!["folder".to_owned()]);
        assert_eq!((single.words, single.epochs), (Some(400), 1.25));
        assert_eq!(SingleExposure::of(500, 400, None, Vec::new()).words, None);
        let rows = table(found.iter()).to_text();
        assert!(rows.lines().last().unwrap().contains("student"), "{rows}");
    }
}
