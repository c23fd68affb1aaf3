//! The last stages: every model and ensemble scored, and the closing table.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eval::output::predictions;
use eval::{Benchmark, BuiltinPairs, Outcome};
use model::{Architecture, Model, hugging_face};
use report::format::grouped;
use report::{Table, TableRow, closing_table};
use train::TrainSettings;
use train::data::{SourceRange, heldout_sequences};
use train::heldout::Heldout;
use train::masking::Masking;

use super::exposure::Ledger;
use super::models::Trained;
use super::pairs::PAIRS;
use super::prepared::Prepared;
use super::samples::samples;
use super::scores::{FORMAT, RunScores, ScoreSettings, file_name, stage_name};
use super::{Run, teachers};
use crate::error::{FileContext, Result, refuse};
use crate::evaluation::choices::{self, Pairs};
use crate::evaluation::loss::{Ends, LossByText};
use crate::evaluation::results::distinct;
use crate::files;
use crate::held_out::{self, HeldOut};
use crate::identity;
use crate::over_seeds::{SeedGroup, SeedTable, seed_groups, seed_table};
use crate::recipe::{ModelSection, Source};
use crate::scored_items;
use crate::stage::{Record, Stage, Stages, Status};
use crate::tokenizers;
use crate::training_log::TrainingSummary;
use crate::verify::FINAL;

/// The closing tables.
pub(super) struct Closing {
    /// A row for every model and ensemble.
    pub table: Table,
    /// What is to be said about its numbers, if anything.
    pub remark: Option<String>,
    /// A row for every group of models that differ in their seeds alone.
    pub over_seeds: Option<SeedTable>,
}

/// Minimal pairs that the recipe names.
struct PairSet {
    source: Source,
    folder: PathBuf,
    /// Read when the first model is scored on them.
    pairs: OnceCell<Pairs>,
}

impl PairSet {
    /// The source as in recipes and files.
    fn name(&self) -> String {
        self.source.clone().into()
    }

    fn pairs(&self) -> Result<&Pairs> {
        if let Some(pairs) = self.pairs.get() {
            return Ok(pairs);
        }
        let mut pairs = Pairs::read(&self.folder)?;
        if self.source == Source::Builtin {
            pairs.benchmark = &BuiltinPairs;
        }
        Ok(self.pairs.get_or_init(|| pairs))
    }
}

/// Titles that several sets share get the folder's name too.
fn distinct_titles(titles: &[String], sets: &[PairSet]) -> Vec<String> {
    let folders: Vec<PathBuf> = sets.iter().map(|set| set.folder.clone()).collect();
    let title = |(title, folder): (&String, String)| {
        let count = titles.iter().filter(|other| *other == title).count();
        if count > 1 { format!("{title}, {folder}") } else { title.clone() }
    };
    titles.iter().zip(distinct(&folders)).map(title).collect()
}

impl Run<'_> {
    /// Scores what is not scored yet.
    pub(super) fn evaluate(&self, text: &Prepared, trained: &[Trained]) -> Result<Closing> {
        let mut sets = Vec::new();
        for source in self.recipe.evaluate.blimp.iter().flatten().cloned() {
            let folder = self.pairs_folder(&source)?;
            sets.push(PairSet { source, folder, pairs: OnceCell::new() });
        }
        let (mut rows, mut titles) = (Vec::new(), vec![String::new(); sets.len()]);
        let mut held_out = Vec::new();
        for subject in self.subjects() {
            let members: Vec<&Trained> =
                trained.iter().filter(|model| subject.contains(&model.name)).collect();
            let scores = self.score(&members, &sets, text)?;
            let results = sets.iter().map(|set| scores.pairs.get(&set.name()));
            for ((set, title), result) in sets.iter().zip(&mut titles).zip(results.clone()) {
                let own = result.map(|result| result.title()).unwrap_or_default();
                let is_builtin = set.source == Source::Builtin;
                *title = if is_builtin { BuiltinPairs.title().to_owned() } else { own };
            }
            let shares = results.map(|result| result.map(|result| result.score)).collect();
            rows.push(self.row(&members, &scores, shares)?);
            held_out.push(self.held_out_of(&members, scores, text)?);
        }
        let (letters, apart) =
            held_out::letters(&held_out.iter().map(Option::as_ref).collect::<Vec<_>>());
        rows.iter_mut().zip(letters).for_each(|(row, letter)| row.letter = letter);
        let titles = distinct_titles(&titles, &sets);
        let remarks = self.remark(text)?.into_iter().chain(Some(apart).filter(|it| !it.is_empty()));
        let remarks: Vec<String> = remarks.collect();
        let remark = Some(remarks.join(" ")).filter(|it| !it.is_empty());
        let table = closing_table(&rows, &titles);
        let ledger = self.exposure(text, trained)?;
        let over_seeds = seed_table(&[self.seed_groups(&rows, &ledger)], &titles);
        let closing = Closing { table, remark, over_seeds };
        if self.only.is_empty() {
            self.write_closing(&closing, &ledger)?;
        }
        Ok(closing)
    }

    /// Writes what a whole run has come to.
    fn write_closing(&self, closing: &Closing, ledger: &Ledger) -> Result<()> {
        self.write_exposure(ledger)?;
        let remarks = closing.remark.iter().map(|remark| format!("\n{remark}\n"));
        let seeds = closing.over_seeds.iter();
        let seeds = seeds.map(|it| format!("\n{}\n\n{}", it.caption, it.table.to_markdown()));
        let exposure = self.exposure_table(ledger).to_markdown();
        let exposure = format!("\nText that the models have seen, and work:\n\n{exposure}");
        let parts = [closing.table.to_markdown()].into_iter().chain(remarks).chain(seeds);
        files::write_text(&self.path("table.md"), &parts.chain([exposure]).collect::<String>())
    }

    /// What a held-out loss is measured on: that of the score, or where there is none, that of the
    /// training. Older scores do not state how tokens are hidden.
    fn held_out_of(
        &self,
        members: &[&Trained],
        scores: RunScores,
        text: &Prepared,
    ) -> Result<Option<HeldOut>> {
        let name = &members[0].name;
        let settings = &self.recipe.models[name].train;
        let held_out = match (scores.held_out_loss, scores.held_out) {
            (Some(_), Some(held_out)) => held_out,
            (None, _) if members.len() == 1 => self.held_out_in(settings, text),
            _ => return Ok(None),
        };
        if held_out.hidden.is_some() {
            return Ok(Some(held_out));
        }
        let config = hugging_face::load_any_config(&self.path("models").join(name).join(FINAL))?;
        let hidden = held_out::hidden_by(config.architecture, settings);
        Ok(Some(HeldOut { hidden, ..held_out }))
    }

    /// The held-out text as these settings cut it.
    fn held_out_in(&self, settings: &TrainSettings, text: &Prepared) -> HeldOut {
        let stages = Stages::look(&text.folder);
        let record = |name| Some((name, stages.record(name).ok().flatten()?));
        let records: BTreeMap<&str, Record> =
            ["corpus", "tokens"].into_iter().filter_map(record).collect();
        HeldOut {
            tokenizer: Some(text.tokenizer.content_hash()),
            sequence_length: Some(settings.sequence_length as u64),
            ..HeldOut::of_records(|name| records.get(name))
        }
    }

    /// The groups of models that differ in their seeds alone, in the recipe's order.
    fn seed_groups<'a>(&self, rows: &'a [TableRow], ledger: &Ledger) -> Vec<SeedGroup<'a>> {
        let flops = |name: &str| ledger.get(name)?.flops_with_teachers;
        let is_plain = |name: &str| {
            let model = self.recipe.models.get(name);
            model.is_some_and(|model| model.distill.is_none())
                && !teachers::teaches(&self.recipe, name)
        };
        seed_groups(&self.recipe.evaluate.seeds, rows, is_plain, flops)
    }

    /// Where the held-out losses are of a part of the text, of how much.
    fn remark(&self, text: &Prepared) -> Result<Option<String>> {
        let (chunks, sequences) =
            heldout_sequences(&self.common_settings(), text.validation.len())?;
        let (taken, all) = (sequences.len(), chunks.count());
        let of_a_part = (taken < all).then(|| {
            format!(
                "Held-out losses are of {} sequences of the {} in the held-out text, drawn once \
                 (`evaluation_sequences`).",
                grouped(taken as u64),
                grouped(all as u64)
            )
        });
        let families = || self.recipe.models.values().filter_map(ModelSection::family);
        let kinds = [(false, "masked models", "tokens"), (true, "encoder-decoders", "spans")];
        let of_hidden = kinds.into_iter().filter_map(|(is_encoder_decoder, models, what)| {
            let is_it =
                |of: Architecture| !of.is_causal() && of.is_encoder_decoder() == is_encoder_decoder;
            families().any(is_it).then(|| {
                format!(
                    "Held-out losses of {models} are of hidden {what}, and compare only where \
                     these are hidden in the same way."
                )
            })
        });
        let remarks: Vec<String> = of_a_part.into_iter().chain(of_hidden).collect();
        Ok(Some(remarks.join(" ")).filter(|it| self.recipe.evaluate.loss && !it.is_empty()))
    }

    /// What is scored: every model by itself and the recipe's ensembles, or of both what was asked
    /// for.
    pub(super) fn subjects(&self) -> Vec<Vec<String>> {
        let singles = self.recipe.models.keys().map(|name| vec![name.clone()]);
        let all = singles.chain(self.recipe.evaluate.ensembles.clone());
        let is_wanted = |name: &String| self.only.is_empty() || self.only.contains(name);
        all.filter(|subject| subject.iter().all(is_wanted)).collect()
    }

    /// What the scores of some models follow from; `None` while pairs are still to be made.
    pub(super) fn score_stage(
        &self,
        subject: &[String],
        members: &[&Stage],
        tokens: &Stage,
    ) -> Result<Option<Stage>> {
        let evaluate = &self.recipe.evaluate;
        let common = self.common_settings();
        let sequences = (common.sequence_length, common.evaluation_sequences);
        let places = evaluate.blimp.iter().flatten().cloned().map(String::from).collect();
        let settings: ScoreSettings = (evaluate.loss, evaluate.rules, places, sequences, FORMAT);
        let mut stage = Stage::new(&stage_name(subject), &settings)?.after(tokens);
        for member in members {
            stage = stage.after(member);
        }
        for source in evaluate.blimp.iter().flatten() {
            let folder = match source {
                Source::Folder(folder) => folder.clone(),
                Source::Builtin => self.path(PAIRS),
            };
            // A kill may have left some of them.
            if *source == Source::Builtin
                && self.stages.status(&self.pairs_stage()?)? != Status::Done
            {
                return Ok(None);
            }
            let should_stop = || self.observer.should_stop();
            stage = stage.reads_all(&should_stop, identity::pair_files(&folder)?)?;
        }
        Ok(Some(stage))
    }

    fn score(&self, members: &[&Trained], sets: &[PairSet], text: &Prepared) -> Result<RunScores> {
        let subject: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
        let name = file_name(&subject);
        let file = format!("evaluation/{name}.json");
        let stages: Vec<&Stage> = members.iter().map(|member| &member.stage).collect();
        let missing = || refuse(format_args!("{} is missing", self.path(PAIRS).display()));
        let stage = self.score_stage(&subject, &stages, &text.stage)?.map_or_else(missing, Ok)?;
        let place = self.path(&file);
        let answers: Vec<String> =
            (1..=sets.len()).map(|set| format!("{name}.pairs-{set}.jsonl")).collect();
        let outputs: Vec<PathBuf> =
            answers.iter().map(|answers| Path::new("evaluation").join(answers)).collect();
        let outputs: Vec<&Path> =
            [Path::new(&file)].into_iter().chain(outputs.iter().map(PathBuf::as_path)).collect();
        self.perform(&stage, &outputs, || {
            let (mut scores, outcomes) = self.measure(members, sets, text)?;
            let folder = self.path("evaluation");
            std::fs::create_dir_all(&folder).at("make", &folder)?;
            for ((set, outcome), answers) in sets.iter().zip(&outcomes).zip(&answers) {
                files::write_text(&folder.join(answers), &predictions::to_lines(outcome))?;
                scores.answers.insert(set.name(), answers.clone());
            }
            files::write_json(&place, &scores)
        })?;
        files::read_json(&place)
    }

    fn measure(
        &self,
        members: &[&Trained],
        sets: &[PairSet],
        text: &Prepared,
    ) -> Result<(RunScores, Vec<Outcome>)> {
        let models = members
            .iter()
            .map(|member| hugging_face::load_any(&member.weights, &self.device))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let models: Vec<&Model> = models.iter().collect();
        let mut scores = RunScores {
            models: members.iter().map(|member| member.name.clone()).collect(),
            precision: Some(self.device.arithmetic().to_string()),
            parameters: models.iter().map(|model| model.config().parameter_count() as u64).sum(),
            ..RunScores::default()
        };
        if self.recipe.evaluate.loss {
            self.measure_loss(members, &models, text, &mut scores)?;
        }
        if let [model] = models[..]
            && !is_masked(&models)
        {
            scores.samples = samples(model, &text.tokenizer)?;
        }
        let outcomes = self.score_pairs(members, &models, sets, text, &mut scores)?;
        Ok((scores, outcomes))
    }

    /// The held-out loss, whole and by source of text.
    fn measure_loss(
        &self,
        members: &[&Trained],
        models: &[&Model],
        text: &Prepared,
        scores: &mut RunScores,
    ) -> Result<()> {
        let (settings, is_masked) = (self.common_settings(), is_masked(models));
        let (chunks, sequences) = heldout_sequences(&settings, text.validation.len())?;
        let (batch_size, should_stop) = (settings.batch_size, || self.observer.should_stop());
        let heldout = Heldout {
            source: &text.validation,
            chunks,
            sequences,
            batch_size,
            masking: self.masking(members, models, text)?,
            should_stop: Some(&should_stop as &dyn Fn() -> bool),
        };
        let (name, count) = (label(members), heldout.sequences.len() as u64);
        let work = format!("{name} on the held-out text");
        self.observer.begin(&work, "sequences", count, 0);
        let sources = text.validation_sources(&should_stop)?;
        let end = |source: &SourceRange| (source.name.clone(), source.tokens.end);
        let ends: Ends = sources.iter().map(end).collect();
        let mut by_source = LossByText::new(&ends);
        let mut done = 0;
        let found = heldout.cross_entropy_of_each(models, |place, log_probabilities| {
            done += 1;
            self.observer.advance(done, "");
            // Of masked models those of hidden tokens, wherever they are in the sequence.
            if !is_masked {
                by_source.add(place, log_probabilities);
            }
        })?;
        self.observer.end(done, "");
        if !found.cross_entropy.is_finite() {
            return refuse(format_args!(
                "the held-out loss of {name} is {}: its weights have diverged",
                found.cross_entropy
            ));
        }
        scores.held_out_loss = Some(found.cross_entropy);
        scores.perplexity = Some(found.cross_entropy.exp());
        scores.sources = if is_masked { Vec::new() } else { by_source.losses() };
        scores.held_out = Some(HeldOut {
            predicted: Some(found.tokens as u64),
            hidden: held_out::hidden_by(
                models[0].config().architecture,
                &self.recipe.models[&members[0].name].train,
            ),
            ..self.held_out_in(&settings, text)
        });
        Ok(())
    }

    /// The scores of minimal pairs; returns the answers to each set.
    fn score_pairs(
        &self,
        members: &[&Trained],
        models: &[&Model],
        sets: &[PairSet],
        text: &Prepared,
        scores: &mut RunScores,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for set in sets {
            let (rules, pairs) = (self.recipe.evaluate.rules, set.pairs()?);
            let label = format!("{} on {}", label(members), set.folder.display());
            let (tokenizer, observer) = (&text.tokenizer, self.observer);
            let found = choices::score(
                models,
                pairs.benchmark,
                &pairs.tasks,
                rules,
                tokenizer,
                label,
                observer,
            )?;
            let items = scored_items::hash_of(pairs.benchmark, &set.folder);
            scores.items.extend(items.map(|items| (set.name(), items)));
            scores.pairs.insert(set.name(), found.result.clone());
            outcomes.push(found);
        }
        Ok(outcomes)
    }

    /// How the held-out text is hidden from models that predict hidden tokens, by the settings of
    /// the first of them.
    fn masking(
        &self,
        members: &[&Trained],
        models: &[&Model],
        text: &Prepared,
    ) -> Result<Option<Masking>> {
        if !is_masked(models) {
            return Ok(None);
        }
        let tokens = tokenizers::hidden_tokens(&text.tokenizer, models[0].config().architecture)?;
        let settings = &self.recipe.models[&members[0].name].train;
        Ok(Some(Masking::of_heldout(settings, tokens, models[0].config())))
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

    fn row(
        &self,
        members: &[&Trained],
        scores: &RunScores,
        pairs: Vec<Option<f64>>,
    ) -> Result<TableRow> {
        let mut row = TableRow {
            model: label(members),
            parameters: scores.parameters,
            held_out_loss: scores.held_out_loss,
            pairs,
            ..TableRow::default()
        };
        if let [member] = members {
            let folder = self.path("models").join(&member.name);
            let summary: TrainingSummary = files::read_json(&folder.join(TrainingSummary::FILE))?;
            row.best_epoch = summary.best_epoch;
            row.held_out_loss = row.held_out_loss.or(summary.best_loss);
            row.tokens_per_second = summary.tokens_per_second();
            row.minutes = Some(summary.seconds / 60.0);
            row.seed = self.recipe.models[&member.name].train.seed;
        }
        Ok(row)
    }
}

/// Whether any of the models predicts hidden tokens.
fn is_masked(models: &[&Model]) -> bool {
    models.iter().any(|model| !model.config().architecture.is_causal())
}

fn label(members: &[&Trained]) -> String {
    members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(" + ")
}
