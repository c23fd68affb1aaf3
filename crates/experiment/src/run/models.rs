//! The training stages: one per model, in the recipe's order.

use std::path::{Path, PathBuf};

use corpus::Tokenizer;
use corpus::tokenizer::Role;
use model::{Model, ModelConfig, hugging_face};
use serde_json::Value;
use train::run::{SNAPSHOTS, check_text, snapshot};
use train::signals::cache::CacheError;
use train::{
    DistillSettings, Distillation, Teacher, TrainError, TrainSettings, TrainingRun, identity,
};

use super::prepared::{Prepared, reads_documents};
use super::{Run, claim, only, teachers};
use crate::error::{Context, ExperimentError, Result, refuse};
use crate::files;
use crate::recipe::{ModelSection, Start, own_teacher};
use crate::stage::{Reason, Stage, Status};
use crate::training::Training;
use crate::training_log::TrainingSummary;
use crate::verify::{self, FINISHED};
use crate::{position_heads, remarks, teacher_folders, tokenizers};

/// A trained model of the run.
pub(super) struct Trained {
    pub name: String,
    pub stage: Stage,
    /// The Hugging Face folder with the best weights.
    pub weights: PathBuf,
}

impl Run<'_> {
    /// Trains every model that is not trained yet.
    pub(super) fn train_models(&self, text: &Prepared) -> Result<Vec<Trained>> {
        self.train_some(text, &self.chosen_models())
    }

    /// The models that the run is about: all, or those that were asked for with those that they
    /// need.
    pub(super) fn chosen_models(&self) -> Vec<String> {
        only::with_teachers(&self.recipe, &self.only)
    }

    /// The stages of some models, in the recipe's order; their teachers must be among them.
    pub(super) fn model_stages(
        &self,
        tokens: &Stage,
        names: &[String],
    ) -> Result<Vec<(String, Stage)>> {
        let mut stages: Vec<(String, Stage)> = Vec::new();
        for (name, section) in self.recipe.models.iter().filter(|(name, _)| names.contains(name)) {
            let stage = self.model_stage(name, section, tokens, &stages)?;
            stages.push((name.clone(), stage));
        }
        Ok(stages)
    }

    /// Trains some models that are not trained yet; their teachers must be among them.
    pub(super) fn train_some(&self, text: &Prepared, names: &[String]) -> Result<Vec<Trained>> {
        let mut trained: Vec<Trained> = Vec::new();
        let stages = self.model_stages(&text.stage, names)?;
        let curricula = self.curricula(text, &stages)?;
        for (name, section) in self.recipe.models.iter().filter(|(name, _)| names.contains(name)) {
            let seed = section.train.seed.unwrap_or(self.recipe.seed);
            let settings = curricula.get(name).unwrap_or(&section.train);
            check_text(settings, seed, &text.training, &text.validation)
                .within(|| format!("models.{name}.train"))?;
        }
        for (name, stage) in stages {
            let (name, mut section) = (&name, self.recipe.models[&name].clone());
            if let Some(settings) = curricula.get(name) {
                section.train = settings.clone();
            }
            let section = &section;
            let folder = Path::new("models").join(name);
            self.take_back(&stage, &folder)?;
            self.restore(&stage, &folder, text, &section.train)?;
            let mut outputs = verify::outputs(&folder).to_vec();
            let kept = section.train.snapshots.iter();
            outputs.extend(kept.map(|&epoch| snapshot(&folder, epoch)));
            if section.train.challenge_checkpoints.is_some() {
                outputs.push(folder.join(SNAPSHOTS));
            }
            let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
            self.perform(&stage, &outputs, || self.train(name, section, &stage, text, &trained))?;
            self.stages.copy_record(&stage, &self.folder.join(&folder).join(FINISHED))?;
            // What would continue a training that has ended: twice the optimizer's state.
            files::remove(&self.folder.join(&folder).join("checkpoints"))?;
            let weights = self.folder.join(folder).join(verify::FINAL);
            trained.push(Trained { name: name.clone(), stage, weights });
        }
        Ok(trained)
    }

    /// Takes a model that is finished as it is, where its stage's record is lost or its folder was
    /// set aside in favour of other settings.
    fn take_back(&self, stage: &Stage, folder: &Path) -> Result<()> {
        let folder = self.folder.join(folder);
        if self.stages.status(stage)? == Status::Done || !claim::is_kept(&folder, stage) {
            return Ok(());
        }
        claim::claim(&folder, stage, self.observer)?;
        self.stages.adopt(stage, &folder.join(FINISHED))?;
        Ok(())
    }

    /// Makes damaged or lost files of a finished model again from what else is in its folder, which
    /// is as good as training it again: weights from `best`, the summary from the metrics, the
    /// tokenizer from the run's. What comes back has the bits that it had, or is not taken.
    fn restore(
        &self,
        stage: &Stage,
        folder: &Path,
        text: &Prepared,
        train: &TrainSettings,
    ) -> Result<()> {
        let spare = self.folder.join(folder).join("spare.partial");
        files::remove(&spare)?;
        let Status::Run(Reason::OutputMissing { .. } | Reason::OutputDamaged { .. }) =
            self.stages.status(stage)?
        else {
            return Ok(());
        };
        files::make_folder(&spare)?;
        text.tokenizer.save_folder(&spare, train.sequence_length)?;
        let metrics = self.folder.join(folder);
        if let Ok(summary) = TrainingSummary::of_metrics(&metrics, train.select_by) {
            files::write_json(&spare.join(TrainingSummary::FILE), &summary)?;
        }
        let best = self.folder.join(folder).join("best");
        let restored = self.stages.restore(stage, |output| {
            let name = output.file_name()?;
            let places = [spare.join(name), best.join(name)];
            places.into_iter().find(|place| place.is_file())
        })?;
        for output in restored {
            let output = output.display();
            self.observer.warn(format_args!("{output} was damaged or lost and is whole again"));
        }
        files::remove(&spare)
    }

    /// Trains a model. A damaged teacher cache is repaired, once, and the training goes on.
    fn train(
        &self,
        name: &str,
        section: &ModelSection,
        stage: &Stage,
        text: &Prepared,
        trained: &[Trained],
    ) -> Result<()> {
        let train = || self.train_on_cache(name, section, stage, text, trained);
        match train() {
            Err(error) if is_damaged_cache(&error) => {
                let cause = error.cause();
                self.observer.warn(format_args!("{name}  {cause}; the teachers read it again"));
                self.fill(name, text, trained)?;
                train()
            }
            result => result,
        }
    }

    fn train_on_cache(
        &self,
        name: &str,
        section: &ModelSection,
        stage: &Stage,
        text: &Prepared,
        trained: &[Trained],
    ) -> Result<()> {
        let folder = self.path("models").join(name);
        claim::claim(&folder, stage, self.observer)?;
        let seed = section.train.seed.unwrap_or(self.recipe.seed);
        let distillation = section.distill.as_ref();
        let model = self.start(section, seed, &text.tokenizer)?;
        let vocab_size = model.config().vocab_size;
        let counts_words = section.train.challenge_checkpoints.is_some();
        let words = counts_words.then(|| self.words_of(text)).transpose()?;
        let run = TrainingRun {
            folder: &folder,
            settings: &section.train,
            seed,
            model,
            distill: distillation
                .map(|settings| self.distillation(settings, vocab_size, text, trained))
                .transpose()?,
            training: &text.training,
            validation: Some(&text.validation),
            words,
            mask_token: None,
            hidden_tokens: None,
            inputs_fingerprint: stage.fingerprint(),
        };
        let training = Training::new(name, Some(&text.tokenizer), run);
        let products = training.execute(self.observer)?;
        self.stages.computed(stage, products);
        Ok(())
    }

    fn start(&self, section: &ModelSection, seed: u64, tokenizer: &Tokenizer) -> Result<Model> {
        match &section.start {
            Start::Random(shape) => {
                let mut config = shape.config_for(tokenizer.vocab_size());
                use_special_tokens(&mut config, tokenizer);
                Ok(Model::new(config, &self.device, seed)?)
            }
            Start::Folder(folder) => {
                verify::model_folder(folder)?;
                tokenizers::require_same(folder, "the model", tokenizer)?;
                let model = hugging_face::load_any(folder, &self.device)?;
                let model = position_heads::settle(folder, model, self.observer)?;
                remarks::warn(folder, self.observer)?;
                Ok(model)
            }
        }
    }

    /// Everything a model's weights follow from.
    fn model_stage(
        &self,
        name: &str,
        section: &ModelSection,
        tokens: &Stage,
        earlier: &[(String, Stage)],
    ) -> Result<Stage> {
        let (mut settings, documents) = (section_identity(section)?, &self.recipe.corpus.documents);
        if !documents.is_empty() && reads_documents(&section.train) {
            settings["documents"] = serde_json::to_value(documents)?;
        }
        let mut stage = Stage::new(&format!("model-{name}"), &settings)?.after(tokens);
        if let Start::Folder(folder) = &section.start {
            stage = stage.follows(
                &folder.to_string_lossy(),
                crate::identity::weights(folder, self.observer)?,
            );
        }
        for teacher in section.distill.iter().flat_map(|distill| &distill.teachers) {
            let own = own_teacher(&self.recipe, teacher);
            stage = match own.and_then(|own| earlier.iter().find(|(name, _)| name == own.name)) {
                Some((_, earlier)) => stage.after(earlier),
                None => stage
                    .follows(teacher, crate::identity::weights(Path::new(teacher), self.observer)?),
            };
        }
        Ok(stage)
    }

    /// What a student is distilled from, with its teachers' folders.
    pub(super) fn distillation(
        &self,
        settings: &DistillSettings,
        vocab_size: usize,
        text: &Prepared,
        trained: &[Trained],
    ) -> Result<Distillation> {
        let open = |teacher: &String| match own_teacher(&self.recipe, teacher) {
            Some(own) => {
                // A snapshot is there before its training ends.
                let is_trained = trained.iter().any(|earlier| earlier.name == own.name);
                if own.epoch.is_none() && !is_trained {
                    return refuse(format_args!("teacher {teacher} is not trained yet"));
                }
                let weights = teachers::weights(&self.folder, &own);
                Ok(Teacher::open(teacher.clone(), &weights)?)
            }
            None => {
                tokenizers::require_same(Path::new(teacher), "teacher", &text.tokenizer)?;
                if self.recipe.tokenizer.begin_token {
                    teacher_folders::warn_of_begin(teacher, &text.tokenizer, self.observer)?;
                }
                teacher_folders::open_foreign(teacher, vocab_size, self.observer)
            }
        };
        let teachers = settings.teachers.iter().map(open).collect::<Result<_>>()?;
        let (caches, sample_seed) = (self.caches.clone(), self.recipe.seed);
        Ok(Distillation { settings: settings.clone(), teachers, caches, sample_seed })
    }
}

/// Whether it was found that a teacher cache is not as it was written.
fn is_damaged_cache(error: &ExperimentError) -> bool {
    let cause = error.find::<TrainError>().and_then(|error| match error {
        TrainError::Cache(cause) => Some(cause),
        _ => None,
    });
    matches!(cause, Some(CacheError::Damaged { .. } | CacheError::Truncated { .. }))
}

/// Takes the special tokens' ids from the tokenizer, which need not be one of ours.
fn use_special_tokens(config: &mut ModelConfig, tokenizer: &Tokenizer) {
    let id = |role| tokenizer.role_id(role);
    let end = id(Role::End);
    if let Some(end) = end {
        config.eos_token_ids = vec![end];
    }
    config.bos_token_id = id(Role::Begin).or(end).or(config.bos_token_id);
    config.pad_token_id = config.pad_token_id.and(id(Role::Padding));
    let begin = config.bos_token_id;
    if let Some((own, begin)) = config.encoder_decoder.as_mut().zip(begin) {
        own.decoder_start_token_id = begin;
    }
}

/// The settings that decide a model's weights, under their keys in a recipe.
fn section_identity(section: &ModelSection) -> Result<Value> {
    let mut settings = serde_json::to_value(section)?;
    settings["train"] = identity::of_training(&section.train);
    settings["distill"] = section.distill.as_ref().map(identity::of_distillation).into();
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deciding_settings_are_part_of_a_stage() {
        let identity = |more: &str| {
            let text = format!(
                "architecture = 'gpt2'\nhidden_size = 64\nnum_layers = 2\nnum_heads = 4\n\
                 [distill]\nteachers = ['a']\n{more}"
            );
            section_identity(&toml::from_str(&text).unwrap()).unwrap()
        };
        let plain = identity("");
        assert_eq!(plain["hidden_size"], 64);
        assert_eq!(plain["train"]["batch_size"], 32);
        assert_eq!(plain["distill"]["teachers"][0], "a");
        for same in [
            "signal = 'hidden'",
            "cache = 'kept'",
            "[train]\ncheckpoint_steps = 7\ncheckpoint_minutes = 1\nmicro_batch_size = 2",
        ] {
            assert_eq!(identity(same), plain, "{same}");
        }
        for other in
            ["signal = 'sampled'", "alpha = 0.1", "[train]\nepochs = 1", "[train]\norder = 'file'"]
        {
            assert_ne!(identity(other), plain, "{other}");
        }
    }
}
