//! The last stages: every model and ensemble scored, and the closing table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use corpus::tokenizer::Role;
use eval::{Outcome, Scorer, SuiteResult, pairs};
use model::{Model, hugging_face};
use report::{TableRow, closing_table};
use serde::{Deserialize, Serialize};
use train::TrainSettings;
use train::data::heldout_sequences;
use train::heldout::Heldout;

use super::Pipeline;
use super::models::Trained;
use super::text::Text;
use crate::interrupt::Interrupt;
use crate::recipe::Source;
use crate::scoring_progress::ScoringProgress;
use crate::stage::Stage;
use crate::training_log::Summary;
use base::atomic_file;

/// The form of the files that the stage writes; files of another form are written anew.
const FORMAT: u32 = 2;

/// What one model or ensemble scored: `evaluation/NAME.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Scores {
    /// The models whose logits are averaged; one for a model by itself.
    models: Vec<String>,
    parameters: u64,
    held_out_loss: Option<f64>,
    perplexity: Option<f64>,
    /// By the place of the pairs.
    blimp: BTreeMap<String, SuiteResult>,
}

impl Pipeline {
    /// Scores what is not scored yet and returns the closing table.
    pub fn evaluate(&mut self, text: &Text, trained: &[Trained]) -> anyhow::Result<String> {
        let mut sets = Vec::new();
        for source in self.recipe.evaluate.blimp.clone() {
            sets.push((String::from(source.clone()), self.pairs_folder(&source)?));
        }
        let singles = trained.iter().map(|model| vec![model.name.clone()]);
        let subjects: Vec<_> = singles.chain(self.recipe.evaluate.ensembles.clone()).collect();
        let mut rows = Vec::new();
        for subject in subjects {
            let members: Vec<&Trained> =
                trained.iter().filter(|model| subject.contains(&model.name)).collect();
            let scores = self.score(&members, &sets, text)?;
            rows.push(self.row(&members, scores)?);
        }
        let table = closing_table(&rows);
        let place = self.path("table.md");
        atomic_file::write(&place, table.to_markdown().as_bytes())
            .with_context(|| format!("cannot write {}", place.display()))?;
        Ok(table.to_text())
    }

    fn score(
        &mut self,
        members: &[&Trained],
        sets: &[(String, std::path::PathBuf)],
        text: &Text,
    ) -> anyhow::Result<Scores> {
        let name = label(members);
        let file = format!("evaluation/{}.json", name.replace(" + ", "+"));
        let places: Vec<&String> = sets.iter().map(|(place, _)| place).collect();
        let common = self.common_settings();
        let sequences = (common.sequence_length, common.evaluation_sequences);
        let settings =
            (self.recipe.evaluate.loss, self.recipe.evaluate.rules, places, sequences, FORMAT);
        let mut stage = Stage::new(&format!("evaluate-{}", name.replace(" + ", "+")), &settings)?
            .after(&text.stage);
        for member in members {
            stage = stage.after(&member.stage);
        }
        for (_, folder) in sets {
            stage = stage.reads(folder)?;
        }
        self.perform(&stage, &[Path::new(&file)], |pipeline| {
            let scores = pipeline.measure(members, sets, text)?;
            let place = pipeline.path(&file);
            std::fs::create_dir_all(pipeline.path("evaluation"))
                .context("cannot make the folder evaluation")?;
            atomic_file::write(&place, format!("{:#}\n", serde_json::to_value(&scores)?).as_bytes())
                .with_context(|| format!("cannot write {}", place.display()))
        })?;
        let place = self.path(&file);
        let written =
            std::fs::read(&place).with_context(|| format!("cannot read {}", place.display()))?;
        serde_json::from_slice(&written)
            .with_context(|| format!("{} is no longer what a run wrote", place.display()))
    }

    fn measure(
        &mut self,
        members: &[&Trained],
        sets: &[(String, std::path::PathBuf)],
        text: &Text,
    ) -> anyhow::Result<Scores> {
        let models = members
            .iter()
            .map(|member| hugging_face::load(&member.weights, &self.device))
            .collect::<Result<Vec<_>, _>>()?;
        let models: Vec<&Model> = models.iter().collect();
        let mut scores = Scores {
            models: members.iter().map(|member| member.name.clone()).collect(),
            parameters: models.iter().map(|model| model.config().parameter_count() as u64).sum(),
            ..Scores::default()
        };
        if self.recipe.evaluate.loss {
            let settings = self.common_settings();
            let (chunks, sequences) = heldout_sequences(&settings, text.validation.len())?;
            let (batch_size, should_stop) = (settings.batch_size, || self.interrupt.is_requested());
            let should_stop = Some(&should_stop as &dyn Fn() -> bool);
            let heldout =
                Heldout { source: &text.validation, chunks, sequences, batch_size, should_stop };
            let found = heldout.cross_entropy(&models)?;
            if !found.cross_entropy.is_finite() {
                bail!(
                    "the held-out loss of {} is {}: its weights have diverged",
                    label(members),
                    found.cross_entropy
                );
            }
            scores.held_out_loss = Some(found.cross_entropy);
            scores.perplexity = Some(found.cross_entropy.exp());
        }
        for (place, folder) in sets {
            let rules = self.recipe.evaluate.rules.into();
            let found = score_folder(
                &models,
                folder,
                rules,
                &text.tokenizer,
                &label(members),
                Some(&self.interrupt),
            )?;
            scores.blimp.insert(place.clone(), found.result);
        }
        Ok(scores)
    }

    /// What all rows of the table are measured with, so that they stand on the same text: the
    /// shortest sequences and the smallest subset that any model's settings ask for.
    fn common_settings(&self) -> TrainSettings {
        let all = || self.recipe.models.values().map(|model| &model.train);
        let subset =
            all().map(|train| train.evaluation_sequences).filter(|&wanted| wanted > 0).min();
        TrainSettings {
            sequence_length: all().map(|train| train.sequence_length).min().unwrap_or(2),
            evaluation_sequences: subset.unwrap_or(0),
            ..TrainSettings::default()
        }
    }

    fn row(&self, members: &[&Trained], scores: Scores) -> anyhow::Result<TableRow> {
        // The column shows the first set that the recipe names.
        let first =
            self.recipe.evaluate.blimp.first().map(|source: &Source| String::from(source.clone()));
        let blimp = first.and_then(|place| scores.blimp.get(&place)).map(|result| result.score);
        let mut row = TableRow {
            model: label(members),
            parameters: scores.parameters,
            held_out_loss: scores.held_out_loss,
            blimp,
            ..TableRow::default()
        };
        if let [member] = members {
            let summary = Summary::read(&self.path("models").join(&member.name))?;
            row.best_epoch = summary.best_epoch;
            row.held_out_loss = row.held_out_loss.or(summary.best_loss);
            row.tokens_per_second = summary.tokens_per_second();
            row.minutes = Some(summary.seconds / 60.0);
            row.seed = self.recipe.models[&member.name].train.seed;
        }
        Ok(row)
    }
}

fn label(members: &[&Trained]) -> String {
    members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(" + ")
}

/// A scorer of models that read with one tokenizer, and the id of the token that stands before a
/// text without a context: by the rules where they predict the next token, and otherwise the one
/// that begins every text of a masked model.
pub fn scorer<'a>(
    models: &[&'a Model],
    rules: eval::Rules,
    tokenizer: &corpus::Tokenizer,
) -> anyhow::Result<(Scorer<'a>, u32)> {
    if models.iter().all(|model| model.config().architecture.is_causal()) {
        return Ok((Scorer::new(models.to_vec())?, prefix(rules, tokenizer)?));
    }
    let id = |role, name| match tokenizer.role(role) {
        Some((_, id)) => Ok(id),
        None => Err(eval::EvalError::NoMaskedToken { role: name }),
    };
    let (start, end) =
        (id(Role::Classifier, "token to begin texts")?, id(Role::Separator, "token to end texts")?);
    let tokens = eval::MaskedTokens { start, mask: id(Role::Mask, "mask token")?, end };
    Ok((Scorer::masked(models.to_vec(), tokens)?, start))
}

/// The token that a pipeline puts before a text: in 2023 the one that ends texts, in 2024 the one
/// that begins them, or else the next that the tokenizer has.
pub fn prefix(rules: eval::Rules, tokenizer: &corpus::Tokenizer) -> anyhow::Result<u32> {
    let roles = match rules {
        eval::Rules::Year2023 => &[Role::End][..],
        eval::Rules::Year2024 => &[Role::Begin, Role::End, Role::Padding],
    };
    let found = roles.iter().find_map(|&role| tokenizer.role(role));
    let (token, rules) = (rules.prefix_token(), rules.name());
    Ok(found.map(|(_, id)| id).ok_or(eval::EvalError::NoPrefixToken { token, rules })?)
}

/// Scores the minimal pairs of a folder with one model, or with several by their averaged logits,
/// unless it is interrupted.
pub fn score_folder(
    models: &[&Model],
    folder: &Path,
    rules: eval::Rules,
    tokenizer: &corpus::Tokenizer,
    label: &str,
    interrupt: Option<&Interrupt>,
) -> anyhow::Result<Outcome> {
    let tasks = pairs::read_folder(folder)?;
    let total = tasks.iter().map(|task| 2 * task.pairs.len()).sum::<usize>() as u64;
    let (scorer, prefix) = scorer(models, rules, tokenizer)?;
    let should_stop = || interrupt.is_some_and(Interrupt::is_requested);
    let scorer = scorer.stopping_when(&should_stop);
    let tokenizer = tokenizer_of(rules, tokenizer)?;
    let encode = |text: &str| tokenizer.encode(text);
    let label = format!("{label} on {}", folder.display());
    let mut progress = ScoringProgress::begin(&scorer, label, "sentences", total);
    let on_progress = |done, _| progress.update(done as u64);
    let outcome = eval::score_tasks(&scorer, &tasks, rules, prefix, encode, on_progress)?;
    let result = &outcome.result;
    progress.finish(&format!("accuracy {:.1} %, {} ties", 100.0 * result.score, result.ties));
    Ok(outcome)
}

/// The tokenizer as a pipeline uses it: that of 2023 does not normalise.
pub fn tokenizer_of(
    rules: eval::Rules,
    tokenizer: &corpus::Tokenizer,
) -> anyhow::Result<Cow<'_, corpus::Tokenizer>> {
    Ok(match rules {
        eval::Rules::Year2023 => Cow::Owned(tokenizer.without_normalizer()?),
        eval::Rules::Year2024 => Cow::Borrowed(tokenizer),
    })
}
