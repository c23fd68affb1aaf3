//! Recipes of fine-tuning: the settings of every task of (Super)GLUE and MSGS. Six are part of the
//! program.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::Path;

use eval::classification::{ClassificationTask, classification_tasks, find_task};
use indexmap::IndexMap;
use serde::Deserialize;
use toml::{Table, Value};
use train::finetune::{ClassifierHead, FinetuneSettings};

use super::check::fault;
use super::decode::decode;
use super::document::Document;
use super::error::{Fault, RecipeError, join, suggestion};
use crate::error::{Context, ExperimentError, wrong_usage};
use eval::Rules;

/// Name, place in the repository and text of the recipes that are part of the program.
const EMBEDDED: [(&str, &str, &str); 6] = [
    ("2023", "recipes/finetune/2023.toml", include_str!("../../../../recipes/finetune/2023.toml")),
    ("2024", "recipes/finetune/2024.toml", include_str!("../../../../recipes/finetune/2024.toml")),
    ("2025", "recipes/finetune/2025.toml", include_str!("../../../../recipes/finetune/2025.toml")),
    ("2026", "recipes/finetune/2026.toml", include_str!("../../../../recipes/finetune/2026.toml")),
    (
        "babyllama-1",
        "recipes/finetune/babyllama-1.toml",
        include_str!("../../../../recipes/finetune/babyllama-1.toml"),
    ),
    (
        "babyllama-2",
        "recipes/finetune/babyllama-2.toml",
        include_str!("../../../../recipes/finetune/babyllama-2.toml"),
    ),
];

/// How every task is fine-tuned.
#[derive(Clone, Debug, PartialEq)]
pub struct FinetuneRecipe {
    /// By 2023 MNLI-mm is a task like any other and text is not normalised; by 2024 the model
    /// fine-tuned for MNLI answers it. By 2025 and 2026 texts have the special tokens of the
    /// model's own tokenizer.
    pub rules: Rules,
    default: FinetuneSettings,
    /// Settings of the tasks that have a table; those of MNLI-mm count only by the rules of 2023.
    tasks: BTreeMap<String, FinetuneSettings>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default = "rules_of_2024")]
    rules: Rules,
    #[serde(default)]
    default: Table,
    #[serde(default)]
    tasks: IndexMap<String, Value>,
}

fn rules_of_2024() -> Rules {
    Rules::Year2024
}

impl FinetuneRecipe {
    /// Reads one of the program's recipes by its name, or else a file, and applies overrides such
    /// as `rte.epochs=2`, `default.batch_size=16` or `rules=2023` in turn.
    pub fn load(name_or_file: &str, overrides: &[String]) -> Result<Self, RecipeError> {
        let mut document = match EMBEDDED.iter().find(|(name, ..)| *name == name_or_file) {
            Some((_, path, text)) => Document::parse(Path::new(path), text)?,
            None => read(Path::new(name_or_file))?,
        };
        for text in overrides {
            let first = text.split(['.', '=']).next().unwrap_or_default().trim();
            let outer = ["rules", "default", "tasks"].contains(&first);
            document.apply_override_below(if outer { "" } else { "tasks" }, text)?;
        }
        Self::resolve(document.decode()?).map_err(|fault| document.locate(fault))
    }

    fn resolve(tables: Tables) -> Result<Self, Fault> {
        let default = settings(&tables.default).map_err(|fault| fault.within("default"))?;
        let mut tasks = BTreeMap::new();
        for (name, table) in &tables.tasks {
            let key = join("tasks", name);
            if find_task(name).is_none() {
                let hint = suggestion(name, classification_tasks().map(|task| task.name));
                return Err(Fault::UnknownKey { key, hint });
            }
            let table =
                table.as_table().ok_or_else(|| Fault::invalid(&key, "is a value, not a table"))?;
            let mut merged = tables.default.clone();
            merged.extend(table.clone());
            tasks.insert(name.clone(), settings(&merged).map_err(|fault| fault.within(&key))?);
        }
        Ok(Self { rules: tables.rules, default, tasks })
    }

    /// The recipe of one task, every setting written out, with another seed if one is given.
    ///
    /// # Errors
    /// When the settings cannot be written as TOML.
    pub fn of_task(&self, task: &str, seed: Option<u64>) -> crate::Result<String> {
        let mut settings = self.settings_of(task).clone();
        settings.seed = seed.unwrap_or(settings.seed);
        let settings = toml::to_string(&settings)
            .map_err(|cause| ExperimentError::Refused(format!("settings of {task}: {cause}")))?;
        Ok(format!("rules = \"{}\"\n\n[tasks.{task}]\n{settings}", self.rules.name()))
    }

    /// The names of a task's settings that differ from those of a recipe, but for the seed.
    pub(crate) fn differing(&self, task: &str, settings: &FinetuneSettings) -> Vec<String> {
        let of_all = |settings: &FinetuneSettings| match serde_json::to_value(settings) {
            Ok(serde_json::Value::Object(keys)) => keys,
            _ => serde_json::Map::new(),
        };
        let own = of_all(self.settings_of(task));
        let other = of_all(settings);
        let keys: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
        let differs = |key: &&String| *key != "seed" && own.get(*key) != other.get(*key);
        keys.into_iter().filter(differs).cloned().collect()
    }

    /// Refuses a pipeline whose scores do not stand beside those of all benchmarks.
    ///
    /// # Errors
    /// When the rules are those of 2025 or 2026.
    pub fn require_all_benchmarks(&self) -> crate::Result<()> {
        match self.rules.score_texts() {
            true => Ok(()),
            false => wrong_usage(format_args!(
                "--recipe: the rules of {} are for finetune and evaluate challenge",
                self.rules.name()
            ))
            .advise("give a recipe of 2023 or 2024"),
        }
    }

    /// Refuses to keep classifiers that no class of transformers can load.
    ///
    /// # Errors
    /// When one of the tasks has a head that is not of the model's family.
    pub fn require_savable<'a>(
        &self,
        mut tasks: impl Iterator<Item = &'a ClassificationTask>,
    ) -> crate::Result<()> {
        let is_own =
            |task: &&ClassificationTask| self.settings(task).head != ClassifierHead::Family;
        match tasks.find(is_own) {
            Some(task) => wrong_usage(format_args!(
                "--keep: no class of transformers has the head of {} that the recipe asks for",
                task.name
            ))
            .advise("leave out --keep, or set default.head=family"),
            None => Ok(()),
        }
    }

    /// The settings of a task.
    pub fn settings(&self, task: &ClassificationTask) -> &FinetuneSettings {
        self.settings_of(task.name)
    }

    fn settings_of(&self, task: &str) -> &FinetuneSettings {
        self.tasks.get(task).unwrap_or(&self.default)
    }
}

fn read(path: &Path) -> Result<Document, RecipeError> {
    if !path.exists() {
        let hint = suggestion(&path.to_string_lossy(), EMBEDDED.iter().map(|(name, ..)| *name));
        let source = Error::new(
            ErrorKind::NotFound,
            format!("no such file, and no recipe of that name; {hint}"),
        );
        return Err(RecipeError::Read { path: path.to_owned(), source });
    }
    Document::read(path)
}

/// The settings of a table, with the program's defaults for what it leaves out.
fn settings(table: &Table) -> Result<FinetuneSettings, Fault> {
    let settings: FinetuneSettings = decode(table)?;
    settings.check().map_err(fault)?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use eval::classification::find_task;
    use train::optimizers::OptimizerKind;
    use train::settings::ScheduleKind;

    use super::*;

    fn load(name: &str, overrides: &[&str]) -> FinetuneRecipe {
        FinetuneRecipe::load(
            name,
            &overrides.iter().map(|text| text.to_string()).collect::<Vec<_>>(),
        )
        .unwrap()
    }

    fn settings_of<'a>(recipe: &'a FinetuneRecipe, task: &str) -> &'a FinetuneSettings {
        recipe.settings(find_task(task).unwrap())
    }

    #[test]
    fn the_recipes_of_both_years_are_the_pipelines_defaults() {
        let new = load("2024", &[]);
        assert_eq!((new.rules, &new.default), (Rules::Year2024, &FinetuneSettings::default()));
        let old = load("2023", &[]);
        let expected = FinetuneSettings {
            evaluate_every: 200,
            patience: Some(10),
            optimizer: OptimizerKind::named("adamw_hf").unwrap(),
            decay_norms: true,
            ..FinetuneSettings::default()
        };
        assert_eq!((old.rules, &old.default), (Rules::Year2023, &expected));
        assert!(new.tasks.is_empty() && old.tasks.is_empty());
        assert_eq!(load("babyllama-1", &[]).default, old.default);
        assert_eq!(load("babyllama-2", &[]).default, new.default);
    }

    #[test]
    fn the_recipes_of_the_challenge_differ_in_the_token_alone() {
        let [old, new] = ["2025", "2026"].map(|year| load(year, &[]));
        assert_eq!((old.rules, new.rules), (Rules::Year2025, Rules::Year2026));
        let head = ClassifierHead::PerceptronFirstToken;
        assert_eq!(old.default, FinetuneSettings { head, ..new.default.clone() });
        let of = |task| {
            let settings = settings_of(&new, task);
            (settings.batch_size, settings.epochs, settings.head)
        };
        let head = ClassifierHead::PerceptronLastToken;
        assert_eq!(
            ["rte", "boolq", "multirc", "wsc"].map(of),
            [(32, 10.0, head), (16, 10.0, head), (16, 10.0, head), (32, 30.0, head)]
        );
    }

    #[test]
    fn babyllama_1_has_the_numbers_of_its_table() {
        let recipe = load("babyllama-1", &[]);
        // Learning rate, batch, epochs, patience, evaluation steps, seed.
        let rows = [
            ("cola", 4e-5, 64, 3.0, 10, 20, 12),
            ("sst2", 5e-5, 64, 6.0, 10, 200, 12),
            ("mrpc", 3e-5, 64, 3.0, 10, 20, 12),
            ("qqp", 4e-5, 64, 10.0, 10, 1000, 12),
            ("mnli", 5e-5, 64, 6.0, 10, 200, 12),
            ("mnli-mm", 5e-5, 64, 6.0, 10, 200, 12),
            ("qnli", 5e-5, 64, 6.0, 10, 200, 12),
            ("rte", 5e-5, 64, 6.0, 10, 200, 12),
            ("boolq", 3e-4, 16, 10.0, 10, 10, 12),
            ("multirc", 1e-4, 64, 7.0, 10, 1000, 42),
            ("wsc", 5e-7, 1, 10.0, 1000, 2000, 12),
            ("control_raising_control", 5e-5, 64, 10.0, 10, 100, 12),
            ("lexical_content_the_control", 1e-3, 64, 1.0, 2, 10, 12),
            ("main_verb_control", 5e-5, 64, 6.0, 10, 200, 12),
            ("relative_position_control", 1e-3, 64, 1.0, 10, 10, 12),
            ("syntactic_category_control", 1e-3, 64, 2.0, 10, 10, 12),
            ("control_raising_lexical_content_the", 1e-3, 64, 10.0, 10, 200, 12),
            ("main_verb_relative_token_position", 5e-5, 64, 10.0, 10, 200, 12),
        ];
        for (task, learning_rate, batch_size, epochs, patience, evaluate_every, seed) in rows {
            let patience = Some(patience);
            let own = FinetuneSettings {
                learning_rate,
                batch_size,
                epochs,
                patience,
                evaluate_every,
                seed,
                ..recipe.default.clone()
            };
            assert_eq!(*settings_of(&recipe, task), own, "{task}");
        }
    }

    #[test]
    fn babyllama_2_has_the_numbers_of_its_table() {
        use ScheduleKind::{Constant, Cosine, Linear};
        let recipe = load("babyllama-2", &[]);
        // Learning rate, batch, epochs, weight decay, schedule, warm-up.
        let rows = [
            ("cola", 1e-5, 32, 10.0, 0.15, Linear, 600),
            ("sst2", 2e-6, 24, 2.0, 5.0, Constant, 200),
            ("mrpc", 1e-5, 1, 2.0, 2.0, Cosine, 500),
            ("qqp", 4.5e-6, 32, 6.0, 2.0, Linear, 500),
            ("mnli", 1e-5, 32, 2.0, 1.0, Linear, 500),
            ("qnli", 5e-6, 32, 2.0, 0.3, Cosine, 200),
            ("rte", 1e-5, 2, 2.0, 10.0, Cosine, 200),
            ("boolq", 2e-5, 8, 1.0, 0.1, Cosine, 200),
            ("multirc", 1e-5, 8, 2.0, 2.0, Cosine, 500),
            ("wsc", 2e-6, 1, 24.0, 0.4, Cosine, 500),
        ];
        assert_eq!(recipe.tasks.len(), rows.len());
        for (task, learning_rate, batch_size, epochs, weight_decay, schedule, warmup_steps) in rows
        {
            let own = FinetuneSettings {
                learning_rate,
                batch_size,
                epochs,
                weight_decay,
                schedule,
                warmup_steps,
                patience: None,
                ..FinetuneSettings::default()
            };
            assert_eq!(*settings_of(&recipe, task), own, "{task}");
        }
    }

    #[test]
    fn overrides_change_one_task_or_all_others() {
        let recipe = load(
            "babyllama-1",
            &["rte.epochs=2", "default.batch_size = 8", "rules=2024", "tasks.wsc.seed=3"],
        );
        assert_eq!(recipe.rules, Rules::Year2024);
        let of = |task| (settings_of(&recipe, task).epochs, settings_of(&recipe, task).batch_size);
        assert_eq!(
            (of("rte"), of("boolq"), of("main_verb_control")),
            ((2.0, 8), (10.0, 16), (6.0, 8))
        );
        assert_eq!((settings_of(&recipe, "wsc").seed, settings_of(&recipe, "rte").seed), (3, 12));
    }

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.toml");
        std::fs::write(&path, text).unwrap();
        let error = FinetuneRecipe::load(path.to_str().unwrap(), &[]).unwrap_err().to_string();
        error.rsplit_once("/r.toml").unwrap().1.to_owned()
    }

    #[test]
    fn faults_name_the_line_and_the_key() {
        assert_eq!(
            refused("[default]\nepohcs = 2"),
            ":2: unknown key `default.epohcs`; did you mean `epochs`?"
        );
        assert_eq!(
            refused("[tasks.rte]\nepohcs = 2"),
            ":2: unknown key `tasks.rte.epohcs`; did you mean `epochs`?"
        );
        assert_eq!(
            refused("\n[tasks.rtee]\n"),
            ":2: unknown key `tasks.rtee`; did you mean `rte`?"
        );
        assert!(
            refused("ruels = 2023").starts_with(":1: unknown key `ruels`; did you mean `rules`?")
        );
        assert_eq!(refused("[tasks]\nrte = 3"), ":2: `tasks.rte` is a value, not a table");
        assert!(
            refused("[tasks.rte]\nbatch_size = 0")
                .starts_with(":2: `tasks.rte.batch_size` is 0; it must be")
        );
        assert!(refused("[default]\nschedule = 'cubic'").contains("choices: cosine, cosine_with"));
    }

    #[test]
    fn overrides_and_names_that_are_wrong_are_refused() {
        let message = |name: &str, text: &str| {
            FinetuneRecipe::load(name, &[text.to_owned()]).unwrap_err().to_string()
        };
        let unknown = message("2024", "rtee.epochs=2");
        assert_eq!(unknown, "--set rtee.epochs=2: unknown key `tasks.rtee`; did you mean `rte`?");
        assert!(
            message("2024", "rte.epochs=-2")
                .starts_with("--set rte.epochs=-2: `tasks.rte.epochs` is -2; it must be")
        );
        assert!(
            message("2024", "epochs=2").contains("unknown key `tasks.epochs`; known here: cola")
        );
        let absent = message("babylama-2", "rte.epochs=2");
        assert!(absent.contains("no recipe of that name; did you mean `babyllama-2`?"), "{absent}");
    }
}
