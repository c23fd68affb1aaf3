//! Recipes: one TOML file per experiment, with strict keys and every default written out once it is
//! resolved.

mod check;
mod decode;
mod document;
mod error;
mod experts;
mod finetune;
mod generations;
mod inputs;
pub mod keys;
mod model;
mod sections;
mod seeds;
mod settings_file;
mod teacher;
pub mod template;
#[cfg(test)]
mod tests;
mod warnings;

use std::path::{Path, PathBuf};

use base::hash;
use documented::DocumentedFields;
use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use toml::Value;
use train::TrainSettings;

use self::document::Document;
use self::inputs::UnusableInput;

pub(crate) use self::document::RESOLVED;
pub use self::document::parse_value;
pub use self::error::{Fault, Place, RecipeError, nearest, suggestion};
pub use self::finetune::FinetuneRecipe;
pub use self::model::{ModelSection, Start};
pub(crate) use self::sections::EVERY_OTHER;
pub use self::sections::{
    CorpusSection, DocumentRule, EvaluateSection, Precision, Source, TokenizerSection, Validation,
};
pub use self::settings_file::SettingsFile;
pub(crate) use self::teacher::snapshot_name;
pub use self::teacher::{OwnTeacher, own_teacher};
pub use self::warnings::warnings;

/// A whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Names the run's folder; the recipe's file name when left out.
    pub name: String,
    /// Everything random follows from it.
    pub seed: u64,
    /// What products read: f32, bf16 (with sums in f32), or bf16x3 (f32 as three products of bf16);
    /// when left out, f32 on the CPU and bf16 on a GPU. `--precision` takes precedence.
    pub precision: Option<Precision>,
    /// The text.
    pub corpus: CorpusSection,
    /// How the text is cut into tokens.
    pub tokenizer: TokenizerSection,
    /// The models by name, in the order of the file, in which they are trained.
    pub models: IndexMap<String, ModelSection>,
    /// What is measured at the end.
    pub evaluate: EvaluateSection,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: String::new(),
            seed: 42,
            precision: None,
            corpus: CorpusSection::default(),
            tokenizer: TokenizerSection::default(),
            models: IndexMap::new(),
            evaluate: EvaluateSection::default(),
        }
    }
}

impl Recipe {
    /// All files and folders that it names to read.
    pub(crate) fn folders_read(&self) -> Vec<PathBuf> {
        inputs::folders_read(self)
    }

    /// The recipe as TOML with every default written out; reading it back gives the same recipe.
    pub fn resolved(&self) -> Result<String, RecipeError> {
        if self.models.values().all(|model| !model.train.has_phases()) {
            return Ok(toml::to_string(self)?);
        }
        // Phases state how long they are; `epochs` beside them is refused.
        let mut table = toml::Table::try_from(self)?;
        let models = table.get_mut("models").and_then(Value::as_table_mut);
        for (name, model) in models.into_iter().flatten() {
            let train = model.get_mut("train").and_then(Value::as_table_mut);
            if self.models[name].train.has_phases() {
                train.and_then(|train| train.remove("epochs"));
            }
        }
        Ok(toml::to_string(&table)?)
    }

    /// BLAKE3 of [`Recipe::resolved`], in hexadecimal: equal for recipes that mean the same.
    pub fn hash(&self) -> Result<String, RecipeError> {
        Ok(hash::of_bytes(self.resolved()?.as_bytes()))
    }
}

/// Reads a recipe, applies overrides such as `student.train.epochs=4` in turn, fills in every
/// default and checks the whole.
pub fn load(path: &Path, overrides: &[String]) -> Result<Recipe, RecipeError> {
    load_document(path, overrides).map(|(_, recipe)| recipe)
}

/// Reads a recipe as [`load`] does, and checks that every file and folder that the recipe names
/// can be used.
pub fn load_with_inputs(path: &Path, overrides: &[String]) -> Result<Recipe, RecipeError> {
    let (document, recipe) = load_document(path, overrides)?;
    inputs::check(&recipe).map_err(|UnusableInput { key, path, cause }| RecipeError::Input {
        place: document.place(&key),
        key,
        path,
        source: cause,
    })?;
    Ok(recipe)
}

fn load_document(path: &Path, overrides: &[String]) -> Result<(Document, Recipe), RecipeError> {
    let without = |index| {
        let mut others = overrides.to_vec();
        others.remove(index);
        read_document(path, &others).map(drop)
    };
    read_document(path, overrides).map_err(|error| blame(error, overrides, without))
}

/// The error with the override that leads to it as its place: a value that is wrong beside another
/// one may be the file's, which is right without the override. `without` loads the same without one
/// of them.
fn blame(
    error: RecipeError,
    overrides: &[String],
    without: impl Fn(usize) -> Result<(), RecipeError>,
) -> RecipeError {
    let RecipeError::Fault { place: Place::File { .. }, fault } = &error else { return error };
    let is_same = |other| match other {
        Err(RecipeError::Fault { fault: other, .. }) => other.to_string() == fault.to_string(),
        _ => false,
    };
    let found = (0..overrides.len()).rev().find(|&index| !is_same(without(index)));
    match (found, error) {
        (Some(index), RecipeError::Fault { fault, .. }) => {
            let place = Place::CommandLine(format!("--set {}", overrides[index]));
            RecipeError::Fault { place, fault }
        }
        (_, error) => error,
    }
}

fn read_document(path: &Path, overrides: &[String]) -> Result<(Document, Recipe), RecipeError> {
    let mut document = Document::read(path)?;
    for text in overrides {
        document.apply_override(text)?;
    }
    let recipe = resolve(&mut document, &name_of_file(path))?;
    Ok((document, recipe))
}

/// The name of a recipe that gives itself none: its file's, with a hyphen for each character that
/// a name may not have.
pub fn name_of_file(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let fits = |c: char| c.is_ascii_alphanumeric() || check::NAME_MARKS.contains(c);
    let name: String = stem.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    match name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()) {
        "" => "recipe".to_owned(),
        name => name.to_owned(),
    }
}

/// Reads a recipe that is part of the program; `path` is its place in the repository.
pub fn embedded(path: &str, text: &str) -> Result<Recipe, RecipeError> {
    let path = Path::new(path);
    resolve(&mut Document::parse(path, text)?, &name_of_file(path))
}

/// The checked recipe of a document; `name` is for a recipe that gives itself none.
fn resolve(document: &mut Document, name: &str) -> Result<Recipe, RecipeError> {
    check::check_length(document).map_err(|fault| document.locate(fault))?;
    document.apply_defaults()?;
    seeds::apply(document)?;
    generations::apply(document)?;
    let mut recipe: Recipe = document.decode()?;
    if recipe.name.is_empty() {
        recipe.name = name.to_string();
    }
    let source = &recipe.corpus.source;
    recipe.evaluate.blimp.get_or_insert_with(|| match source {
        Source::Builtin => vec![Source::Builtin],
        Source::Folder(_) => Vec::new(),
    });
    check::check(&recipe).map_err(|fault| document.locate(fault))?;
    sort_ensembles(&mut recipe);
    for (name, model) in &mut recipe.models {
        model.train.seed.get_or_insert_with(|| model_seed(recipe.seed, name));
        // That of the table for all models does not count beside phases.
        if model.train.has_phases() {
            model.train.epochs = TrainSettings::default().epochs;
        }
    }
    Ok(recipe)
}

/// Puts the members of ensembles into the order of the models, in which they are scored; what is
/// there twice then counts once.
fn sort_ensembles(recipe: &mut Recipe) {
    let (models, ensembles) = (&recipe.models, &mut recipe.evaluate.ensembles);
    for members in ensembles.iter_mut() {
        members.sort_by_key(|member| models.get_index_of(member));
    }
    let different: IndexSet<Vec<String>> = std::mem::take(ensembles).into_iter().collect();
    ensembles.extend(different);
}

/// The seed of a model that sets none: the recipe's, mixed with the model's name. 32 bits, so that
/// it stays readable.
pub fn model_seed(recipe_seed: u64, model: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&recipe_seed.to_le_bytes()).update(model.as_bytes());
    let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
    u32::from_le_bytes([a, b, c, d]).into()
}

/// A single model for the commands that train one outside a run.
pub struct ModelRequest<'a> {
    /// A model's name in `recipe`, or, without one, the folder to start from.
    pub model: &'a str,
    /// The recipe, if there is one.
    pub recipe: Option<&'a Path>,
    /// Overrides of the train table, such as `epochs=4`.
    pub overrides: &'a [String],
    /// What the distill command sets; `None` trains without teachers.
    pub distill: Option<DistillRequest<'a>>,
}

/// Flags of the distill command; what is `None` keeps the recipe's value, or else the default.
#[derive(Default)]
pub struct DistillRequest<'a> {
    /// Model folders.
    pub teachers: &'a [String],
    /// One for each teacher; without any all count alike, since the recipe's belong to its own
    /// teachers.
    pub weights: &'a [f64],
    /// What the divergence is divided by.
    pub kl: Option<&'a str>,
    /// Divides the logits of student and teachers.
    pub temperature: Option<f64>,
    /// Weight of the cross-entropy.
    pub alpha: Option<f64>,
    /// How several teachers are combined.
    pub ensemble: Option<&'a str>,
    /// Distance between student and teachers.
    pub divergence: Option<&'a str>,
    /// Kind of teacher outputs.
    pub signal: Option<&'a str>,
    /// How hidden states are stored.
    pub codec: Option<&'a str>,
    /// Tokens drawn at each position.
    pub samples: Option<u32>,
    /// Folder of the teacher cache.
    pub cache: Option<&'a str>,
}

impl DistillRequest<'_> {
    /// The keys that are set, with their flags.
    fn keys(&self) -> Vec<(&'static str, Value, &'static str)> {
        let text = |value: Option<&str>| value.map(Value::from);
        let weights = (!self.weights.is_empty()).then(|| self.weights.to_vec().into());
        let keys = [
            ("teachers", Some(self.teachers.to_vec().into()), "--teacher"),
            ("weights", weights, "--weight"),
            ("kl", text(self.kl), "--kl"),
            ("temperature", self.temperature.map(Value::from), "--temperature"),
            ("alpha", self.alpha.map(Value::from), "--alpha"),
            ("ensemble", text(self.ensemble), "--ensemble"),
            ("divergence", text(self.divergence), "--divergence"),
            ("signal", text(self.signal), "--signal"),
            ("codec", text(self.codec), "--codec"),
            ("samples", self.samples.map(Value::from), "--samples"),
            ("cache", text(self.cache), "--cache"),
        ];
        keys.into_iter().filter_map(|(key, value, flag)| Some((key, value?, flag))).collect()
    }
}

/// Whether a recipe's model has teachers, which training without `distill` leaves out.
///
/// # Errors
/// When the recipe cannot be read.
pub fn has_teachers(recipe: &Path, model: &str) -> Result<bool, RecipeError> {
    Ok(Document::read(recipe)?.value_at(&format!("models.{model}.distill")).is_some())
}

/// The precision that a recipe names.
///
/// # Errors
/// When the recipe cannot be read.
pub fn precision(recipe: &Path) -> Result<Option<Precision>, RecipeError> {
    let document = Document::read(recipe)?;
    Ok(document.value_at("precision").and_then(|value| value.clone().try_into().ok()))
}

/// The model that a request describes, checked and with every default filled in as in a run of its
/// recipe; and the seed of that recipe, or of any that sets none.
pub fn load_model(request: &ModelRequest<'_>) -> Result<(ModelSection, u64), RecipeError> {
    let without = |index| {
        let mut others = request.overrides.to_vec();
        others.remove(index);
        read_model(request, &others).map(drop)
    };
    let all = request.overrides;
    read_model(request, all).map_err(|error| blame(error, all, without))
}

fn read_model(
    request: &ModelRequest<'_>,
    overrides: &[String],
) -> Result<(ModelSection, u64), RecipeError> {
    let (mut document, name) = match request.recipe {
        Some(path) => (Document::read(path)?, request.model),
        None => (Document::empty(), "model"),
    };
    match request.recipe {
        Some(_) => document.keep_model(name)?,
        None => document.set(&format!("models.{name}.from"), request.model.into(), "--model")?,
    }
    for text in overrides {
        document.apply_override_below(&format!("models.{name}.train"), text)?;
    }
    let distill_key = format!("models.{name}.distill");
    match &request.distill {
        Some(distill) => {
            // Weights belong to the teachers that stand beside them.
            document.remove(&format!("{distill_key}.weights"));
            for (key, value, flag) in distill.keys() {
                document.set(&format!("{distill_key}.{key}"), value, flag)?;
            }
        }
        None => document.remove(&distill_key),
    }
    // One model is trained, with the seed of its settings.
    document.remove(&format!("models.{name}.seeds"));
    document.remove(&format!("{distill_key}.generations"));
    let mut recipe = resolve(&mut document, "model")?;
    let missing = || document.locate(Fault::MissingKey { key: format!("models.{name}") });
    Ok((recipe.models.shift_remove(name).ok_or_else(missing)?, recipe.seed))
}
