//! The training stages: one per model, in the recipe's order.

use std::path::{Path, PathBuf};

use base::atomic_file;
use corpus::Tokenizer;
use corpus::tokenizer::Role;
use model::{Model, ModelConfig, hugging_face};
use serde_json::Value;
use train::{DistillSettings, Distillation, Teacher, identity};

use super::Pipeline;
use super::prepared::Text;
use crate::error::{FileContext, Result};
use crate::files;
use crate::observer::Observer;
use crate::recipe::{ModelSection, Start};
use crate::stage::{Reason, Stage, Status};
use crate::training::Training;
use crate::training_log::TrainingSummary;
use crate::{remarks, tokenizers};

/// A trained model of the run.
pub(super) struct Trained {
    pub name: String,
    pub stage: Stage,
    /// The Hugging Face folder with the best weights.
    pub weights: PathBuf,
}

impl Pipeline<'_> {
    /// Trains every model that is not trained yet.
    pub(super) fn train_models(&self, text: &Text) -> Result<Vec<Trained>> {
        let all: Vec<String> = self.recipe.models.keys().cloned().collect();
        self.train_some(text, &all)
    }

    /// Trains some models that are not trained yet; their teachers must be among them.
    pub(super) fn train_some(&self, text: &Text, names: &[String]) -> Result<Vec<Trained>> {
        let mut trained: Vec<Trained> = Vec::new();
        for (name, section) in self.recipe.models.iter().filter(|(name, _)| names.contains(name)) {
            let stage = model_stage(name, section, text, &trained)?;
            let folder = Path::new("models").join(name);
            self.restore(&stage, &folder, text, section.train.sequence_length)?;
            let outputs = [folder.join("final"), folder.join(TrainingSummary::FILE)];
            self.perform(&stage, &outputs.each_ref().map(PathBuf::as_path), || {
                self.train(name, section, &stage, text, &trained)
            })?;
            // What would continue a training that has ended: twice the optimizer's state.
            files::remove(&self.folder.join(&folder).join("checkpoints"))?;
            let weights = self.folder.join(folder).join("final");
            trained.push(Trained { name: name.clone(), stage, weights });
        }
        Ok(trained)
    }

    /// Makes damaged or lost files of a finished model again from what else is in its folder, which
    /// is as good as training it again: weights from `best`, the summary from the metrics, the
    /// tokenizer from the run's. What comes back has the bits that it had, or is not taken.
    fn restore(&self, stage: &Stage, folder: &Path, text: &Text, length: usize) -> Result<()> {
        let spare = self.folder.join(folder).join("spare.partial");
        files::remove(&spare)?;
        let Status::Run(Reason::OutputMissing { .. } | Reason::OutputDamaged { .. }) =
            self.stages.status(stage)?
        else {
            return Ok(());
        };
        files::make_folder(&spare)?;
        text.tokenizer.save_folder(&spare, length)?;
        if let Ok(summary) = TrainingSummary::of_metrics(&self.folder.join(folder)) {
            files::write_json(&spare.join(TrainingSummary::FILE), &summary)?;
        }
        let best = self.folder.join(folder).join("best");
        let restored = self.stages.restore(stage, |output| {
            let name = output.file_name()?;
            let places = [best.join(name), spare.join(name)];
            places.into_iter().find(|place| place.is_file())
        })?;
        for output in restored {
            let output = output.display();
            self.observer.note(format_args!("  {output} was damaged or lost and is whole again"));
        }
        files::remove(&spare)
    }

    fn train(
        &self,
        name: &str,
        section: &ModelSection,
        stage: &Stage,
        text: &Text,
        trained: &[Trained],
    ) -> Result<()> {
        let folder = self.path("models").join(name);
        claim(&folder, &stage.fingerprint(), self.observer)?;
        let seed = section.train.seed.unwrap_or(self.recipe.seed);
        let distillation = section.distill.as_ref();
        let training = Training {
            name,
            folder: &folder,
            settings: &section.train,
            seed,
            model: self.start(section, seed, &text.tokenizer)?,
            distill: distillation
                .map(|settings| self.distillation(settings, text, trained))
                .transpose()?,
            tokens: &text.training,
            validation: Some(&text.validation),
            tokenizer: Some(&text.tokenizer),
            inputs_fingerprint: stage.fingerprint(),
        };
        training.execute(self.observer)
    }

    fn start(&self, section: &ModelSection, seed: u64, tokenizer: &Tokenizer) -> Result<Model> {
        match &section.start {
            Start::Random(shape) => {
                let mut config = shape.config(tokenizer.vocab_size());
                use_special_tokens(&mut config, tokenizer);
                Ok(Model::new(config, &self.device, seed)?)
            }
            Start::Folder(folder) => {
                tokenizers::require_same(folder, "the model", tokenizer)?;
                let model = hugging_face::load(folder, &self.device)?;
                remarks::note(folder, self.observer)?;
                Ok(model)
            }
        }
    }

    /// What a student is distilled from, with its teachers' folders.
    pub(super) fn distillation(
        &self,
        settings: &DistillSettings,
        text: &Text,
        trained: &[Trained],
    ) -> Result<Distillation> {
        let open = |teacher: &String| {
            let folder = match trained.iter().find(|earlier| earlier.name == *teacher) {
                Some(earlier) => earlier.weights.clone(),
                None => {
                    tokenizers::require_same(Path::new(teacher), "teacher", &text.tokenizer)?;
                    remarks::note(Path::new(teacher), self.observer)?;
                    PathBuf::from(teacher)
                }
            };
            Ok(Teacher::open(teacher.clone(), &folder)?)
        };
        let teachers = settings.teachers.iter().map(open).collect::<Result<_>>()?;
        let (caches, sample_seed) = (self.path("teachers"), self.recipe.seed);
        Ok(Distillation { settings: settings.clone(), teachers, caches, sample_seed })
    }
}

/// Takes the special tokens' ids from the tokenizer, which need not be one of ours.
fn use_special_tokens(config: &mut ModelConfig, tokenizer: &Tokenizer) {
    let id = |role| tokenizer.role(role).map(|(_, id)| id);
    let end = id(Role::End);
    if let Some(end) = end {
        config.eos_token_ids = vec![end];
    }
    config.bos_token_id = id(Role::Begin).or(end).or(config.bos_token_id);
    config.pad_token_id = config.pad_token_id.and(id(Role::Padding));
}

/// Everything a model's weights follow from.
fn model_stage(
    name: &str,
    section: &ModelSection,
    text: &Text,
    trained: &[Trained],
) -> Result<Stage> {
    let settings = section_identity(section)?;
    let mut stage = Stage::new(&format!("model-{name}"), &settings)?.after(&text.stage);
    if let Start::Folder(folder) = &section.start {
        stage = stage.follows(&folder.to_string_lossy(), crate::identity::weights(folder)?);
    }
    for teacher in section.distill.iter().flat_map(|distill| &distill.teachers) {
        stage = match trained.iter().find(|earlier| earlier.name == *teacher) {
            Some(earlier) => stage.after(&earlier.stage),
            None => stage.follows(teacher, crate::identity::weights(Path::new(teacher))?),
        };
    }
    Ok(stage)
}

/// The settings that decide a model's weights, under their keys in a recipe.
fn section_identity(section: &ModelSection) -> Result<Value> {
    let mut settings = serde_json::to_value(section)?;
    settings["train"] = identity::of_training(&section.train);
    settings["distill"] = section.distill.as_ref().map(identity::of_distillation).into();
    Ok(settings)
}

/// Makes a model's folder ready. What a run with other settings left there is set aside under a
/// name of its own, and what these settings left earlier is taken back, so that changing a setting
/// to and fro loses nothing.
fn claim(folder: &Path, fingerprint: &str, observer: &dyn Observer) -> Result<()> {
    let mark = folder.join("fingerprint");
    let claimed = std::fs::read_to_string(&mark).unwrap_or_default();
    if folder.exists() && claimed != fingerprint {
        let aside = aside(folder, &claimed);
        std::fs::rename(folder, &aside).at("set aside", folder)?;
        observer.note(format_args!(
            "  what was trained with other settings is now in {}",
            aside.display()
        ));
    }
    let earlier = aside(folder, fingerprint);
    if !folder.exists() && earlier.exists() {
        std::fs::rename(&earlier, folder).at("take back", &earlier)?;
        observer.note(format_args!(
            "  goes on with what these settings left earlier in {}",
            earlier.display()
        ));
    }
    std::fs::create_dir_all(folder).at("make", folder)?;
    atomic_file::write(&mark, fingerprint.as_bytes()).at("write", &mark)
}

/// Where a model's folder goes while other settings have its place.
fn aside(folder: &Path, fingerprint: &str) -> PathBuf {
    folder.with_extension(format!("old-{}", fingerprint.get(..8).unwrap_or("unknown")))
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
